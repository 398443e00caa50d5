//! What mail means, how peers talk, when to send: the pure part of Maily.
//!
//! This crate owns nothing outside the program. It does no I/O, reads no clock, spawns nothing and
//! has no randomness of its own: time, chance and names come in as arguments. Its doors are the
//! sans-IO sessions [`smtp::server::Server`] and [`smtp::client::Client`], and the
//! [`queue::scheduler::Scheduler`].
#![forbid(unsafe_code)]

pub mod bounce;
pub mod clock;
pub mod dkim;
pub mod event;
pub mod live;
pub mod mail;
pub mod queue;
pub mod render;
pub mod selector;
pub mod smtp;
pub mod tracking;
