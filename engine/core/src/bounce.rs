//! What a sender is told of its mail: who is owed a report, and how it is written.

pub mod dsn;
mod encode;
pub mod fate;
pub mod owed;
mod returned;
mod status;
mod words;
