//! The log of what happened. Doors: [`recorder::Recorder`] writes it, [`log::read`] reads it,
//! [`feed::Feed`] follows it. Beside it, [`suppression::Suppressions`]: who must not be written to.
#![forbid(unsafe_code)]

pub mod cursor;
pub mod feed;
pub mod log;
pub mod recorder;
pub mod strikes;
pub mod suppression;
