//! When to send what to whom. Door: [`scheduler::Scheduler`].

pub mod action;
pub mod cancellation;
pub mod cause;
mod destinations;
pub mod directive;
mod entries;
pub mod flows;
mod lane;
mod ledger;
pub mod pace;
pub mod policy;
pub mod rate;
pub mod remark;
pub mod retry;
pub mod scheduler;
pub mod selection;
mod sites;
mod slab;
mod streams;
pub mod survey;
pub mod suspension;
mod thaw;
mod turns;
mod watch;
mod wheel;
pub mod window;
