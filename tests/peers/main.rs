//! Maily with programs that others wrote: clients that hand in, servers that it delivers to,
//! programs that judge what it made. What they need is in `tests/packages.txt` and
//! `tests/requirements.txt`; a tool that is missing is installed, or the test fails: none is
//! skipped.
//!
//! To add a peer: its package into one of the two lists, a module here, and
//! [`support::tools::tool`] for its path. [`support::daemon::Daemon`] is the real process on
//! loopback, [`support::world::World`] the name server and the sink that it delivers to.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot do its part must fail"
)]

mod clients;
mod messages;
mod postfix;
mod reports;
mod servers;
mod signatures;
#[path = "../support/mod.rs"]
mod support;
