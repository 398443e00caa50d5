//! The console: what an operator sees of a daemon, and does with it, in a terminal.
//!
//! It is a client of the HTTP interface and nothing more. [`update::update`] says what follows from
//! a key or from what the daemon says, [`draw::draw`] draws what there is; both are without I/O.
//! [`run::run`] is the loop around them: the terminal on one side, [`client`] on the other.
#![forbid(unsafe_code)]

mod acting;
pub mod client;
pub mod command;
pub mod dialog;
pub mod draw;
pub mod effect;
pub mod keys;
pub mod look;
pub mod model;
pub mod run;
pub mod screens;
pub mod sse;
pub mod tail;
pub mod text;
pub mod update;
