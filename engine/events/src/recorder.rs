//! Writes events, once each, to a journal of their own.
//!
//! Hardly anybody waits for an event: the spool is what mail must not be lost from. Events are
//! synced together after [`PATIENCE`], so a power cut or a kill may cost those of the last few
//! hundredths of a second. That is the price for one sync, not two, before a 250; a message that
//! waits is in the spool all the same, and `maily queue` shows it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::sync::watch;

use maily_core::clock::Timestamp;
use maily_core::event::Event;
use maily_journal::journal::AppendError;
use maily_journal::journal::Done;
use maily_journal::journal::Journal;
use maily_journal::journal::OpenError;
use maily_journal::journal::Options;
use maily_journal::record::Draft;
use maily_journal::scan::Position;

use crate::cursor::Cursor;

/// The format of records that this version writes.
pub(crate) const FORMAT: u8 = 1;
/// How long an event may wait for others to be synced with.
const PATIENCE: Duration = Duration::from_millis(20);

/// An event was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be written: {0}")]
pub struct RecordError(String);

/// A handle to the event log; clones share it.
#[derive(Clone, Debug)]
pub struct Recorder {
    journal: Arc<Journal>,
    failures: Arc<AtomicU64>,
    /// All before this is on disk and synced.
    durable: Arc<watch::Sender<Cursor>>,
}

impl Recorder {
    /// Opens the log in this folder, which is made if missing.
    pub fn open(folder: &Path, segment_octets: u64) -> Result<Self, OpenError> {
        let options = Options { segment_octets, patience: PATIENCE, ..Options::default() };
        let journal = Arc::new(Journal::open(folder, &options)?);
        let next = Position { segment: journal.active(), offset: 0 };
        let durable = Arc::new(watch::Sender::new(Cursor::of(next)));
        Ok(Self { journal, failures: Arc::default(), durable })
    }

    /// Appends an event. Returns at once.
    pub fn record(&self, event: &Event) {
        let Some(draft) = draft(event) else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.journal.raise(event.at.as_micros());
        let done = self.done(draft.octets(), |_| ());
        self.journal.append_soon(draft, Some(done));
    }

    /// Appends an event and returns when it is on disk and synced, with where it ends: for what
    /// somebody was promised, such as an end of mail.
    ///
    /// # Errors
    /// It was not written.
    pub async fn record_synced(&self, event: &Event) -> Result<Cursor, RecordError> {
        let draft = draft(event).ok_or_else(|| RecordError("too large".to_owned()))?;
        self.journal.raise(event.at.as_micros());
        let (tell, told) = oneshot::channel();
        let done = self.done(draft.octets(), move |result| {
            // Whoever asked may have gone: the event is written all the same.
            let _gone = tell.send(result);
        });
        self.journal.append(draft, done);
        match told.await {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(error)) => Err(RecordError(error.to_string())),
            Err(_) => Err(RecordError("the writer has stopped".to_owned())),
        }
    }

    /// What is done when the fate of an event with so many octets is known.
    fn done(
        &self,
        octets: u64,
        tell: impl FnOnce(Result<Cursor, AppendError>) + Send + 'static,
    ) -> Done {
        let (failures, durable) = (Arc::clone(&self.failures), Arc::clone(&self.durable));
        Box::new(move |result: Result<Position, AppendError>| {
            let end = |at: Position| Position { offset: at.offset + octets, ..at };
            let result = result.map(|at| Cursor::of(end(at)));
            match &result {
                Ok(end) => {
                    durable.send_replace(*end);
                }
                Err(_) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                }
            }
            tell(result);
        })
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where the last event that is on disk ends, now and from now on.
    pub(crate) fn durable(&self) -> watch::Receiver<Cursor> {
        self.durable.subscribe()
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

fn draft(event: &Event) -> Option<Draft> {
    let meta = postcard::to_extend(event, vec![FORMAT]).ok()?;
    Draft::new(Bytes::from(meta), Bytes::new()).ok()
}
