//! What an operator may set. Door: [`load::load`], which gives a [`config::Config`] or all the
//! [`load::Errors`] of the files, each with its file, line and column.
//!
//! Data, not code: TOML, typed, documented where declared, checked once. What is written here as
//! a secret is only the place where the secret lies; see [`value::Secret`].
#![forbid(unsafe_code)]

pub mod change;
pub mod check;
mod compare;
pub mod config;
pub mod lines;
pub mod load;
mod problem;
pub mod reference;
mod section;
mod similar;
pub mod value;
