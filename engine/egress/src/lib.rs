//! Outgoing sockets, DNS, and TLS as a client. Doors: [`resolve::Resolver`] finds where mail goes,
//! [`opening::open`] connects, [`connection::Connection`] brings it there.
#![forbid(unsafe_code)]

pub mod connection;
pub mod guard;
pub mod memory;
pub mod opening;
pub mod post;
pub mod records;
pub mod resolve;
pub mod route;
mod stream;
pub mod tls;
