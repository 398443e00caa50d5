//! The door of the journal: open, append, read, drop.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use parking_lot::RwLock;
use rustix::fs::FlockOperation;

use crate::inbox::Append;
use crate::inbox::Inbox;
use crate::record::Draft;
use crate::scan::Position;
use crate::scan::ScanError;
use crate::scan::read_meta;
use crate::scan::read_record;
use crate::segment::Folder;
use crate::segment::HeaderState;
use crate::segment::SEGMENT_HEADER_OCTETS;
use crate::segment::fill;
use crate::segment::read_header;
use crate::segment::read_stamp;
use crate::segment::sealed_end;
use crate::segment::trim;
use crate::shared::Shared;
use crate::writer::Writer;

pub use crate::inbox::AppendError;
pub use crate::inbox::Done;
pub use crate::shared::Counters;
pub use crate::writer::Disk;
pub use crate::writer::RealDisk;

/// Spare files kept for reuse: writing over blocks that were written before syncs twice as fast as
/// growing a file, and they are what a full disk still leaves us.
pub const SPARES_MAX: usize = 3;

/// A segment is not made larger than this, but for a single record.
pub const SEGMENT_OCTETS_MAX: u64 = 1 << 31;

/// A journal that is in use is tried this often before we give up.
const LOCK_TRIES: u32 = 100;
/// The pause between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How a journal is kept.
#[derive(Clone)]
pub struct Options {
    /// Octets of a segment.
    pub segment_octets: u64,
    /// How long an append that nobody waits for may wait for company.
    pub patience: Duration,
    /// How the disk is touched.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    /// Segments of 64 MiB, 20 ms of patience, the real disk.
    fn default() -> Self {
        Self {
            segment_octets: 64 << 20,
            patience: Duration::from_millis(20),
            disk: Arc::new(RealDisk),
        }
    }
}

impl Options {
    /// The same with segments of 1 MiB: for what is small, such as a table of settings.
    pub fn small() -> Self {
        Self { segment_octets: 1 << 20, ..Self::default() }
    }
}

/// The journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process: stop that one first")]
    InUse(PathBuf),
    /// A segment cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The file system said no.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// An open journal. Dropping it writes what waits and closes it.
pub struct Journal {
    folder: Folder,
    shared: Arc<Shared>,
    segment_octets: u64,
    writer: Mutex<Option<JoinHandle<()>>>,
    _lock: File,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in this folder, which is made if missing, for this process alone.
    ///
    /// Appends go to a new segment; what is there is read with [`crate::scan::Scanner`].
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let folder = Folder::new(path);
        // So that an offset fits into 32 bits: indexes of millions of records are made of them.
        let segment_octets = options.segment_octets.min(SEGMENT_OCTETS_MAX);
        let wrap = |error| OpenError::Io { path: path.to_owned(), error };
        folder.create().map_err(wrap)?;
        let lock = lock(path)?;
        let mut files = HashMap::new();
        let segments = folder.segments().map_err(wrap)?;
        let mut stamp = 0;
        for &segment in &segments {
            let file = File::open(folder.segment_path(segment)).map_err(wrap)?;
            if let HeaderState::Newer(format) = read_header(&file, segment).map_err(wrap)? {
                return Err(ScanError::Newer { segment, format }.into());
            }
            stamp = stamp.max(read_stamp(&file, segment).map_err(wrap)?.unwrap_or(0));
            if sealed_end(&file, segment).map_err(wrap)?.is_none() {
                trim_left(&folder, segment);
            }
            files.insert(segment, Arc::new(file));
        }
        let last = folder.highest().map_err(wrap)?;
        reserve(&folder, options).map_err(wrap)?;
        let shared = Arc::new(Shared {
            inbox: Inbox::new(),
            counters: Counters::default(),
            files: RwLock::new(files),
            active: AtomicU64::new(last + 1),
            stamp: AtomicU64::new(stamp),
        });
        let writer = Writer {
            folder: folder.clone(),
            disk: Arc::clone(&options.disk),
            shared: Arc::clone(&shared),
            segment_octets,
            patience: options.patience,
            file: None,
            segment: last,
            offset: 0,
            end: 0,
            reserved: false,
        };
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let writer = thread.spawn(move || writer.run()).map_err(wrap)?;
        Ok(Self { folder, shared, segment_octets, writer: Mutex::new(Some(writer)), _lock: lock })
    }

    /// Appends, and has `done` called in the writer's thread once the record is synced.
    pub fn append(&self, draft: Draft, done: Done) {
        self.push(Append { draft, urgent: true, done: Some(done) });
    }

    /// Appends several in this order, as many with one write as fit into a segment.
    pub fn append_all(&self, appends: Vec<(Draft, Done)>) {
        let append = |(draft, done)| Append { draft, urgent: true, done: Some(done) };
        let Err(appends) = self.shared.inbox.push_all(appends.into_iter().map(append).collect())
        else {
            return;
        };
        for done in appends.into_iter().filter_map(|append| append.done) {
            done(Err(AppendError::Closed));
        }
    }

    /// Appends with the next group, or a little later: for records that nobody waits for. They may
    /// use the space that is held back.
    pub fn append_soon(&self, draft: Draft, done: Option<Done>) {
        self.push(Append { draft, urgent: false, done });
    }

    fn push(&self, append: Append) {
        if let Err(append) = self.shared.inbox.push(append)
            && let Some(done) = append.done
        {
            done(Err(AppendError::Closed));
        }
    }

    /// Reads a whole record: its meta part and its body.
    ///
    /// # Errors
    /// `InvalidData` if it is damaged, `NotFound` if its segment is gone.
    pub fn read(&self, position: Position, octets: u64) -> io::Result<(Bytes, Bytes)> {
        let file = self.shared.files.read().get(&position.segment).cloned();
        let file = file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        read_record(&file, position, octets)
    }

    /// Reads the meta part of a record.
    ///
    /// # Errors
    /// `InvalidData` if it is damaged, `NotFound` if its segment is gone.
    pub fn read_meta(&self, position: Position) -> io::Result<Bytes> {
        let file = self.shared.files.read().get(&position.segment).cloned();
        let file = file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        read_meta(&file, position)
    }

    /// The segment that is being written, or will be next.
    pub fn active(&self) -> u64 {
        self.shared.active.load(Ordering::Acquire)
    }

    /// The highest stamp that was raised; after a restart, the one that the last segment was begun
    /// with, or none if that is not known.
    pub fn stamp(&self) -> u64 {
        self.shared.stamp()
    }

    /// The stamp that a segment was begun with; none if it is damaged, or there is no such segment.
    pub fn begun_with(&self, segment: u64) -> io::Result<Option<u64>> {
        let file = self.shared.files.read().get(&segment).cloned();
        file.map_or(Ok(None), |file| read_stamp(&file, segment))
    }

    /// Raises the stamp that segments are begun with from now on: whoever opens the journal later
    /// knows the highest number used before a segment without reading what is in it.
    pub fn raise(&self, stamp: u64) {
        self.shared.stamp.fetch_max(stamp, Ordering::AcqRel);
    }

    /// All segments, rising.
    pub fn segments(&self) -> Vec<u64> {
        let mut segments: Vec<_> = self.shared.files.read().keys().copied().collect();
        segments.sort_unstable();
        segments
    }

    /// Forgets a segment for good. Its file becomes a spare or is removed; returns when the folder
    /// is synced, so that no later segment can be gone while this one is back.
    pub fn drop_segment(&self, segment: u64) -> io::Result<()> {
        if segment >= self.active() {
            return Err(io::Error::other("the segment is being written"));
        }
        let Some(file) = self.shared.files.write().remove(&segment) else { return Ok(()) };
        let path = self.folder.segment_path(segment);
        let whole = file.metadata()?.len() == self.segment_octets;
        let wanted = whole && self.folder.spares()?.len() < SPARES_MAX;
        if wanted && File::options().write(true).open(&path).and_then(|file| fill(&file)).is_ok() {
            std::fs::rename(path, self.folder.spare_path(segment))?;
        } else {
            std::fs::remove_file(path)?;
        }
        self.folder.sync()
    }

    /// Where the files are.
    pub const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What the writer has done.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.inbox.close();
        let Some(writer) = self.writer.lock().take() else { return };
        // The last handle may go inside a callback: a thread cannot wait for itself.
        if writer.thread().id() != std::thread::current().id() && writer.join().is_err() {
            tracing::error!("the journal's writer died");
        }
    }
}

/// One spare is there from the start: what settling uses when the disk is full.
fn reserve(folder: &Folder, options: &Options) -> io::Result<()> {
    if !folder.spares()?.is_empty() {
        return Ok(());
    }
    let made = options.disk.allocate(&folder.spare_path(0), options.segment_octets);
    match made {
        Ok(file) => file.sync_all(),
        // On a disk that is already full we still start: settling may use what is there.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            tracing::warn!("the disk is full: no space could be held back");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// A process that was killed left this segment as long as it was made.
fn trim_left(folder: &Folder, segment: u64) {
    let file = File::options().read(true).write(true).open(folder.segment_path(segment));
    if let Err(error) = file.and_then(|file| trim(&file, SEGMENT_HEADER_OCTETS)) {
        tracing::warn!(%error, segment, "a segment could not be trimmed");
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let wrap = |error| OpenError::Io { path: path.to_owned(), error };
    let options = File::options().create(true).truncate(false).write(true).clone();
    let file = options.open(path.join("lock")).map_err(wrap)?;
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // The one before us may be on its way out: a restart, a handle in another thread.
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(wrap(error.into())),
        }
    }
    Err(OpenError::InUse(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use super::*;
    use crate::scan::Next;
    use crate::scan::Scanner;

    fn options() -> Options {
        Options { segment_octets: 4_096, ..Options::default() }
    }

    fn draft(text: &str) -> Draft {
        let body = Bytes::from(text.repeat(20));
        Draft::new(Bytes::from(text.to_owned()), body).unwrap()
    }

    fn append(journal: &Journal, text: &str) -> Result<Position, AppendError> {
        let (tx, rx) = mpsc::channel();
        journal.append(draft(text), Box::new(move |result| tx.send(result).unwrap()));
        rx.recv().unwrap()
    }

    fn texts(path: &Path) -> (Vec<String>, usize) {
        let folder = Folder::new(path);
        let (mut texts, mut damaged) = (Vec::new(), 0);
        for segment in folder.segments().unwrap() {
            let mut scanner = Scanner::open(&folder, segment).unwrap();
            loop {
                match scanner.step().unwrap() {
                    Next::Record(found) => {
                        texts.push(String::from_utf8(found.meta.to_vec()).unwrap());
                    }
                    Next::Damage { .. } => damaged += 1,
                    Next::End => break,
                }
            }
        }
        (texts, damaged)
    }

    #[test]
    fn what_was_appended_is_read_back_in_order_across_segments() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        let wanted: Vec<_> = (0..100).map(|n| format!("record {n}")).collect();
        let mut places = Vec::new();
        for text in &wanted {
            places.push((append(&journal, text).unwrap(), draft(text).octets()));
        }
        assert!(journal.segments().len() > 3);
        let (meta, body) = journal.read(places[41].0, places[41].1).unwrap();
        assert_eq!(meta, "record 41");
        assert_eq!(body, "record 41".repeat(20));
        drop(journal);
        assert_eq!(texts(dir.path()), (wanted, 0));
    }

    #[test]
    fn what_is_appended_together_is_in_order_and_takes_few_syncs() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        let (tx, rx) = mpsc::channel();
        let appends = (0..100).map(|n| -> (Draft, Done) {
            let tx = tx.clone();
            (draft(&format!("record {n}")), Box::new(move |result| tx.send(result).unwrap()))
        });
        journal.append_all(appends.collect());
        let places: Vec<_> = rx.iter().take(100).map(Result::unwrap).collect();
        assert!(places.is_sorted());
        let syncs = journal.counters().syncs.load(Ordering::Relaxed);
        assert!(syncs <= places[99].segment, "{syncs} syncs");
        drop(journal);
        assert_eq!(texts(dir.path()), ((0..100).map(|n| format!("record {n}")).collect(), 0));
    }

    #[test]
    fn a_dropped_segment_is_reused_and_its_old_records_do_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        for n in 0..60 {
            append(&journal, &format!("old {n}")).unwrap();
        }
        for segment in journal.segments() {
            if segment < journal.active() {
                journal.drop_segment(segment).unwrap();
            }
        }
        for n in 0..30 {
            append(&journal, &format!("new {n}")).unwrap();
        }
        drop(journal);
        let (texts, damaged) = texts(dir.path());
        let old = texts.iter().filter(|text| text.starts_with("old")).count();
        assert!(old < 20, "only the segment that was being written keeps its records: {old}");
        assert_eq!(texts.iter().filter(|text| text.starts_with("new")).count(), 30);
        assert_eq!(damaged, 0);
    }

    #[test]
    fn a_flipped_octet_costs_one_record_and_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        let mut places = Vec::new();
        for n in 0..10 {
            places.push(append(&journal, &format!("record {n}")).unwrap());
        }
        drop(journal);
        let path = Folder::new(dir.path()).segment_path(places[4].segment);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..draft("record 4").octets() as usize {
            let mut damaged = whole.clone();
            // As after a crash: in a segment left in good order only a reader proves a body.
            damaged[32..52].fill(0);
            damaged[places[4].offset as usize + at] ^= 0x40;
            std::fs::write(&path, damaged).unwrap();
            let (texts, damage) = texts(dir.path());
            assert_eq!((texts.len(), damage), (9, 1), "octet {at}");
            assert!(!texts.contains(&"record 4".to_owned()));
        }
    }

    #[test]
    fn a_damaged_segment_header_loses_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        let place = append(&journal, "first").unwrap();
        append(&journal, "second").unwrap();
        drop(journal);
        let path = Folder::new(dir.path()).segment_path(place.segment);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..24 {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            std::fs::write(&path, damaged).unwrap();
            let wanted = vec!["first".to_owned(), "second".to_owned()];
            assert_eq!(texts(dir.path()), (wanted, 1), "octet {at}");
        }
    }

    #[test]
    fn a_record_torn_by_a_crash_does_not_come_back_after_the_next_restart() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        append(&journal, "first").unwrap();
        let torn = append(&journal, "torn").unwrap();
        drop(journal);
        let path = Folder::new(dir.path()).segment_path(torn.segment);
        let mut octets = std::fs::read(&path).unwrap();
        let body = torn.offset as usize + crate::record::HEADER_OCTETS + 4;
        octets[body + 10..body + 40].fill(0);
        octets[32..52].fill(0);
        std::fs::write(&path, octets).unwrap();
        for n in 0..3 {
            let journal = Journal::open(dir.path(), &options()).unwrap();
            append(&journal, &format!("later {n}")).unwrap();
        }
        assert_eq!(texts(dir.path()).0, ["first", "later 0", "later 1", "later 2"]);
    }

    #[test]
    fn the_reserve_is_kept_for_settling_even_after_it_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, options) = failing();
        let journal = Journal::open(dir.path(), &options).unwrap();
        append(&journal, "first").unwrap();
        disk.full.store(true, Ordering::SeqCst);
        while append(&journal, "more").is_ok() {}
        let settle = |n: u32| {
            let (tx, rx) = mpsc::channel();
            let done: Done = Box::new(move |result| tx.send(result.is_ok()).unwrap());
            journal.append_soon(draft(&format!("settled {n}")), Some(done));
            rx.recv().unwrap()
        };
        for n in 0..10 {
            assert!(settle(n), "settlement {n}");
            assert_eq!(append(&journal, "more"), Err(AppendError::Full), "after {n}");
        }
    }

    #[test]
    fn old_records_do_not_count_again_after_every_segment_was_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        append(&journal, "old").unwrap();
        drop(journal);
        let journal = Journal::open(dir.path(), &options()).unwrap();
        journal.segments().into_iter().for_each(|s| journal.drop_segment(s).unwrap());
        drop(journal);
        for n in 0..4 {
            let journal = Journal::open(dir.path(), &options()).unwrap();
            append(&journal, &format!("new {n}")).unwrap();
        }
        assert_eq!(texts(dir.path()).0, ["new 0", "new 1", "new 2", "new 3"]);
    }

    #[test]
    fn a_torn_end_is_no_damage() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        let first = append(&journal, "first").unwrap();
        let second = append(&journal, "second").unwrap();
        drop(journal);
        let path = Folder::new(dir.path()).segment_path(first.segment);
        let whole = std::fs::read(&path).unwrap();
        for length in second.offset..second.offset + draft("second").octets() {
            let mut torn = whole.clone();
            torn[length as usize..].fill(0);
            torn[32..52].fill(0);
            std::fs::write(&path, torn).unwrap();
            assert_eq!(texts(dir.path()), (vec!["first".to_owned()], 0), "{length} octets");
        }
    }

    #[test]
    fn a_record_larger_than_a_segment_gets_a_segment_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        let large = "x".repeat(10_000);
        append(&journal, &large).unwrap();
        append(&journal, "small").unwrap();
        drop(journal);
        assert_eq!(texts(dir.path()).0, [large, "small".to_owned()]);
    }

    #[test]
    fn in_a_segment_left_in_good_order_the_last_record_too_is_damage_and_no_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        append(&journal, "first").unwrap();
        let last = append(&journal, "last").unwrap();
        drop(journal);
        let path = Folder::new(dir.path()).segment_path(last.segment);
        let whole = std::fs::read(&path).unwrap();
        let octets = draft("last").octets();
        for at in 0..octets as usize {
            let mut damaged = whole.clone();
            damaged[last.offset as usize + at] ^= 0x01;
            std::fs::write(&path, damaged).unwrap();
            if at < crate::record::HEADER_OCTETS + "last".len() {
                assert_eq!(texts(dir.path()), (vec!["first".to_owned()], 1), "octet {at}");
            }
            let read = read_record(&File::open(&path).unwrap(), last, octets);
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidData, "octet {at}");
        }
    }

    #[test]
    fn a_segment_knows_the_stamp_it_was_begun_with() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        journal.raise(7);
        append(&journal, "first").unwrap();
        journal.raise(9);
        journal.raise(8);
        drop(journal);
        let journal = Journal::open(dir.path(), &options()).unwrap();
        assert_eq!((journal.stamp(), journal.begun_with(1).unwrap()), (7, Some(7)));
        let path = journal.folder().segment_path(1);
        drop(journal);
        let mut octets = std::fs::read(&path).unwrap();
        octets[55] ^= 1;
        std::fs::write(&path, octets).unwrap();
        let journal = Journal::open(dir.path(), &options()).unwrap();
        assert_eq!((journal.stamp(), journal.begun_with(1).unwrap()), (0, None));
    }

    #[test]
    fn two_processes_do_not_write_one_journal() {
        let dir = tempfile::tempdir().unwrap();
        let first = Journal::open(dir.path(), &options()).unwrap();
        assert!(matches!(Journal::open(dir.path(), &options()), Err(OpenError::InUse(_))));
        drop(first);
        Journal::open(dir.path(), &options()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut header = b"MAILYJNL".to_vec();
        header.extend_from_slice(&2_u32.to_le_bytes());
        header.extend_from_slice(&1_u64.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        std::fs::write(folder.segment_path(1), header).unwrap();
        let error = Journal::open(dir.path(), &options()).unwrap_err().to_string();
        assert!(error.contains("format 2") && error.contains("newer version"), "{error}");
    }

    fn blocks_octets(path: &Path) -> u64 {
        let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
        let segments = files.filter(|file| file.path().extension().is_some_and(|e| e == "seg"));
        let blocks = |file: std::fs::DirEntry| {
            std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap())
        };
        segments.map(blocks).sum::<u64>() * 512
    }

    #[test]
    fn starting_again_and_again_does_not_fill_the_disk() {
        for killed in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let options = Options { segment_octets: 4 << 20, ..Options::default() };
            let mut wanted = Vec::new();
            for n in 0..20 {
                let journal = Journal::open(dir.path(), &options).unwrap();
                let place = append(&journal, &format!("record {n}")).unwrap();
                drop(journal);
                wanted.push(format!("record {n}"));
                if killed {
                    // As a process that was killed leaves it: not sealed, and all of it allocated.
                    let path = Folder::new(dir.path()).segment_path(place.segment);
                    let file = File::options().read(true).write(true).open(path).unwrap();
                    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 20], 32).unwrap();
                    fill(&file).unwrap();
                    assert!(blocks_octets(dir.path()) >= 4 << 20);
                }
            }
            let journal = Journal::open(dir.path(), &options).unwrap();
            assert!(blocks_octets(dir.path()) < 1 << 20, "{}", blocks_octets(dir.path()));
            assert_eq!(texts(dir.path()), (wanted, 0));
            // What becomes a spare is whole again: it is what a full disk leaves us.
            journal.drop_segment(1).unwrap();
            let spare = journal.folder().spare_path(1);
            let blocks = std::os::unix::fs::MetadataExt::blocks(&spare.metadata().unwrap());
            assert!(blocks * 512 >= 4 << 20, "{blocks} blocks");
        }
    }

    struct Failing {
        sync: AtomicBool,
        full: AtomicBool,
    }

    impl Disk for Failing {
        fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
            RealDisk.write(file, slices, offset)
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            if self.sync.swap(false, Ordering::SeqCst) {
                return Err(io::Error::from_raw_os_error(5));
            }
            RealDisk.sync(file)
        }

        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            RealDisk.sync_folder(path)
        }

        fn allocate(&self, path: &Path, octets: u64) -> io::Result<File> {
            if self.full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            RealDisk.allocate(path, octets)
        }
    }

    fn failing() -> (Arc<Failing>, Options) {
        let disk = Failing { sync: AtomicBool::new(false), full: AtomicBool::new(false) };
        let disk = Arc::new(disk);
        (Arc::clone(&disk), Options { disk, ..options() })
    }

    #[test]
    fn a_failed_sync_acknowledges_nothing_and_closes_the_segment() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, options) = failing();
        let journal = Journal::open(dir.path(), &options).unwrap();
        let before = append(&journal, "before").unwrap();
        disk.sync.store(true, Ordering::SeqCst);
        assert!(matches!(append(&journal, "lost"), Err(AppendError::Failed(_))));
        let after = append(&journal, "after").unwrap();
        assert!(after.segment > before.segment, "the segment of the failed sync is not used again");
        assert_eq!(journal.counters().failures.load(Ordering::Relaxed), 1);
    }

    /// What reached the disk for good, as far as syncs can tell.
    #[derive(Default)]
    struct Ledger {
        /// By inode: octets written, and octets that were written when it was synced last.
        files: HashMap<u64, (u64, u64)>,
        /// Files whose name was there when the folder was synced last.
        named: std::collections::HashSet<u64>,
    }

    struct Watching(Mutex<Ledger>);

    fn inode(file: &File) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap())
    }

    impl Disk for Watching {
        fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
            let octets = RealDisk.write(file, slices, offset)?;
            let mut ledger = self.0.lock();
            let (written, _) = ledger.files.entry(inode(file)).or_default();
            *written = offset + octets as u64;
            Ok(octets)
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            RealDisk.sync(file)?;
            let mut ledger = self.0.lock();
            let (written, synced) = ledger.files.entry(inode(file)).or_default();
            *synced = *written;
            Ok(())
        }

        fn allocate(&self, path: &Path, octets: u64) -> io::Result<File> {
            RealDisk.allocate(path, octets)
        }

        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            RealDisk.sync_folder(path)?;
            let folder = Folder::new(path);
            let segments = folder.segments()?;
            let files = segments.iter().map(|s| File::open(folder.segment_path(*s)).unwrap());
            self.0.lock().named = files.map(|file| inode(&file)).collect();
            Ok(())
        }
    }

    #[test]
    fn nobody_is_told_before_the_record_and_its_segments_name_are_synced() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Watching(Mutex::default()));
        let journal = Journal::open(
            dir.path(),
            &Options { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..options() },
        );
        let journal = Arc::new(journal.unwrap());
        let (tx, rx) = mpsc::channel();
        std::thread::scope(|scope| {
            for producer in 0..4 {
                let (journal, disk, tx) = (Arc::clone(&journal), Arc::clone(&disk), tx.clone());
                let folder = Folder::new(dir.path());
                scope.spawn(move || {
                    for n in 0..250 {
                        let draft = draft(&format!("record {producer} {n}"));
                        let (disk, tx, folder) = (Arc::clone(&disk), tx.clone(), folder.clone());
                        let octets = draft.octets();
                        let done = move |result: Result<Position, AppendError>| {
                            let at = result.unwrap();
                            let file = File::open(folder.segment_path(at.segment)).unwrap();
                            let ledger = disk.0.lock();
                            let (_, synced) = ledger.files[&inode(&file)];
                            let named = ledger.named.contains(&inode(&file));
                            tx.send((synced >= at.offset + octets, named)).unwrap();
                        };
                        journal.append(draft, Box::new(done));
                    }
                });
            }
        });
        drop(tx);
        let told: Vec<_> = rx.iter().take(1_000).collect();
        assert_eq!(told.len(), 1_000);
        assert!(told.iter().all(|(synced, _)| *synced), "told before the sync");
        assert!(told.iter().all(|(_, named)| *named), "told before the name was durable");
    }

    #[test]
    fn on_a_full_disk_waiting_appends_fail_and_settling_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, options) = failing();
        let journal = Journal::open(dir.path(), &options).unwrap();
        append(&journal, "first").unwrap();
        disk.full.store(true, Ordering::SeqCst);
        let refused = (0..100).find_map(|n| append(&journal, &format!("more {n}")).err());
        assert_eq!(refused, Some(AppendError::Full));
        let (tx, rx) = mpsc::channel();
        for n in 0..5 {
            let tx = tx.clone();
            let done: Done = Box::new(move |result| tx.send(result.is_ok()).unwrap());
            journal.append_soon(draft(&format!("settled {n}")), Some(done));
        }
        drop(tx);
        assert_eq!(rx.into_iter().filter(|ok| *ok).count(), 5);
    }
}
