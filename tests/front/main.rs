//! The HTTP interface of the whole daemon: who may do what, what is refused, and whether it is as
//! it is described.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot do its part must fail"
)]

mod answers;
mod bodies;
mod console;
mod contract;
mod following;
mod hooks;
mod live;
mod mailing;
mod office;
mod place;
mod plugins;
mod recipients;
mod returns;
mod roles;
mod scripts;
mod slow_line;
mod steering;
#[path = "../support/mod.rs"]
mod support;
mod suppressing;
mod tokens;
mod trials;
mod web;
mod world;
