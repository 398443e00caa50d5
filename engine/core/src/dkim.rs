//! Signing (RFC 6376, RFC 8463).

pub mod key;
pub mod sign;
