//! What the tests of the whole daemon share.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod postfix;
pub(crate) mod process;
pub(crate) mod tools;
pub(crate) mod world;
