//! Durable files: an append-only segmented log with group commit. Door: [`journal::Journal`].
//!
//! It knows octets, not mail. One writer thread gathers all appends that wait, writes them with one
//! call, syncs once, and only then says so to each of them.
#![forbid(unsafe_code)]

pub mod checkpoint;
mod inbox;
pub mod journal;
pub mod record;
pub mod scan;
pub mod segment;
mod shared;
mod writer;
