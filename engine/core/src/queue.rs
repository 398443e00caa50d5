//! When to send what to whom.

pub mod action;
pub mod flows;
pub mod retry;
pub mod scheduler;
pub mod window;
