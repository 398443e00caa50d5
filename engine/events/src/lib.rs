//! The log of what happened. Doors: [`recorder::Recorder`] writes it, [`log::read`] reads it.
#![forbid(unsafe_code)]

pub mod log;
pub mod recorder;
