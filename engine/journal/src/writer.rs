//! The one thread that writes: gathers what waits, writes it with one call, syncs, says so.
//!
//! A failed write or sync is final for its segment: nothing in the group counts as written, the
//! segment is left as it is and the next group goes to a new one. A sync is never tried again on
//! the same file, because the kernel may have thrown away what it could not write (RELIABILITY: the
//! fsync rule).

use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::inbox::Append;
use crate::inbox::AppendError;
use crate::scan::Position;
use crate::segment::Folder;
use crate::segment::SEGMENT_HEADER_OCTETS;
use crate::segment::header;
use crate::segment::seal;
use crate::segment::trim;
use crate::shared::Shared;

/// How the disk is touched: the real one, or a test's that fails on demand.
pub trait Disk: Send + Sync + 'static {
    /// Writes at an offset; returns how many octets were taken.
    fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Makes what was written durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Makes a file of this size.
    fn allocate(&self, path: &Path, octets: u64) -> io::Result<File>;
    /// Makes names durable: a file that was made, renamed or removed in this folder stays so.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The disk as it is.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        rustix::io::pwritev(file, slices, offset).map_err(io::Error::from)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn allocate(&self, path: &Path, octets: u64) -> io::Result<File> {
        crate::segment::allocate(path, octets)
    }
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) folder: Folder,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) segment_octets: u64,
    pub(crate) patience: Duration,
    pub(crate) file: Option<Arc<File>>,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) end: u64,
    /// The segment was made from what is held back: only for appends that nobody waits for.
    pub(crate) reserved: bool,
}

impl Writer {
    /// Writes until the journal is closed.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.shared.inbox.take(self.patience) {
            let mut group = Vec::with_capacity(batch.len());
            let mut planned = self.offset;
            for append in batch {
                let octets = append.draft.octets();
                let held_back = append.urgent && self.reserved;
                if self.file.is_none() || planned + octets > self.end || held_back {
                    self.commit(std::mem::take(&mut group));
                    if let Err(error) = self.next_segment(octets, append.urgent) {
                        fail(append, &error);
                        planned = self.offset;
                        continue;
                    }
                    planned = self.offset;
                }
                planned += octets;
                group.push(append);
            }
            self.commit(group);
        }
        if let Some(left) = self.leave()
            && let Err(error) = trim(&left, self.offset)
        {
            tracing::warn!(%error, segment = self.segment, "segment could not be trimmed");
        }
    }

    /// Writes a group that fits into the segment, syncs, and tells everyone.
    fn commit(&mut self, group: Vec<Append>) {
        let Some(file) = self.file.clone().filter(|_| !group.is_empty()) else {
            return group.into_iter().for_each(|append| fail(append, &AppendError::Full));
        };
        let start = self.offset;
        let written = self.write(&file, &group).and_then(|()| self.disk.sync(&file));
        let counters = &self.shared.counters;
        counters.syncs.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = written {
            counters.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, segment = self.segment, "journal write failed: segment closed");
            self.file = None;
            let error = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::Full,
                _ => AppendError::Failed(error.to_string()),
            };
            return group.into_iter().for_each(|append| fail(append, &error));
        }
        counters.appends.fetch_add(group.len() as u64, Ordering::Relaxed);
        let mut offset = start;
        for append in group {
            let position = Position { segment: self.segment, offset };
            offset += append.draft.octets();
            if let Some(done) = append.done {
                done(Ok(position));
            }
        }
    }

    fn write(&mut self, file: &File, group: &[Append]) -> io::Result<()> {
        let headers: Vec<_> =
            group.iter().map(|append| append.draft.header(self.segment)).collect();
        let mut slices = Vec::with_capacity(group.len() * 3);
        for (append, header) in group.iter().zip(&headers) {
            let (meta, body) = append.draft.parts();
            slices.push(IoSlice::new(header));
            slices.push(IoSlice::new(meta));
            if !body.is_empty() {
                slices.push(IoSlice::new(body));
            }
        }
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            // The kernel takes at most IOV_MAX slices at once.
            let some = rest.get(..rest.len().min(1_024)).unwrap_or_default();
            match self.disk.write(file, some, self.offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(octets) => {
                    self.offset += octets as u64;
                    IoSlice::advance_slices(&mut rest, octets);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on to a new segment with room for a record of these octets. The last spare file is kept
    /// for appends that nobody waits for: settling must work on a full disk, it frees space.
    fn next_segment(&mut self, octets: u64, urgent: bool) -> Result<(), AppendError> {
        let segment = self.segment + 1;
        let size = self.segment_octets.max(SEGMENT_HEADER_OCTETS + octets);
        let made = self.make_segment(segment, size, urgent);
        let (file, reserved) = made.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::Full,
            _ => {
                self.shared.counters.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, segment, "journal segment could not be made");
                AppendError::Failed(error.to_string())
            }
        })?;
        self.leave();
        self.reserved = reserved;
        let file = Arc::new(file);
        self.shared.opened(segment, Arc::clone(&file));
        self.file = Some(file);
        self.segment = segment;
        self.offset = SEGMENT_HEADER_OCTETS;
        self.end = size;
        Ok(())
    }

    /// Leaves the segment in good order: all in it is synced.
    fn leave(&mut self) -> Option<Arc<File>> {
        let left = self.file.take()?;
        if let Err(error) = seal(&left, self.segment, self.offset) {
            tracing::warn!(%error, segment = self.segment, "segment could not be sealed");
        }
        Some(left)
    }

    fn make_segment(&self, segment: u64, size: u64, urgent: bool) -> io::Result<(File, bool)> {
        let path = self.folder.segment_path(segment);
        if path.exists() {
            // Left by a try that failed half way: it holds nothing that counts.
            std::fs::rename(&path, self.folder.spare_path(segment))?;
        }
        let spares = self.folder.spares()?;
        let reserve = usize::from(urgent);
        let spare = (size == self.segment_octets && spares.len() > reserve)
            .then(|| spares.first())
            .flatten();
        let reserved = spare.is_some() && spares.len() == 1 && !urgent;
        let file = match spare {
            Some(spare) => {
                std::fs::rename(spare, &path)?;
                File::options().read(true).write(true).open(&path)?
            }
            None => self.disk.allocate(&path, size)?,
        };
        let header = header(segment, self.shared.stamp());
        if self.disk.write(&file, &[IoSlice::new(&header)], 0)? != header.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.disk.sync(&file)?;
        self.disk.sync_folder(self.folder.path())?;
        Ok((file, reserved))
    }
}

fn fail(append: Append, error: &AppendError) {
    if let Some(done) = append.done {
        done(Err(error.clone()));
    }
}
