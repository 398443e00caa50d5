//! The timer: the one loop that drives the queue. Door: [`dispatcher::Dispatcher`].
#![forbid(unsafe_code)]

pub mod attempt;
pub mod dispatcher;
pub mod settle;
pub mod worker;
