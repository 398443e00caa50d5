//! Reports about mail that did not arrive: written (RFC 3464) and, one day, read.

pub mod dsn;
