//! When to send what to whom.

pub mod scheduler;
