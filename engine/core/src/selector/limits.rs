//! How much a selector may say.

/// Octets of a selector.
pub const OCTETS_MAX: usize = 2_048;
/// How deep parentheses and negations may nest.
pub const DEPTH_MAX: usize = 32;
/// Tests in a selector.
pub const TESTS_MAX: usize = 64;
/// Values in one list.
pub const VALUES_MAX: usize = 64;
