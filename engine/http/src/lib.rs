//! The HTTP sockets: the API for programs and operators, and whatever the public reaches us by.
//! Doors: [`api::router`] makes the routes, [`server::serve`] answers on a listener.
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
mod audits;
pub mod body;
pub mod budget;
mod convert;
pub mod delivering;
mod describe;
mod drafting;
pub mod event_id;
mod events;
pub mod fault;
mod guard;
pub mod hit_counters;
mod hits;
pub mod hook_meters;
mod hooks;
mod limits;
mod link_keys;
pub mod mail;
mod messages;
pub mod meters;
mod pages;
pub mod paging;
pub mod parts;
pub mod presence;
pub mod principal;
mod projects;
pub mod public;
pub mod public_parts;
pub mod reading;
pub mod recent;
pub mod retry;
pub mod rooms;
pub mod routes;
pub mod seal;
pub mod server;
mod sessions;
pub mod stories;
mod streaming;
pub mod telling;
pub mod templates;
mod tokens;
mod unsubscribing;
mod words;
