//! The commands: each a file, each a few screens at most.

pub mod check;
pub mod life;
pub mod queue;
pub mod send;
pub mod serve;
pub mod sink;
pub mod trace;
pub mod tracked;
