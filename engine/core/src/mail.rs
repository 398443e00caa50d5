//! The nouns of mail: addresses, envelopes, messages, outcomes and ids.

pub mod address;
pub mod author;
pub mod envelope;
pub mod id;
pub mod message;
pub mod outcome;
pub mod shown;
