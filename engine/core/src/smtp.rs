//! How mail servers talk (RFC 5321 and its extensions), without I/O.

pub mod client;
pub mod command;
pub mod data;
pub mod extension;
pub mod reply;
pub mod server;
