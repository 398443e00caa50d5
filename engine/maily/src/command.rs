//! The commands: each a file, each a few screens at most.

pub mod audit;
pub mod bounces;
pub mod check;
pub mod console;
pub mod doctor;
pub mod life;
pub mod plugin;
pub mod project;
pub mod queue;
pub mod replies;
pub mod send;
pub mod serve;
pub mod sessions;
pub mod shell;
pub mod sink;
pub mod steer;
pub mod suppress;
pub mod token;
pub mod top;
pub mod trace;
pub mod tracked;
pub mod view;
pub mod why;
