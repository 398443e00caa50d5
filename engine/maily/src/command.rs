//! The one-shot commands: each a file, each a few screens at most.

pub mod send;
pub mod sink;
