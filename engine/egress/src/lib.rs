//! Outgoing sockets, DNS, and TLS as a client. Doors: [`resolve::Resolver`] finds where mail goes,
//! [`connection::Connection`] brings it there.
#![forbid(unsafe_code)]

pub mod connection;
pub mod guard;
pub mod resolve;
pub mod tls;
