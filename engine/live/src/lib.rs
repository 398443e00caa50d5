//! The sessions that are going on, in and out, and what was said in the last ones that are over.
//!
//! Its door is [`sessions::Sessions`]: whoever has a connection enters it there and gets a
//! [`session::Live`], which leaves the register when it is dropped. Whoever looks, reads; nobody
//! who is looked at waits for it. Nothing here outlives the process.
#![forbid(unsafe_code)]

mod kept;
mod register;
pub mod session;
pub mod sessions;
pub mod talk;
