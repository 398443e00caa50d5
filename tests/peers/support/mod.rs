//! What the tests with peers share.

pub(crate) mod daemon;
pub(crate) mod process;
pub(crate) mod tools;
pub(crate) mod world;
