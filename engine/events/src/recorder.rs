//! Writes events, once each, to a journal of their own.
//!
//! Nobody waits for an event: the spool is what mail must not be lost from. Events are synced
//! together every fraction of a second, so a power cut may cost the last of them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use maily_core::event::Event;
use maily_journal::journal::Journal;
use maily_journal::journal::OpenError;
use maily_journal::journal::Options;
use maily_journal::record::Draft;

/// The format of records that this version writes.
pub(crate) const FORMAT: u8 = 1;
/// How long an event may wait for others to be synced with.
const PATIENCE: Duration = Duration::from_millis(200);

/// A handle to the event log; clones share it.
#[derive(Clone, Debug)]
pub struct Recorder {
    journal: Arc<Journal>,
    failures: Arc<AtomicU64>,
}

impl Recorder {
    /// Opens the log in this folder, which is made if missing.
    pub fn open(folder: &Path, segment_octets: u64) -> Result<Self, OpenError> {
        let options = Options { segment_octets, patience: PATIENCE, ..Options::default() };
        let journal = Arc::new(Journal::open(folder, &options)?);
        Ok(Self { journal, failures: Arc::default() })
    }

    /// Appends an event. Returns at once.
    pub fn record(&self, event: &Event) {
        let draft = postcard::to_extend(event, vec![FORMAT])
            .ok()
            .and_then(|meta| Draft::new(Bytes::from(meta), Bytes::new()).ok());
        let Some(draft) = draft else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let failures = Arc::clone(&self.failures);
        let done = Box::new(move |result: Result<_, _>| {
            if result.is_err() {
                failures.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.journal.append_soon(draft, Some(done));
    }

    /// Events that could not be written.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
