//! Links of a message that lead back to us: the pixel that is fetched when it is opened, links that
//! are counted when they are followed, the link that unsubscribes.
//!
//! Each carries a token that we signed and that says all there is to know, so that following it
//! reads no store, survives a restore, and leads nowhere that we did not sign.

pub mod client;
pub mod keys;
pub mod links;
pub mod return_path;
pub mod target;
pub mod token;
pub mod verdict;
