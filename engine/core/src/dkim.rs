//! Signatures by which a domain takes responsibility for a message: DKIM (RFC 6376), with the
//! algorithms of RFC 8301 and RFC 8463. We sign; we do not verify.
//!
//! [`key`] reads private keys, [`canon`] gives a message the form that survives the way,
//! [`keyring`] knows whose mail is signed with what, [`sign`] makes the header fields.

pub mod canon;
pub mod key;
pub mod keyring;
pub mod sign;
