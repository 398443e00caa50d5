//! Accepted mail on disk. Door: [`spool::Spool`].
#![forbid(unsafe_code)]

pub mod body;
mod checkpoint;
mod covered;
mod entry;
pub mod error;
mod index;
mod inner;
mod janitor;
pub mod listing;
mod recovery;
mod row;
mod slot;
pub mod spool;
pub mod submission;
mod templates;
mod walk;
