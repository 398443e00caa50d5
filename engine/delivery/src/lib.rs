//! The timer: the one loop that drives the queue. Door: [`dispatcher::Dispatcher`].
#![forbid(unsafe_code)]

pub mod asking;
pub mod attempt;
pub mod binding;
pub mod cancel;
pub mod connections;
pub mod control;
pub mod counters;
pub mod dispatcher;
pub mod dropping;
pub mod hooks;
pub mod labels;
pub mod latency;
pub mod loader;
pub mod placing;
pub mod reporter;
pub mod reports;
pub mod routes;
pub mod settings;
pub mod settle;
pub mod signing;
pub mod steering;
pub mod turns;
pub mod worker;
