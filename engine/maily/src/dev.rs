//! `maily dev`: the whole daemon on loopback, with a world to send to and a sample mailing.
//!
//! Nothing leaves the machine: the world is a name server and a handful of sinks of our own.

pub mod dns;
pub mod run;
pub mod sample;
pub mod summary;
pub mod world;
