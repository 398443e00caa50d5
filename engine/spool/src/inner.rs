//! The spool beneath its door: the journal, the index, and what is kept in memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use maily_core::mail::id::QueueId;
use maily_journal::journal::AppendError;
use maily_journal::journal::Journal;
use maily_journal::record::Draft;
use maily_journal::scan::Next;
use maily_journal::scan::Position;
use maily_journal::scan::Scanner;

use crate::entry;
use crate::entry::Accept;
use crate::entry::Entry;
use crate::error::GetError;
use crate::error::OpenError;
use crate::error::PutError;
use crate::index::Index;
use crate::submission::Spooled;
use crate::submission::Stored;
use crate::submission::Waiting;

/// Messages in memory from acceptance to the first attempt.
#[derive(Default)]
pub(crate) struct Hot {
    pub(crate) messages: HashMap<QueueId, Arc<Stored>>,
    pub(crate) octets: usize,
}

impl Hot {
    pub(crate) fn remove(&mut self, id: QueueId) {
        if let Some(stored) = self.messages.remove(&id) {
            self.octets -= stored.submission.body.octets().len();
        }
    }
}

pub(crate) struct Inner {
    pub(crate) journal: Journal,
    pub(crate) index: Mutex<Index>,
    pub(crate) hot: Mutex<Hot>,
    pub(crate) hot_octets_max: usize,
    pub(crate) segment_octets: u64,
    pub(crate) quarantined: AtomicU64,
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
    pub(crate) fn arrive(&self, stored: &Arc<Stored>, position: Position, octets: u64) {
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

    pub(crate) fn get(&self, id: QueueId) -> Result<Stored, GetError> {
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

    /// A damaged message is kept in quarantine, where an operator can see it, and waits no more.
    fn give_up(&self, id: QueueId, position: Position, octets: u64, why: &str) -> GetError {
        let folder = self.journal.folder();
        let kept = Scanner::open(folder, position.segment)
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
    pub(crate) fn append_soon(this: &Arc<Self>, draft: Draft, tries: u32) {
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
        let told = Entry::Noticed { id, recipients: slot.noticed().to_vec() };
        let told = draft(&told, &Bytes::new()).map_err(|error| error.to_string())?;
        let told = Some(told).filter(|_| !slot.noticed().is_empty());
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
        if let Some(told) = told {
            Self::append_soon(self, told, 1);
        }
        drop(index);
        Ok(())
    }

    /// Calls back when all that was appended before is on disk.
    pub(crate) fn barrier(&self, done: impl FnOnce(Result<(), AppendError>) + Send + 'static) {
        let nothing = Entry::Settle { id: QueueId::from_u64(0), recipients: Vec::new() };
        match draft(&nothing, &Bytes::new()) {
            Ok(draft) => self
                .journal
                .append_soon(draft, Some(Box::new(move |result| done(result.map(|_| ()))))),
            Err(error) => done(Err(AppendError::Failed(error.to_string()))),
        }
    }

    /// Waits until all that was appended before is on disk; false if that failed.
    pub(crate) fn flush_blocking(&self) -> bool {
        let (tell, told) = std::sync::mpsc::channel();
        self.barrier(move |result| {
            let _gone = tell.send(result.is_ok());
        });
        told.recv().unwrap_or(false)
    }

    /// The message as the queue needs to know it, with what attempts left to do.
    pub(crate) fn spooled(&self, id: QueueId) -> Result<Spooled, GetError> {
        let stored = self.get(id)?;
        let index = self.index();
        let slot = index.get(id).ok_or(GetError::Unknown)?;
        let mut spooled = stored.submission.spooled();
        spooled.destinations.clear();
        for recipient in &stored.unsettled {
            let all = &stored.submission.envelope.recipients;
            let Some(path) = all.get(recipient.0 as usize) else { continue };
            let domain = path.forward_path.0.domain();
            let mut known = spooled.destinations.iter_mut();
            if let Some(waiting) = known.find(|waiting| waiting.domain == *domain) {
                waiting.recipients += 1;
                continue;
            }
            let mark = slot.marks().iter().find(|mark| mark.recipients.contains(recipient));
            spooled.destinations.push(Waiting {
                domain: domain.clone(),
                attempts: mark.map_or(0, |mark| mark.attempts),
                due: mark.map_or(spooled.accepted_at, |mark| mark.due),
                recipients: 1,
            });
        }
        Ok(spooled)
    }
}

/// Folds the journal. Bodies are read only where one may be torn.
pub(crate) fn recover(journal: &Journal) -> Result<Index, OpenError> {
    let mut index = Index::default();
    let folder = journal.folder();
    let segments = journal.segments();
    for &segment in &segments {
        let wrap = |error: maily_journal::scan::ScanError| OpenError(error.to_string());
        let mut scanner = Scanner::open(folder, segment).map_err(wrap)?;
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

pub(crate) fn draft(entry: &Entry, body: &Bytes) -> Result<Draft, PutError> {
    let failed = |error: String| PutError::Failed(error);
    let meta = entry::encode(entry).map_err(|error| failed(error.to_string()))?;
    Draft::new(meta, body.clone()).map_err(|error| failed(error.to_string()))
}
