//! A template in the hand of whoever puts mail that is rendered from it.

use std::sync::Arc;
use std::sync::Weak;

use crate::inner::Inner;

/// A template that stays in the spool as long as this is held, whether mail needs it or not.
pub struct KeptTemplate {
    inner: Weak<Inner>,
    name: [u8; 32],
    number: u16,
}

impl std::fmt::Debug for KeptTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptTemplate").field("name", &self.name).finish_non_exhaustive()
    }
}

impl KeptTemplate {
    /// Takes over a template that is held under this number.
    pub(crate) fn new(inner: &Arc<Inner>, name: [u8; 32], number: u16) -> Self {
        Self { inner: Arc::downgrade(inner), name, number }
    }

    /// The SHA-256 of its content: what a message's body calls it.
    pub const fn name(&self) -> [u8; 32] {
        self.name
    }
}

impl Drop for KeptTemplate {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.index().templates().release(self.number);
        }
    }
}
