//! What a sender is told of its mail: who is owed a report, and how it is written. And what we are
//! told: what a reply means ([`classify`]).

pub mod classify;
pub mod dsn;
mod encode;
pub mod fate;
pub mod owed;
pub mod phase;
pub mod read;
pub mod reason;
mod returned;
pub mod rules;
mod status;
pub mod template;
mod words;
