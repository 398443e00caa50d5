//! An idempotency key in the hand of the request that came with it.

use std::sync::Weak;

use crate::inner::Inner;
use crate::keyed::Key;
use crate::keyed::KeyState;

/// A key in the hand of the request that may put mail under it. When it is dropped another try may
/// have it.
pub struct Hold {
    pub(crate) inner: Weak<Inner>,
    pub(crate) key: Key,
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.index().release_key(&self.key.key);
        }
    }
}

/// What to do with a request that has a key.
#[derive(Debug)]
pub enum Claim {
    /// Put its mail, under ids that follow one another.
    New(Hold),
    /// Put what is missing, under the ids that it has.
    Partly(Hold, KeyState),
    /// All of it is on disk: only the answer is missing.
    Complete(KeyState),
}
