//! Durable files: an append-only segmented log with group commit, and a map that stands on one.
//! Doors: [`journal::Journal`], [`table::Table`].
//!
//! It knows octets, not mail. One writer thread gathers all appends that wait, writes them with one
//! call, syncs once, and only then says so to each of them.
#![forbid(unsafe_code)]

pub mod change;
pub mod checkpoint;
mod inbox;
pub mod journal;
mod packed;
pub mod record;
mod rows;
pub mod scan;
pub mod segment;
mod shared;
pub mod table;
mod wide;
mod writer;
