//! `maily sink`: an SMTP server that receives and forgets, and behaves like the provider it is told
//! to be. Never a mail server: it promises nothing and keeps nothing but counts.

pub mod behaviour;
pub mod ledger;
pub mod server;
pub mod session;
