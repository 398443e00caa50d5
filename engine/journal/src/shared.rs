//! What the journal's door and its writer share.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;

use crate::inbox::Inbox;

/// What the writer has done.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records written and synced.
    pub appends: AtomicU64,
    /// Groups synced.
    pub syncs: AtomicU64,
    /// Writes, syncs and segments that failed.
    pub failures: AtomicU64,
}

pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) counters: Counters,
    pub(crate) files: RwLock<HashMap<u64, Arc<File>>>,
    pub(crate) active: AtomicU64,
    pub(crate) stamp: AtomicU64,
}

impl Shared {
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    /// The writer goes on to this segment.
    pub(crate) fn opened(&self, segment: u64, file: Arc<File>) {
        self.files.write().insert(segment, file);
        self.active.store(segment, Ordering::Release);
    }
}
