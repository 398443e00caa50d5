//! [`Audit`]: the log of who changed what, and who wanted to. It only grows.
//!
//! An entry is on disk and synced before the one whom it is about gets an answer. Each holds the
//! hash of the one before it, so they are written one after the other.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use maily_journal::journal::AppendError;
use maily_journal::journal::Journal;
use maily_journal::journal::OpenError;
use maily_journal::journal::Options;
use maily_journal::record::Draft;
use maily_journal::scan::Position;
use maily_journal::segment::Folder;

use crate::audit_entry::Deed;
use crate::audit_entry::Entry;
use crate::audit_entry::Hash;
use crate::audit_walk;
use crate::audit_walk::Head;
use crate::error::RegistryError;
use crate::name::Name;

/// Entries looked at for one page, so that no question takes for ever.
pub const LOOKED_AT_MAX: usize = 20_000;

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Its journal could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its end could not be read.
    #[error("the audit log cannot be read: {0}")]
    Read(String),
}

/// Where the log ends, and which segments begin with which entry.
#[derive(Debug, Default)]
struct End {
    head: Head,
    /// Each segment that holds entries, with the number of its first one.
    segments: Vec<(u64, u64)>,
    /// Whether a write failed, so that the files may hold more than is known here.
    unsure: bool,
}

/// The audit log; clones share it.
#[derive(Clone, Debug)]
pub struct Audit {
    journal: Arc<Journal>,
    end: Arc<Mutex<End>>,
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// Some entries, each with its hash, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, oldest first.
    pub entries: Vec<(Entry, Hash)>,
    /// The number to read on behind; none at the end.
    pub next: Option<u64>,
}

impl Audit {
    /// Opens the log in this folder, which is made if missing, for this process alone; blocks. It
    /// is not walked: `maily audit verify` does that.
    ///
    /// # Errors
    /// The folder is in use, or its end cannot be read.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        Self::open_with(folder, &Options::small())
    }

    fn open_with(folder: &Path, options: &Options) -> Result<Self, AuditError> {
        let journal = Journal::open(folder, options)?;
        let end = End::read(journal.folder()).map_err(AuditError::Read)?;
        let (journal, end) = (Arc::new(journal), Arc::new(Mutex::new(end)));
        Ok(Self { journal, end, writing: Arc::default() })
    }

    /// How far it reaches.
    pub fn head(&self) -> Head {
        self.end.lock().head
    }

    /// Writes an entry; returns when it is synced. If the caller stops waiting, it is written all
    /// the same.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn append(&self, deed: Deed) -> Result<Head, RegistryError> {
        // Held until its fate is known, also if nobody waits for that any more: what comes next
        // must hold the hash of what is on disk.
        let turn = Arc::clone(&self.writing).lock_owned().await;
        if self.end.lock().unsure {
            self.read_again().await?;
        }
        let unsound = || RegistryError::Disk("an entry could not be written down".to_owned());
        let before = self.head();
        let deed = deed.bounded();
        let entry = Entry { previous: before.hash, number: before.number + 1, deed };
        let octets = entry.encode().ok_or_else(unsound)?;
        let head = Head { number: entry.number, hash: Hash::of(&octets) };
        let draft = Draft::new(Bytes::from(octets), Bytes::new()).map_err(|_| unsound())?;
        let (tell, told) = oneshot::channel();
        let end = Arc::clone(&self.end);
        let done = Box::new(move |result: Result<Position, AppendError>| {
            end.lock().on_fate(head, result.as_ref());
            drop(turn);
            // Whoever asked may have gone.
            let _gone = tell.send(result.map(drop));
        });
        self.journal.append(draft, done);
        match told.await {
            Ok(Ok(())) => Ok(head),
            Ok(Err(AppendError::Full)) => Err(RegistryError::Full),
            Ok(Err(error)) => Err(RegistryError::Disk(error.to_string())),
            Err(_) => Err(RegistryError::Disk("the writer has stopped".to_owned())),
        }
    }

    /// Reads the end from the files: after a sync that failed nobody knows what is in them.
    async fn read_again(&self) -> Result<(), RegistryError> {
        let folder = self.journal.folder().clone();
        let read = tokio::task::spawn_blocking(move || End::read(&folder)).await;
        let end = read.map_err(|error| error.to_string()).and_then(|read| read);
        *self.end.lock() = end.map_err(RegistryError::Disk)?;
        Ok(())
    }

    /// Entries behind this number: up to so many, of this project, or all if none is named. Blocks.
    ///
    /// # Errors
    /// A segment could not be read.
    pub fn page(
        &self,
        project: Option<&Name>,
        after: u64,
        limit: usize,
    ) -> Result<AuditPage, String> {
        let segments = self.end.lock().behind(after);
        let (mut entries, mut looked_at, mut last) = (Vec::new(), 0, after);
        for segment in segments {
            let mut see = |place: Result<(Entry, &[u8]), String>| {
                // What is damaged shows as a gap, and `maily audit verify` names it.
                let Ok((entry, octets)) = place else { return None };
                if entry.number <= after {
                    return None;
                }
                if entries.len() >= limit || looked_at >= LOOKED_AT_MAX {
                    return Some(());
                }
                (looked_at, last) = (looked_at + 1, entry.number);
                if project.is_none() || entry.deed.project.as_ref() == project {
                    entries.push((entry, Hash::of(octets)));
                }
                None
            };
            if audit_walk::walk_segment(self.journal.folder(), segment, &mut see)?.is_some() {
                return Ok(AuditPage { entries, next: Some(last) });
            }
        }
        Ok(AuditPage { entries, next: None })
    }

    /// Where its files are.
    pub fn folder(&self) -> PathBuf {
        self.journal.folder().path().to_owned()
    }
}

impl End {
    /// What became of the next entry.
    fn on_fate(&mut self, head: Head, fate: Result<&Position, &AppendError>) {
        match fate {
            Ok(position) => {
                self.head = head;
                if self.segments.last().is_none_or(|(last, _)| *last != position.segment) {
                    self.segments.push((position.segment, head.number));
                }
            }
            Err(AppendError::Full | AppendError::Closed) => {}
            Err(AppendError::Failed(_)) => self.unsure = true,
        }
    }

    /// The segments in which entries behind this number may be.
    fn behind(&self, after: u64) -> Vec<u64> {
        let first = self.segments.iter().rposition(|(_, number)| *number <= after + 1);
        let from = self.segments.get(first.unwrap_or_default()..).unwrap_or_default();
        from.iter().map(|(segment, _)| *segment).collect()
    }

    /// Reads where the log ends: all of its last segment that holds an entry, and the first entry
    /// of each other.
    fn read(folder: &Folder) -> Result<Self, String> {
        let mut end = Self::default();
        let segments = folder.segments().map_err(|error| error.to_string())?;
        for segment in segments {
            let mut first =
                |place: Result<(Entry, &[u8]), String>| place.ok().map(|(entry, _)| entry.number);
            if let Some(number) = audit_walk::walk_segment(folder, segment, &mut first)? {
                end.segments.push((segment, number));
            }
        }
        if let Some((segment, _)) = end.segments.last() {
            let mut last = |place: Result<(Entry, &[u8]), String>| -> Option<()> {
                if let Ok((entry, octets)) = place {
                    end.head = Head { number: entry.number, hash: Hash::of(octets) };
                }
                None
            };
            audit_walk::walk_segment(folder, *segment, &mut last)?;
        }
        Ok(end)
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
