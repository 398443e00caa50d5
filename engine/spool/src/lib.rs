//! Accepted mail on disk. Door: [`spool::Spool`].
#![forbid(unsafe_code)]

pub mod batch;
pub mod body;
mod checkpoint;
mod covered;
mod entry;
pub mod error;
pub mod hold;
mod index;
mod inner;
mod janitor;
pub mod kept;
pub mod keyed;
mod keys;
pub mod listing;
mod recovery;
mod row;
mod slot;
pub mod spool;
pub mod submission;
mod templates;
mod walk;
