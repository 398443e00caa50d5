//! A durable map from octets to octets, for what is small enough to be in memory and must not be
//! lost: what operators registered, who must not be written to, how far a reader has come.
//!
//! Each change is a record of a journal of the table's own. It is seen by readers, and its author
//! is told, once it is synced; what is put at the same time shares a sync. From time to time all is
//! written to a checkpoint. The one before it stays, with the journal behind that: so a checkpoint
//! that is damaged costs nothing, and one damaged record costs one change and is told.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use parking_lot::Mutex;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::change;
use crate::change::Change;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::CheckpointWriter;
use crate::checkpoint::Generation;
use crate::journal;
use crate::journal::AppendError;
use crate::journal::Journal;
use crate::journal::Options;
use crate::packed::Packer;
use crate::record::Draft;
use crate::rows::Rows;
use crate::scan::Next;
use crate::scan::ScanError;
use crate::scan::Scanner;
use crate::segment::Folder;

/// Octets of a key.
pub const KEY_OCTETS_MAX: usize = 4 << 10;
/// Octets of a value.
pub const VALUE_OCTETS_MAX: usize = 16 << 20;
/// Changes that can be made together.
pub const CHANGES_MAX: usize = 100_000;
/// Octets of all changes that are made together.
pub const CHANGES_OCTETS_MAX: usize = 64 << 20;

/// The format of checkpoints; see [`change`] for that of their rows.
const FORMAT: u8 = 1;
/// As much journal as these segments hold is read quickly enough.
const SEGMENTS_BEHIND: u64 = 4;
/// Rows that are copied at once for a checkpoint, while others wait.
const ROWS: usize = 1_024;

/// A table could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its journal could not be opened.
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    /// A segment could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A newer version of Maily wrote it.
    #[error("{0} was written by a newer version: run that one")]
    Newer(PathBuf),
    /// Neither checkpoint can be used, and what they covered is not in the journal any more.
    #[error(
        "{0}: both checkpoints are damaged or gone (see its folder quarantine): \
         put one back from a copy of the folder"
    )]
    Lost(PathBuf),
    /// The file system said no.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// A change was not made. After [`PutError::Failed`] it may be there at the next start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// A key, a value, or all together are larger than can be kept.
    #[error("{0} is too large for the table")]
    TooLarge(&'static str),
    /// The disk has no room.
    #[error("the table's disk is full")]
    Full,
    /// A write or sync failed.
    #[error("the table could not be written: {0}")]
    Failed(String),
}

/// What the writer's thread changes.
struct State {
    rows: RwLock<Rows>,
    /// Octets of records that no checkpoint covers.
    behind: AtomicU64,
    behind_min: u64,
    due: SyncSender<()>,
}

impl State {
    fn apply(&self, changes: Vec<Change>, octets: u64) {
        let mut rows = self.rows.write();
        changes.into_iter().for_each(|change| rows.apply(change));
        let (live, packing) = (rows.octets(), rows.is_due());
        drop(rows);
        let behind = self.behind.fetch_add(octets, Ordering::Relaxed) + octets;
        // What is written for checkpoints stays in proportion to what is written for changes.
        if behind > self.behind_min.max(live) || packing {
            // Full means that it is told already.
            let _told = self.due.try_send(());
        }
    }

    /// Whether so much is behind the last checkpoint that another is due.
    fn is_behind(&self) -> bool {
        let live = self.rows.read().octets();
        self.behind.load(Ordering::Relaxed) > self.behind_min.max(live)
    }

    /// Packs what has changed, if that is worth it, beside those who read and write.
    fn pack(&self) {
        let packing = self.rows.write().freeze();
        if let Some(packing) = packing {
            let packed = packing.pack();
            self.rows.write().thaw(packed);
        }
    }

    /// Up to so many rows that begin so, behind a key.
    fn page(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Bytes, Bytes)> {
        self.rows.read().page(prefix, after, limit)
    }
}

/// The first segments that the two checkpoints do not cover.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    last: Option<u64>,
    before: Option<u64>,
}

struct Inner {
    journal: Journal,
    state: Arc<State>,
    kept: Mutex<Kept>,
    quarantined: u64,
}

/// A handle to a table; clones share it.
#[derive(Clone)]
pub struct Table {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("journal", &self.inner.journal).finish_non_exhaustive()
    }
}

impl Table {
    /// Opens the table in this folder, which is made if missing and holds nothing else, for this
    /// process alone; blocks. [`Options::small`] suits most tables.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let journal = Journal::open(folder, options)?;
        let mut load = Load::new(journal.folder());
        let kept = load.checkpoint()?;
        let segments = journal.segments();
        let covered = kept.last.or(kept.before);
        let missing = match covered {
            Some(covered) => covered > journal.active(),
            None => segments.first().map_or(load.put_aside > 0, |first| *first > 1),
        };
        if missing {
            return Err(OpenError::Lost(folder.to_owned()));
        }
        let behind = segments.into_iter().filter(|segment| covered.is_none_or(|c| *segment >= c));
        behind.into_iter().try_for_each(|segment| load.fold(segment))?;
        let wrap = |error| OpenError::Io { path: folder.to_owned(), error };
        let quarantined = load.folder.quarantined().map_err(wrap)?;
        let (due, told) = std::sync::mpsc::sync_channel(1);
        let state = Arc::new(State {
            rows: RwLock::new(load.rows),
            behind: AtomicU64::new(0),
            behind_min: options.segment_octets.saturating_mul(SEGMENTS_BEHIND),
            due,
        });
        state.apply(Vec::new(), load.octets);
        let inner = Arc::new(Inner { journal, state, kept: Mutex::new(kept), quarantined });
        let weak = Arc::downgrade(&inner);
        let thread = std::thread::Builder::new().name("table".to_owned());
        thread.spawn(move || keep(&weak, &told)).map_err(wrap)?;
        Ok(Self { inner })
    }

    /// Gives a key a value: returns when that is on disk and synced, and not before.
    ///
    /// # Errors
    /// It was not made.
    pub async fn put(&self, key: &[u8], value: Bytes) -> Result<(), PutError> {
        self.change(vec![Change::Put(Bytes::copy_from_slice(key), value)]).await
    }

    /// Gives several keys their values, all or none.
    ///
    /// # Errors
    /// None of it was made.
    pub async fn put_all(&self, rows: Vec<(Bytes, Bytes)>) -> Result<(), PutError> {
        self.change(rows.into_iter().map(|(key, value)| Change::Put(key, value)).collect()).await
    }

    /// Takes a key away, if it is there: returns when that is on disk and synced.
    ///
    /// # Errors
    /// It was not made.
    pub async fn remove(&self, key: &[u8]) -> Result<(), PutError> {
        self.change(vec![Change::Remove(Bytes::copy_from_slice(key))]).await
    }

    /// Makes several changes in this order, all or none: readers see none of them, or all; so does
    /// a start after a crash. If the caller stops waiting, they may still be made.
    ///
    /// # Errors
    /// None of it was made.
    pub async fn change(&self, changes: Vec<Change>) -> Result<(), PutError> {
        check(&changes)?;
        if changes.is_empty() {
            return Ok(());
        }
        let draft = Draft::new(Bytes::from(change::encode(&changes)), Bytes::new())
            .map_err(|_| PutError::TooLarge("what is changed together"))?;
        let octets = draft.octets();
        let state = Arc::clone(&self.inner.state);
        let (tell, told) = oneshot::channel();
        let done = Box::new(move |result: Result<_, AppendError>| {
            let written = result.map(|_| state.apply(changes, octets));
            // Whoever asked may have gone: the change holds all the same.
            let _gone = tell.send(written);
        });
        self.inner.journal.append(draft, done);
        match told.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(AppendError::Full)) => Err(PutError::Full),
            Ok(Err(error)) => Err(PutError::Failed(error.to_string())),
            Err(_) => Err(PutError::Failed("the writer has stopped".to_owned())),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.inner.state.rows.read().get(key)
    }

    /// What `read` makes of the values of several keys, sooner than one by one. It must be short:
    /// no change is made meanwhile.
    pub fn read_all<const N: usize, T>(
        &self,
        keys: [&[u8]; N],
        read: impl Fn(&[u8]) -> T,
    ) -> [Option<T>; N] {
        self.inner.state.rows.read().read_all(keys, read)
    }

    /// Whether a key has a value.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Keys that begin so, with their values, in the order of their octets: up to `limit` of them,
    /// behind the key `after`.
    pub fn scan_prefix(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<(Bytes, Bytes)> {
        self.inner.state.page(prefix, after, limit)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.inner.state.rows.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of memory that its packed rows take; what has changed since they were packed takes
    /// more.
    pub fn packed_octets(&self) -> usize {
        self.inner.state.rows.read().packed_octets()
    }

    /// Damaged pieces that were found when it was opened, now or earlier; they are in its
    /// `quarantine`.
    pub fn quarantined(&self) -> u64 {
        self.inner.quarantined
    }

    /// Writes all down in one piece, so that the next start is short, and gives back space; blocks.
    /// It comes by itself when it is due.
    ///
    /// # Errors
    /// The old ones stay.
    pub fn checkpoint(&self) -> io::Result<()> {
        self.inner.checkpoint()
    }
}

fn check(changes: &[Change]) -> Result<(), PutError> {
    let mut octets = 0_usize;
    for change in changes {
        let (key, value) = change.parts();
        if key.len() > KEY_OCTETS_MAX {
            return Err(PutError::TooLarge("a key"));
        }
        if value.len() > VALUE_OCTETS_MAX {
            return Err(PutError::TooLarge("a value"));
        }
        octets = octets.saturating_add(key.len() + value.len());
    }
    if changes.len() > CHANGES_MAX || octets > CHANGES_OCTETS_MAX {
        return Err(PutError::TooLarge("what is changed together"));
    }
    Ok(())
}

/// Packs and writes checkpoints when it is due, until the table is closed.
fn keep(inner: &Weak<Inner>, due: &Receiver<()>) {
    while due.recv().is_ok() {
        let Some(inner) = inner.upgrade() else { return };
        inner.state.pack();
        if !inner.state.is_behind() {
            continue;
        }
        if let Err(error) = inner.checkpoint() {
            tracing::warn!(%error, "no checkpoint of a table could be written");
        }
    }
}

impl Inner {
    fn checkpoint(&self) -> io::Result<()> {
        let mut kept = self.kept.lock();
        self.state.behind.store(0, Ordering::Relaxed);
        // All that is in earlier segments is in memory: the writer says so before it goes on. What
        // changes while this is written is in a segment that is not covered, and is made again at
        // the start, which does no harm: the last change of each key counts.
        let covered = self.journal.active();
        let head = [&[FORMAT], covered.to_le_bytes().as_slice()].concat();
        let mut writer = CheckpointWriter::create(self.journal.folder(), &head)?;
        let mut after: Option<Bytes> = None;
        loop {
            let rows = self.state.page(&[], after.as_deref(), ROWS);
            let Some((last, _)) = rows.last() else { break };
            after = Some(last.clone());
            for (key, value) in rows {
                writer.push(&change::encode(&[Change::Put(key, value)]))?;
            }
        }
        writer.finish_beside()?;
        kept.before = kept.last.or(kept.before);
        kept.last = Some(covered);
        self.drop_before(kept.before.unwrap_or_default())
    }

    /// Gives back the segments that the checkpoint before covers. The last one stays, because new
    /// ones are counted from it.
    fn drop_before(&self, limit: u64) -> io::Result<()> {
        let mut segments = self.journal.segments();
        segments.pop();
        let old = segments.into_iter().filter(|segment| *segment < limit);
        old.into_iter().try_for_each(|segment| self.journal.drop_segment(segment))
    }
}

/// What is done when a table is opened.
struct Load {
    folder: Folder,
    rows: Rows,
    /// Of the records that were read.
    octets: u64,
    /// Checkpoints that were damaged.
    put_aside: u32,
}

impl Load {
    fn new(folder: &Folder) -> Self {
        Self { folder: folder.clone(), rows: Rows::default(), octets: 0, put_aside: 0 }
    }

    fn io(&self, error: io::Error) -> OpenError {
        OpenError::Io { path: self.folder.path().to_owned(), error }
    }

    /// Reads the last checkpoint that is whole; says what there is.
    fn checkpoint(&mut self) -> Result<Kept, OpenError> {
        let last = self.find(Generation::Last)?;
        let before = self.find(Generation::Before)?;
        let kept = Kept {
            last: last.as_ref().map(|(_, covered)| *covered),
            before: before.as_ref().map(|(_, covered)| *covered),
        };
        let Some((checkpoint, _)) = last.or(before) else { return Ok(kept) };
        let (mut packer, mut understood) = (Packer::default(), true);
        // They come in the order of their keys.
        let (mut last, mut octets, mut others) = (Bytes::new(), 0, Vec::new());
        let read = checkpoint.each(|row| {
            let changes = change::decode(row);
            understood = changes.is_some();
            for change in changes.into_iter().flatten() {
                match change {
                    Change::Put(key, value) if key > last || octets == 0 => {
                        packer.push(&key, &value);
                        octets += (key.len() + value.len()) as u64;
                        last = key;
                    }
                    other => others.push(other),
                }
            }
            understood
        });
        read.map_err(|error| self.io(error))?;
        self.rows = Rows::of(packer.finish(), octets);
        others.into_iter().for_each(|change| self.rows.apply(change));
        if understood { Ok(kept) } else { Err(OpenError::Newer(self.folder.path().to_owned())) }
    }

    /// A checkpoint, and the first segment that it does not cover. One that is damaged is kept
    /// aside and counted.
    fn find(&mut self, which: Generation) -> Result<Option<(Checkpoint, u64)>, OpenError> {
        let checkpoint = match Checkpoint::of(&self.folder, which) {
            Ok(checkpoint) => checkpoint,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                tracing::error!(%error, "a checkpoint is damaged: kept in quarantine");
                self.put_aside += 1;
                self.put_aside(which).map_err(|error| self.io(error))?;
                return Ok(None);
            }
            Err(error) => return Err(self.io(error)),
        };
        let covered = match checkpoint.head.split_first() {
            Some((&FORMAT, covered)) => covered.first_chunk::<8>().map(|n| u64::from_le_bytes(*n)),
            _ => None,
        };
        let newer = || OpenError::Newer(which.path_in(&self.folder));
        Ok(Some((checkpoint, covered.ok_or_else(newer)?)))
    }

    fn put_aside(&self, which: Generation) -> io::Result<()> {
        let folder = self.folder.path().join("quarantine");
        let number = self.folder.quarantined()?;
        std::fs::rename(which.path_in(&self.folder), folder.join(format!("table-{number}.bad")))?;
        std::fs::File::open(folder)?.sync_all()?;
        self.folder.sync()
    }

    /// Makes the changes that are in a segment.
    fn fold(&mut self, segment: u64) -> Result<(), OpenError> {
        let mut scanner = Scanner::open(&self.folder, segment)?;
        loop {
            let (offset, octets) = match scanner.step()? {
                Next::Record(found) => {
                    if found.meta.first().is_some_and(|format| *format > change::FORMAT) {
                        return Err(OpenError::Newer(self.folder.segment_path(segment)));
                    }
                    self.octets += found.octets;
                    if let Some(changes) = change::decode(&found.meta) {
                        changes.into_iter().for_each(|change| self.rows.apply(change));
                        continue;
                    }
                    (found.position.offset, found.octets)
                }
                Next::Damage { offset, octets } => (offset, octets),
                Next::End => return Ok(()),
            };
            let raw = scanner.raw(offset, octets).map_err(|error| self.io(error))?;
            tracing::error!(segment, offset, octets, "damage in a table: kept in quarantine");
            self.folder.quarantine(segment, offset, &raw).map_err(|error| self.io(error))?;
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
