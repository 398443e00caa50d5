//! What a client needs to know of its idempotency key: a request that comes twice puts its mail
//! once.
//!
//! A key is kept for [`KEY_LIFE`]. A request holds it while it puts its mail under ids that follow
//! one another, so that after a crash in the middle another try puts what is missing, under the
//! same ids.

use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_core::mail::id::QueueId;

/// How long a key is known.
pub const KEY_LIFE: Duration = Duration::from_secs(24 * 3_600);
/// Keys that are known at once, unless the spool's options say otherwise; one more is refused. Each
/// takes about 230 octets in memory.
pub const KEYS_MAX: usize = 4_000_000;
/// Messages under one key.
pub const KEY_MESSAGES_MAX: usize = 100_000;

/// A request's idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// A hash of the key and of whose it is: token, route, or whatever it must be unique within.
    pub key: [u8; 32],
    /// A digest of the request, so that another one under the same key is told apart.
    pub digest: [u8; 32],
    /// When it came.
    pub at: Timestamp,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The digest of its request.
    pub digest: [u8; 32],
    /// The id of its first message; the others are `after` it.
    pub first: QueueId,
    /// How many messages it has.
    pub count: u32,
    /// Those that are not on disk, by their numbers from 0; none if all are.
    pub missing: Vec<u32>,
    /// A request holds it now.
    pub in_progress: bool,
}

impl KeyState {
    /// All its messages are on disk.
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}
