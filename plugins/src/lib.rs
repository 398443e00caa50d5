//! Plugins: scripts in Rhai that are asked at certain points in the life of a message, within
//! bounds of time, memory and permissions. Door: [`set::Plugins`].
//!
//! This crate owns the interpreter. It asks no other machine: what a plugin wants to ask comes out
//! as a value, and the answer goes in as one ([`call::Call`]).
#![forbid(unsafe_code)]

pub mod answer;
pub mod breaker;
pub mod cache;
pub mod call;
pub mod case;
pub mod cases;
pub mod choices;
pub mod compare;
pub mod config;
pub mod count;
pub mod dispatch;
pub mod explain;
pub mod fault;
pub mod fields;
pub mod frame;
pub mod fuzz;
pub mod gathering;
pub mod hashing;
pub mod hook;
pub mod hooks;
pub mod host;
pub mod http;
pub mod input;
pub mod kv;
pub mod kv_sled;
pub mod limits;
pub(crate) mod loading;
pub mod manifest;
pub mod package;
pub mod plugin;
pub mod program;
pub mod quantity;
pub mod reference;
pub mod script;
pub mod set;
pub mod show;
pub mod stack;
pub mod surface;
pub mod table;
pub mod tally;
pub mod value;
pub mod watchdog;
pub mod worker;
pub mod workshop;
