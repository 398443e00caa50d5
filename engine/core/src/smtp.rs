//! How mail servers talk (RFC 5321 and its extensions), without I/O.

pub mod client;
pub mod command;
pub mod content;
pub mod delivery;
pub mod parameters;
pub mod proxy;
pub mod reply;
pub mod reply_parser;
pub mod server;
mod shown;
pub mod text;
pub mod xtext;
