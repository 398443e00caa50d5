//! The daemon as operators meet it: signals, the service manager, health, exit codes, secrets.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot do its part must fail"
)]

mod alerts;
mod commands;
mod doctor;
mod ending;
mod manager;
mod reload;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod unit;
