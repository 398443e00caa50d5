//! The process: arguments, signals, the wall clock, and the wiring of the rooms.
#![forbid(unsafe_code)]

pub mod certificate;
pub mod chance;
pub mod clock;
pub mod command;
pub mod dev;
pub mod doctor;
pub mod exit;
pub mod fronts;
pub mod health;
pub mod keys;
pub mod late;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod office;
pub mod ops;
pub mod policy;
pub mod preflight;
pub mod pulse;
pub mod receiving;
pub mod script_meters;
pub mod scripting;
pub mod sending;
pub mod server_events;
pub mod sink;
pub mod tls;
pub mod upkeep;
pub mod waiting;
pub mod webhooks;
pub mod wire;
