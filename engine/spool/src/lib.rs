//! Accepted mail on disk. Door: [`spool::Spool`].
#![forbid(unsafe_code)]


pub mod body;
pub mod spool;
