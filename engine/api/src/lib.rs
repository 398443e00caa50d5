//! The contract of the HTTP interface: plain data, from which the OpenAPI description is made.
//!
//! It refuses to decide anything: what a value must hold beyond its form is said by the rooms that
//! know it. A member that is not known is refused, so that none is ignored without a word; the
//! limits stand in the description and are named here.
#![forbid(unsafe_code)]

pub mod audit;
pub mod call;
pub mod calls;
pub mod directive;
pub mod event;
pub mod live;
pub mod message;
mod number;
pub mod object;
pub mod overview;
pub mod page;
pub mod plugin;
pub mod problem;
pub mod project;
pub mod session;
pub mod story;
pub mod suppression;
pub mod template;
pub mod token;
pub mod view;
pub mod webhook;
pub mod why;
