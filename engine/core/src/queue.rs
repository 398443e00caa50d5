//! When to send what to whom. Door: [`scheduler::Scheduler`].

pub mod action;
pub mod cancellation;
mod destinations;
mod entries;
pub mod flows;
mod lane;
pub mod policy;
pub mod rate;
pub mod retry;
pub mod scheduler;
mod sites;
mod slab;
mod streams;
pub mod suspension;
mod turns;
mod watch;
mod wheel;
pub mod window;
