//! What operators registered: projects, tokens, templates and webhooks; and the log of who changed
//! what.
//! Doors: [`registry::Registry`], [`audit::Audit`].
#![forbid(unsafe_code)]

pub mod audit;
pub mod audit_entry;
pub mod audit_walk;
pub mod base62;
pub mod chance;
pub mod directive;
pub mod error;
pub mod issuing;
pub mod jwt;
pub mod link_keys;
pub mod name;
pub mod permission;
pub mod progress;
pub mod project;
pub mod registry;
pub mod senders;
mod shelf;
pub mod storing;
pub mod subscribing;
pub mod template;
pub mod token;
pub mod webhook;
pub mod withdrawals;
