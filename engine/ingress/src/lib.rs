//! Incoming SMTP sockets, and the one front door through which all mail comes in.
//! Doors: [`door::FrontDoor`] and [`listener::Listener`].
#![forbid(unsafe_code)]

pub mod accept;
pub mod adopting;
pub mod auth;
pub mod counters;
pub mod door;
pub mod feedback;
pub mod gate;
pub mod hooks;
pub mod inject;
pub mod listener;
mod returns;
pub mod seats;
pub mod session;
pub mod throttle;
pub mod wish;
