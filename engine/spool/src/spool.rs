//! The spool: every accepted message until its last recipient is settled.
//!
//! [`Spool::put`] returns after the message is on disk and synced, and not before. Everything else
//! here may be lost and made again: the index is a fold of the journal.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_journal::journal::AppendError;
use maily_journal::journal::Journal;
use maily_journal::journal::Options as JournalOptions;
use maily_journal::record::Draft;
use maily_journal::scan::Next;
use maily_journal::scan::Position;
use maily_journal::scan::Scanner;

use crate::entry;
use crate::entry::Accept;
use crate::entry::Entry;
use crate::entry::MarkEntry;
use crate::index::Index;
use crate::janitor;
use crate::submission::Mark;
use crate::submission::Spooled;
use crate::submission::Stored;
use crate::submission::Submission;
use crate::submission::Waiting;

/// A settlement or mark whose write failed is written again this often, in another segment.
const SETTLE_TRIES_MAX: u32 = 5;
/// How often the janitor looks for space to give back.
const JANITOR_PAUSE: Duration = Duration::from_millis(200);

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The disk has no room beside the reserve for settling what is there.
    #[error("the spool's disk is full")]
    Full,
    /// A write or sync failed; the segment is closed, nothing of it was acknowledged.
    #[error("the spool could not be written: {0}")]
    Failed(String),
}

/// Why a message could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// There is no such message, or all of it is settled.
    #[error("no such message in the spool")]
    Unknown,
    /// Its record is damaged: it is in quarantine.
    #[error("the record is damaged and was quarantined: {0}")]
    Damaged(String),
    /// It could not be read; it is still there.
    #[error("the spool could not be read: {0}")]
    Failed(String),
}

/// The spool could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the spool could not be opened: {0}")]
pub struct OpenError(pub String);

/// How the spool is kept.
#[derive(Clone)]
pub struct Options {
    /// How its journal is kept.
    pub journal: JournalOptions,
    /// Octets of messages kept in memory from acceptance to the first attempt.
    pub hot_octets_max: usize,
}

impl Default for Options {
    /// The journal's defaults and 16 MiB.
    fn default() -> Self {
        Self { journal: JournalOptions::default(), hot_octets_max: 16 << 20 }
    }
}

/// The spool's state in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages with a recipient that is not settled.
    pub waiting: u64,
    /// Octets of their records.
    pub live_octets: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Damaged pieces in quarantine.
    pub quarantined: u64,
    /// Records written.
    pub appends: u64,
    /// Syncs made.
    pub syncs: u64,
    /// Writes and syncs that failed.
    pub failures: u64,
}

/// Messages in memory from acceptance to the first attempt.
#[derive(Default)]
struct Hot {
    messages: HashMap<QueueId, Arc<Stored>>,
    octets: usize,
}

impl Hot {
    fn remove(&mut self, id: QueueId) {
        if let Some(stored) = self.messages.remove(&id) {
            self.octets -= stored.submission.body.octets().len();
        }
    }
}

pub(crate) struct Inner {
    journal: Journal,
    index: Mutex<Index>,
    hot: Mutex<Hot>,
    hot_octets_max: usize,
    segment_octets: u64,
    quarantined: AtomicU64,
}

/// A handle to the spool; clones share it.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
    queue: mpsc::Sender<Spooled>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("journal", &self.inner.journal).finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens the spool in this folder, which is made if missing. All that waits, and from then on
    /// each message that is put, comes out of `queue` once, after it is on disk.
    pub fn open(
        folder: &Path,
        options: &Options,
        queue: mpsc::Sender<Spooled>,
    ) -> Result<Self, OpenError> {
        let journal = Journal::open(folder, &options.journal)
            .map_err(|error| OpenError(error.to_string()))?;
        let index = recover(&journal)?;
        let wrap = |error: io::Error| OpenError(error.to_string());
        let quarantined = journal.folder().quarantined().map_err(wrap)?;
        let inner = Arc::new(Inner {
            journal,
            index: Mutex::new(index),
            hot: Mutex::new(Hot::default()),
            hot_octets_max: options.hot_octets_max,
            segment_octets: options.journal.segment_octets,
            quarantined: AtomicU64::new(quarantined),
        });
        let waiting = inner.index().ids();
        let (reader, sender) = (Arc::downgrade(&inner), queue.clone());
        thread("spool-recovery", move || hand_out(&reader, &sender, waiting)).map_err(wrap)?;
        let janitor = Arc::downgrade(&inner);
        thread("spool-janitor", move || sweep(&janitor)).map_err(wrap)?;
        Ok(Self { inner, queue })
    }

    /// Takes responsibility: returns when the message is on disk and synced, and not before.
    ///
    /// If the caller stops waiting, the message may still be taken. A queue that is full makes the
    /// caller wait.
    pub async fn put(&self, submission: Submission) -> Result<(), PutError> {
        let closed = |_| PutError::Failed("the queue has stopped".to_owned());
        let permit = self.queue.clone().reserve_owned().await.map_err(closed)?;
        let draft = draft(&Entry::Accept(Accept::of(&submission)), submission.body.octets())?;
        let octets = draft.octets();
        let spooled = submission.spooled();
        let unsettled: Vec<_> =
            (0..submission.envelope.recipients.len() as u32).map(RecipientIndex).collect();
        let stored = Arc::new(Stored { submission, unsettled });
        let (tell, told) = oneshot::channel();
        let inner = Arc::downgrade(&self.inner);
        let done = Box::new(move |result: Result<Position, AppendError>| {
            let taken = result.map(|position| {
                if let Some(inner) = inner.upgrade() {
                    inner.arrive(&stored, position, octets);
                }
                permit.send(spooled);
            });
            // The client may have gone: the message is taken all the same.
            let _gone = tell.send(taken);
        });
        self.inner.journal.append(draft, done);
        match told.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(AppendError::Full)) => Err(PutError::Full),
            Ok(Err(error)) => Err(PutError::Failed(error.to_string())),
            Err(_) => Err(PutError::Failed("the writer has stopped".to_owned())),
        }
    }

    /// The message, if it is still in memory from being put; never touches the disk.
    pub fn hot(&self, id: QueueId) -> Option<Arc<Stored>> {
        self.inner.hot.lock().messages.get(&id).cloned()
    }

    /// Reads the message from disk; blocks.
    pub fn get(&self, id: QueueId) -> Result<Arc<Stored>, GetError> {
        self.inner.get(id).map(Arc::new)
    }

    /// Whether a recipient of this message is not settled.
    pub fn contains(&self, id: QueueId) -> bool {
        self.inner.index().get(id).is_some()
    }

    /// Notes an attempt. Returns at once; written and synced with the next group.
    pub fn mark(&self, mark: Mark) {
        let entry = MarkEntry {
            id: mark.id,
            recipients: mark.recipients,
            attempts: mark.attempts,
            due: mark.due,
            diagnosis: Some(mark.diagnosis),
        };
        self.inner.hot.lock().remove(mark.id);
        let mut index = self.inner.index();
        if index.get(mark.id).is_none() {
            return;
        }
        // Under the index's lock, so that the journal has the order of the index.
        if let Ok(draft) = draft(&Entry::Mark(entry.clone()), &Bytes::new()) {
            Inner::append_soon(&self.inner, draft, SETTLE_TRIES_MAX);
        }
        index.mark(entry);
    }

    /// These recipients are done with. Returns at once; written and synced with the next group.
    pub fn settle(&self, id: QueueId, recipients: &[RecipientIndex]) {
        let mut index = self.inner.index();
        if index.get(id).is_none() {
            return;
        }
        let entry = Entry::Settle { id, recipients: recipients.to_vec() };
        if let Ok(draft) = draft(&entry, &Bytes::new()) {
            Inner::append_soon(&self.inner, draft, SETTLE_TRIES_MAX);
        }
        let gone = index.settle(id, recipients);
        drop(index);
        let mut hot = self.inner.hot.lock();
        if gone {
            hot.remove(id);
        } else if let Some(stored) = hot.messages.get_mut(&id) {
            Arc::make_mut(stored).unsettled.retain(|left| !recipients.contains(left));
        }
    }

    /// Returns when all that was marked and settled before is on disk.
    pub async fn flush(&self) -> Result<(), PutError> {
        let (tell, told) = oneshot::channel();
        self.inner.barrier(move |result| {
            let _gone = tell.send(result);
        });
        match told.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(PutError::Failed(error.to_string())),
            Err(_) => Err(PutError::Failed("the writer has stopped".to_owned())),
        }
    }

    /// The newest id among the waiting messages.
    pub fn newest(&self) -> Option<QueueId> {
        self.inner.index().newest()
    }

    /// The spool in numbers.
    pub fn stats(&self) -> Stats {
        let counters = self.inner.journal.counters();
        let segments = self.inner.journal.segments().len() as u64;
        let index = self.inner.index();
        Stats {
            waiting: index.len() as u64,
            live_octets: index.live_octets(),
            segments,
            quarantined: self.inner.quarantined.load(Ordering::Relaxed),
            appends: counters.appends.load(Ordering::Relaxed),
            syncs: counters.syncs.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
        }
    }
}

impl Inner {
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock()
    }

    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) const fn segment_octets(&self) -> u64 {
        self.segment_octets
    }

    /// The message is on disk.
    fn arrive(&self, stored: &Arc<Stored>, position: Position, octets: u64) {
        let submission = &stored.submission;
        let recipients = submission.envelope.recipients.len() as u32;
        self.index().insert(submission.id, position, octets, recipients);
        let size = submission.body.octets().len();
        let mut hot = self.hot.lock();
        if hot.octets + size <= self.hot_octets_max {
            hot.octets += size;
            hot.messages.insert(submission.id, Arc::clone(stored));
        }
    }

    fn get(&self, id: QueueId) -> Result<Stored, GetError> {
        let (position, octets) = {
            let index = self.index();
            let slot = index.get(id).ok_or(GetError::Unknown)?;
            (slot.position, u64::from(slot.octets))
        };
        let (meta, body) = match self.journal.read(position, octets) {
            Ok(parts) => parts,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.give_up(id, position, octets, &error.to_string()));
            }
            // Its segment went between the look and the read: it was moved or settled.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let moved = self.index().get(id).is_some_and(|slot| slot.position != position);
                return if moved { self.get(id) } else { Err(GetError::Unknown) };
            }
            Err(error) => return Err(GetError::Failed(error.to_string())),
        };
        let accept = match entry::decode(&meta) {
            Ok(Entry::Accept(accept) | Entry::Moved { accept, .. }) if accept.id == id => accept,
            _ => return Err(self.give_up(id, position, octets, "not the entry expected")),
        };
        let index = self.index();
        let unsettled = index.get(id).ok_or(GetError::Unknown)?.unsettled();
        Ok(Stored { submission: accept.into_submission(body), unsettled })
    }

    /// A damaged message is kept in quarantine, where an operator can look at it, and waits no more.
    fn give_up(&self, id: QueueId, position: Position, octets: u64, why: &str) -> GetError {
        let folder = self.journal.folder();
        let kept = Scanner::open(folder, position.segment, false)
            .map_err(|error| error.to_string())
            .and_then(|scanner| {
                let raw = scanner.raw(position.offset, octets);
                raw.and_then(|raw| folder.quarantine(position.segment, position.offset, &raw))
                    .map_err(|error| error.to_string())
            });
        if let Err(error) = kept {
            return GetError::Failed(format!("{why}, and it could not be quarantined: {error}"));
        }
        self.quarantined.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%id, why, "a damaged message was moved to quarantine");
        self.index().remove(id);
        GetError::Damaged(why.to_owned())
    }

    /// Writes a record that nobody waits for, and again if that failed.
    fn append_soon(this: &Arc<Self>, draft: Draft, tries: u32) {
        let (weak, again) = (Arc::downgrade(this), draft.clone());
        let done = Box::new(move |result: Result<Position, AppendError>| {
            let Err(error) = result else { return };
            match weak.upgrade() {
                Some(inner) if tries > 1 && error != AppendError::Closed => {
                    Self::append_soon(&inner, again, tries - 1);
                }
                _ => tracing::error!(%error, "a settlement was not written: it may be repeated"),
            }
        });
        this.journal.append_soon(draft, Some(done));
    }

    /// Writes a message again at the head of the journal.
    pub(crate) fn move_message(
        self: &Arc<Self>,
        accept: Accept,
        from: Position,
        octets: u64,
    ) -> Result<(), String> {
        let (_, body) = match self.journal.read(from, octets) {
            Ok(parts) => parts,
            Err(error) => {
                self.give_up(accept.id, from, octets, &error.to_string());
                return Ok(());
            }
        };
        let id = accept.id;
        let index = self.index();
        let Some(slot) = index.get(id).filter(|slot| slot.position == from) else { return Ok(()) };
        let (settled, marks) = (slot.settled(), slot.marks().to_vec());
        let entry = Entry::Moved { accept, settled, marks };
        let draft = draft(&entry, &body).map_err(|error| error.to_string())?;
        let octets = draft.octets();
        let weak = Arc::downgrade(self);
        let done = Box::new(move |result: Result<Position, AppendError>| {
            if let (Ok(to), Some(inner)) = (result, weak.upgrade()) {
                inner.index().moved(id, from, to, octets);
            }
        });
        // Under the index's lock: what is settled from now on comes behind it in the journal.
        self.journal.append_soon(draft, Some(done));
        drop(index);
        Ok(())
    }

    /// Calls back when all that was appended before is on disk.
    fn barrier(&self, done: impl FnOnce(Result<(), AppendError>) + Send + 'static) {
        let nothing = Entry::Settle { id: QueueId::from_u64(0), recipients: Vec::new() };
        match draft(&nothing, &Bytes::new()) {
            Ok(draft) => {
                self.journal.append(draft, Box::new(move |result| done(result.map(|_| ()))))
            }
            Err(error) => done(Err(AppendError::Failed(error.to_string()))),
        }
    }

    pub(crate) fn flush_blocking(&self) {
        let (tell, told) = std::sync::mpsc::channel();
        self.barrier(move |_| {
            let _gone = tell.send(());
        });
        let _closed = told.recv();
    }

    /// The message as the queue needs to know it, with what attempts left to do.
    fn spooled(&self, id: QueueId) -> Result<Spooled, GetError> {
        let stored = self.get(id)?;
        let index = self.index();
        let slot = index.get(id).ok_or(GetError::Unknown)?;
        let mut spooled = stored.submission.spooled();
        spooled.destinations.clear();
        for recipient in &stored.unsettled {
            let all = &stored.submission.envelope.recipients;
            let Some(path) = all.get(recipient.0 as usize) else { continue };
            let domain = path.forward_path.0.domain();
            if spooled.destinations.iter().any(|waiting| waiting.domain == *domain) {
                continue;
            }
            let mark = slot.marks().iter().find(|mark| mark.recipients.contains(recipient));
            spooled.destinations.push(Waiting {
                domain: domain.clone(),
                attempts: mark.map_or(0, |mark| mark.attempts),
                due: mark.map_or(spooled.accepted_at, |mark| mark.due),
            });
        }
        Ok(spooled)
    }
}

/// Folds the journal. Bodies are read only in the last segment, where one may be torn.
fn recover(journal: &Journal) -> Result<Index, OpenError> {
    let mut index = Index::default();
    let folder = journal.folder();
    let segments = journal.segments();
    for &segment in &segments {
        let last = segments.last() == Some(&segment);
        let wrap = |error: maily_journal::scan::ScanError| OpenError(error.to_string());
        let mut scanner = Scanner::open(folder, segment, last).map_err(wrap)?;
        loop {
            let (offset, octets) = match scanner.step().map_err(wrap)? {
                Next::Record(found) => match entry::decode(&found.meta) {
                    Ok(entry) => {
                        index.apply(&entry, found.position, found.octets);
                        continue;
                    }
                    Err(error @ entry::DecodeError::Newer(_)) => {
                        return Err(OpenError(format!("{error}: run the version that wrote it")));
                    }
                    Err(entry::DecodeError::Damaged(_)) => (found.position.offset, found.octets),
                },
                Next::Damage { offset, octets } => (offset, octets),
                Next::End => break,
            };
            tracing::error!(segment, offset, octets, "damage in the spool: kept in quarantine");
            scanner
                .raw(offset, octets)
                .and_then(|raw| folder.quarantine(segment, offset, &raw))
                .map_err(|error| OpenError(error.to_string()))?;
        }
    }
    Ok(index)
}

fn draft(entry: &Entry, body: &Bytes) -> Result<Draft, PutError> {
    let failed = |error: String| PutError::Failed(error);
    let meta = entry::encode(entry).map_err(|error| failed(error.to_string()))?;
    Draft::new(meta, body.clone()).map_err(|error| failed(error.to_string()))
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Hands out what was waiting when the spool was opened.
fn hand_out(inner: &Weak<Inner>, queue: &mpsc::Sender<Spooled>, ids: Vec<QueueId>) {
    for id in ids {
        let Some(spooled) = inner.upgrade().map(|inner| inner.spooled(id)) else { return };
        match spooled {
            Ok(spooled) => {
                if queue.blocking_send(spooled).is_err() {
                    return;
                }
            }
            Err(GetError::Unknown) => {}
            Err(error) => tracing::error!(%id, %error, "a waiting message could not be read"),
        }
    }
}

/// Gives back space until the spool is closed.
fn sweep(inner: &Weak<Inner>) {
    loop {
        std::thread::sleep(JANITOR_PAUSE);
        let Some(inner) = inner.upgrade() else { return };
        while janitor::round(&inner) {}
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
