//! Accepted mail on disk. Door: [`spool::Spool`].
#![forbid(unsafe_code)]

pub mod body;
mod entry;
pub mod error;
mod index;
mod inner;
mod janitor;
pub mod listing;
pub mod spool;
pub mod submission;
