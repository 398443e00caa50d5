//! The spool: every accepted message until its last recipient is settled.
//!
//! [`Spool::put`] returns after the message is on disk and synced, and not before. Everything else
//! here may be lost and made again: the index is a fold of the journal.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;
use maily_journal::journal::AppendError;
use maily_journal::journal::Journal;
use maily_journal::journal::Options as JournalOptions;
use maily_journal::scan::Position;

use crate::body::Body;
use crate::checkpoint;
use crate::entry::Entry;
use crate::entry::MarkEntry;
use crate::error::GetError;
use crate::error::OpenError;
use crate::error::PutError;
use crate::index::Index;
use crate::inner::Hot;
use crate::inner::Inner;
use crate::inner::TRIES_MAX;
use crate::inner::draft;
use crate::janitor;
use crate::kept::KeptTemplate;
use crate::keyed::KEYS_MAX;
use crate::recovery;
use crate::slot::Slot;
use crate::slot::SlotMark;
use crate::submission::Mark;
use crate::submission::Spooled;
use crate::submission::Stored;
use crate::submission::Submission;

/// How often the janitor looks for space to give back.
const JANITOR_PAUSE: Duration = Duration::from_millis(200);
/// Pauses after a checkpoint that could not be written.
const CHECKPOINT_REST: u32 = 300;

/// How the spool is kept.
#[derive(Clone)]
pub struct Options {
    /// How its journal is kept.
    pub journal: JournalOptions,
    /// Octets of messages kept in memory from acceptance to the first attempt.
    pub hot_octets_max: usize,
    /// Idempotency keys that are known at once.
    pub keys_max: usize,
}

impl Default for Options {
    /// The journal's defaults, 16 MiB, and [`KEYS_MAX`].
    fn default() -> Self {
        let journal = JournalOptions::default();
        Self { journal, hot_octets_max: 16 << 20, keys_max: KEYS_MAX }
    }
}

/// The spool's state in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Not all that waits is known yet: it is being read.
    pub recovering: bool,
    /// Messages with a recipient that is not settled, as far as they are known.
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

/// A handle to the spool; clones share it.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
    queue: mpsc::Sender<Spooled>,
    newest: Option<QueueId>,
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
        let newest = recovery::newest(&journal)?;
        let wrap = |error: io::Error| OpenError(error.to_string());
        let quarantined = journal.folder().quarantined().map_err(wrap)?;
        // Before the first append: what is written from now on is known without being read.
        let segments = journal.segments();
        let inner = Arc::new(Inner {
            journal,
            index: Mutex::new(Index::default()),
            hot: Mutex::new(Hot::default()),
            hot_octets_max: options.hot_octets_max,
            segment_octets: options.journal.segment_octets,
            quarantined: AtomicU64::new(quarantined),
            recovered: AtomicBool::new(false),
            covered: Mutex::default(),
            keeping: Mutex::default(),
            keys_read: watch::Sender::new(None),
        });
        inner.index().limit_keys(options.keys_max);
        let (reader, sender) = (Arc::downgrade(&inner), queue.clone());
        let recover = move || recovery::run(&reader, &sender, &segments);
        thread("spool-recovery", recover).map_err(wrap)?;
        let janitor = Arc::downgrade(&inner);
        thread("spool-janitor", move || sweep(&janitor)).map_err(wrap)?;
        Ok(Self { inner, queue, newest })
    }

    /// Takes responsibility: returns when the message is on disk and synced, and not before.
    ///
    /// If the caller stops waiting, the message may still be taken. A queue that is full makes the
    /// caller wait.
    pub async fn put(&self, submission: Submission) -> Result<(), PutError> {
        let permit = self.queue.clone().reserve_owned().await.map_err(|_| PutError::stopped())?;
        self.inner.index().expire_keys(submission.accepted_at);
        let (tell, told) = oneshot::channel();
        let tell = move |taken| {
            // The client may have gone: the message is taken all the same.
            let _gone = tell.send(taken);
        };
        let (draft, done) = self.prepare(submission, permit, tell)?;
        self.inner.journal.append(draft, done);
        written(told).await
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(crate) const fn queue(&self) -> &mpsc::Sender<Spooled> {
        &self.queue
    }

    /// The number of the body's template, held so that it stays; 0 if it has none.
    pub(crate) fn hold_template(&self, body: &Body) -> Result<u16, PutError> {
        let Body::Template { template, .. } = body else { return Ok(0) };
        let mut index = self.inner.index();
        let found = index.templates().find(template).filter(|(_, t)| t.place.is_some());
        let (number, _) = found.ok_or(PutError::UnknownTemplate)?;
        index.templates().hold(number);
        Ok(number)
    }

    /// Keeps a template: returns when it is on disk. It stays as long as what is given is held, and
    /// as long as mail that waits is rendered from it; it may go when neither is.
    pub async fn put_template(&self, content: Bytes) -> Result<KeptTemplate, PutError> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
        let name = digest.as_ref().first_chunk::<32>().copied().unwrap_or_default();
        let (number, placed) = {
            let mut index = self.inner.index();
            let number = index.templates().number(name).ok_or(PutError::TooManyTemplates)?;
            index.templates().hold(number);
            (number, index.templates().get(number).is_some_and(|found| found.place.is_some()))
        };
        let kept = KeptTemplate::new(&self.inner, name, number);
        if placed {
            return Ok(kept);
        }
        let draft = draft(&Entry::Template(name), &content)?;
        let octets = draft.octets();
        let (tell, told) = oneshot::channel();
        let inner = Arc::downgrade(&self.inner);
        let done = Box::new(move |result: Result<Position, AppendError>| {
            let taken = result.map(|position| {
                if let Some(inner) = inner.upgrade() {
                    inner.index().place_template(name, position, octets);
                }
            });
            let _gone = tell.send(taken);
        });
        self.inner.journal.append(draft, done);
        written(told).await.map(|()| kept)
    }

    /// A template's content; blocks.
    pub fn template(&self, name: &[u8; 32]) -> Result<Bytes, GetError> {
        self.inner.template(name)
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

    /// How many recipients this message has, settled or not; none if all are settled.
    pub fn recipients(&self, id: QueueId) -> Option<u32> {
        self.inner.index().get(id).map(Slot::recipients)
    }

    /// Notes an attempt. Returns at once; written and synced with the next group.
    pub fn mark(&self, mark: Mark) {
        let Mark { id, recipients, attempts, due, diagnosis } = mark;
        let slot_mark = SlotMark { recipients: recipients.clone(), attempts, due, at: None };
        let told = recipients.clone();
        let entry = MarkEntry { id, recipients, attempts, due, diagnosis: Some(diagnosis) };
        self.inner.hot.lock().remove(id);
        let draft = draft(&Entry::Mark(entry), &Bytes::new());
        let mut index = self.inner.index();
        if index.get(id).is_none() {
            return;
        }
        // Under the index's lock, so that the journal has the order of the index.
        if let Ok(draft) = draft {
            let lands = move |inner: &Inner, at| inner.index().marked(id, &told, attempts, at);
            Inner::append_soon(&self.inner, draft, TRIES_MAX, lands);
        }
        index.mark(id, slot_mark);
    }

    /// Notes that the sender was told of the delay of these recipients. Returns at once; written
    /// and synced with the next group.
    pub fn notice(&self, id: QueueId, recipients: &[RecipientIndex]) {
        let mut index = self.inner.index();
        if index.get(id).is_some() {
            self.inner.note(&Entry::Noticed { id, recipients: recipients.to_vec() });
            index.notice(id, recipients);
        }
    }

    /// The recipients of this message of whose delay the sender was told.
    pub fn noticed(&self, id: QueueId) -> Vec<RecipientIndex> {
        self.inner.index().get(id).map(Slot::noticed).unwrap_or_default()
    }

    /// What the last attempt for this recipient heard; none before the first. Reads the disk.
    pub fn heard(&self, id: QueueId, recipient: RecipientIndex) -> Option<Diagnosis> {
        self.inner.heard(id, recipient)
    }

    /// These recipients are done with. Returns at once; written and synced with the next group.
    pub fn settle(&self, id: QueueId, recipients: &[RecipientIndex]) {
        let mut index = self.inner.index();
        if index.get(id).is_none() {
            return;
        }
        self.inner.note(&Entry::Settle { id, recipients: recipients.to_vec() });
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

    /// Writes down what waits, so that the next start need not read the journal; blocks. Does
    /// nothing while not all is known yet.
    pub fn checkpoint(&self) -> io::Result<()> {
        let _keeping = self.inner.keeping.lock();
        if !self.inner.recovered.load(Ordering::Acquire) {
            return Ok(());
        }
        checkpoint::write(&self.inner)
    }

    /// The newest id that had been given when the spool was opened.
    pub const fn newest(&self) -> Option<QueueId> {
        self.newest
    }

    /// Messages with a recipient that is not settled.
    pub fn waiting(&self) -> u64 {
        self.inner.index().len() as u64
    }

    /// Octets that may still be written on its disk; asks the file system.
    pub fn free_octets(&self) -> io::Result<u64> {
        self.inner.journal().folder().free_octets()
    }

    /// The spool in numbers.
    pub fn stats(&self) -> Stats {
        let counters = self.inner.journal.counters();
        let segments = self.inner.journal.segments().len() as u64;
        let index = self.inner.index();
        Stats {
            recovering: !self.inner.recovered.load(Ordering::Acquire),
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

async fn written(told: oneshot::Receiver<Result<(), AppendError>>) -> Result<(), PutError> {
    match told.await {
        Ok(result) => result.map_err(PutError::from),
        Err(_) => Err(PutError::Failed("the writer has stopped".to_owned())),
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// Gives back space and writes checkpoints until the spool is closed.
fn sweep(inner: &Weak<Inner>) {
    let mut rest = 0;
    loop {
        std::thread::sleep(JANITOR_PAUSE);
        let Some(inner) = inner.upgrade() else { return };
        if !inner.recovered.load(Ordering::Acquire) {
            continue;
        }
        let _keeping = inner.keeping.lock();
        while janitor::round(&inner) {}
        if rest > 0 {
            rest -= 1;
        } else if checkpoint::is_due(&inner)
            && let Err(error) = checkpoint::write(&inner)
        {
            tracing::warn!(%error, "no checkpoint could be written: a restart will take longer");
            rest = CHECKPOINT_REST;
        }
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "damage_tests.rs"]
mod damage;

#[cfg(test)]
#[path = "batch_tests.rs"]
mod batches;
