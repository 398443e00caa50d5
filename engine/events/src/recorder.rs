//! Writes events, once each, to a journal of their own.
//!
//! Nobody waits for an event: the spool is what mail must not be lost from. Events are synced
//! together after [`PATIENCE`], so a power cut or a kill may cost those of the last few hundredths
//! of a second. That is the price for one sync, not two, before a 250; a message that waits is in
//! the spool all the same, and `maily queue` shows it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use maily_core::clock::Timestamp;
use maily_core::event::Event;
use maily_journal::journal::Journal;
use maily_journal::journal::OpenError;
use maily_journal::journal::Options;
use maily_journal::record::Draft;

/// The format of records that this version writes.
pub(crate) const FORMAT: u8 = 1;
/// How long an event may wait for others to be synced with.
const PATIENCE: Duration = Duration::from_millis(20);

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
        self.journal.raise(event.at.as_micros());
        let failures = Arc::clone(&self.failures);
        let done = Box::new(move |result: Result<_, _>| {
            if result.is_err() {
                failures.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.journal.append_soon(draft, Some(done));
    }

    /// Drops the segments in which every event is older than this; gives how many went. Blocks.
    pub fn expire(&self, limit: Timestamp) -> io::Result<usize> {
        let segments = self.journal.segments();
        let mut old = 0;
        for (index, segment) in segments.iter().enumerate() {
            // A segment is begun with the time of the newest event before it.
            match self.journal.begun_with(*segment)? {
                Some(before) if before < limit.as_micros() => old = index,
                _ => {}
            }
        }
        for segment in segments.iter().take(old) {
            self.journal.drop_segment(*segment)?;
        }
        Ok(old)
    }

    /// Events that could not be written.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}
