//! The spool beneath its door: the journal, the index, and what is kept in memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tokio::sync::watch;

use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;
use maily_journal::journal::AppendError;
use maily_journal::journal::Journal;
use maily_journal::record::Draft;
use maily_journal::scan::Position;
use maily_journal::scan::Scanner;

use crate::covered::Covered;
use crate::entry;
use crate::entry::Accept;
use crate::entry::Entry;
use crate::entry::MarkEntry;
use crate::error::GetError;
use crate::error::PutError;
use crate::index::Index;
use crate::slot::Slot;
use crate::slot::SlotMark;
use crate::submission::Stored;
use crate::submission::Submission;
use crate::templates::Template;

/// A settlement or mark whose write failed is written again this often, in another segment.
pub(crate) const TRIES_MAX: u32 = 5;

/// What a message takes in memory beside its body, about.
const HOT_OCTETS: usize = 512;

/// Told where a record came to lie.
type Lands = Box<dyn FnOnce(&Inner, Position) + Send>;

/// Messages in memory from acceptance to the first attempt.
#[derive(Default)]
pub(crate) struct Hot {
    pub(crate) messages: HashMap<QueueId, Arc<Stored>>,
    pub(crate) octets: usize,
}

impl Hot {
    pub(crate) fn remove(&mut self, id: QueueId) {
        if let Some(stored) = self.messages.remove(&id) {
            self.octets -= hot_octets(&stored.submission);
        }
    }
}

/// What a message takes in memory, about.
fn hot_octets(submission: &Submission) -> usize {
    HOT_OCTETS + submission.body.octets().len()
}

pub(crate) struct Inner {
    pub(crate) journal: Journal,
    pub(crate) index: Mutex<Index>,
    pub(crate) hot: Mutex<Hot>,
    pub(crate) hot_octets_max: usize,
    pub(crate) segment_octets: u64,
    pub(crate) quarantined: AtomicU64,
    /// All that waits is in the index.
    pub(crate) recovered: AtomicBool,
    /// What the last checkpoint covers.
    pub(crate) covered: Mutex<Covered>,
    /// Held while segments are dropped or moved, or a checkpoint is written.
    pub(crate) keeping: Mutex<()>,
    /// Whether all idempotency keys were read; none until that is tried.
    pub(crate) keys_read: watch::Sender<Option<bool>>,
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
    pub(crate) fn arrive(
        &self,
        stored: &Arc<Stored>,
        position: Position,
        octets: u64,
        template: u16,
    ) {
        let submission = &stored.submission;
        let recipients = submission.envelope.recipients.len() as u32;
        self.journal.raise(submission.id.as_u64());
        let mut slot = Slot::new(position, octets, recipients).with_template(template);
        if let Some(due) = submission.due {
            let (recipients, at) = (submission.everyone(), Some(position));
            slot.mark(SlotMark { recipients, attempts: 0, due, at });
        }
        {
            let mut index = self.index();
            index.insert(submission.id, slot);
            index.keys().accepted(submission.id);
        }
        if submission.due.is_some() {
            return;
        }
        let size = hot_octets(submission);
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
            (slot.position(), slot.octets())
        };
        let (meta, body) = match self.journal.read(position, octets) {
            Ok(parts) => parts,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.give_up(id, position, octets, &error.to_string()));
            }
            // Its segment went between the look and the read: it was moved or settled.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let moved = self.index().get(id).is_some_and(|slot| slot.position() != position);
                return if moved { self.get(id) } else { Err(GetError::Unknown) };
            }
            Err(error) => return Err(GetError::Failed(error.to_string())),
        };
        let (accept, due) = match entry::decode(&meta) {
            Ok(Entry::Accept(accept)) if accept.id == id => (accept, None),
            Ok(Entry::Moved { accept, marks, .. }) if accept.id == id => {
                let waits = marks.iter().find(|mark| mark.attempts == 0).map(|mark| mark.due);
                (accept, waits)
            }
            _ => return Err(self.give_up(id, position, octets, "not the entry expected")),
        };
        let index = self.index();
        let unsettled = index.get(id).ok_or(GetError::Unknown)?.unsettled();
        Ok(Stored { submission: accept.into_submission(body, due), unsettled })
    }

    /// Keeps a damaged record.
    fn quarantine(&self, position: Position, octets: u64, why: &str) -> Result<(), String> {
        let folder = self.journal.folder();
        let kept = Scanner::open(folder, position.segment)
            .map_err(|error| error.to_string())
            .and_then(|scanner| {
                let raw = scanner.raw(position.offset, octets);
                raw.and_then(|raw| folder.quarantine(position.segment, position.offset, &raw))
                    .map_err(|error| error.to_string())
            });
        let new =
            kept.map_err(|error| format!("{why}, and it could not be quarantined: {error}"))?;
        self.quarantined.fetch_add(u64::from(new), Ordering::Relaxed);
        Ok(())
    }

    /// A damaged message is kept in quarantine, where an operator can see it, and waits no more.
    fn give_up(&self, id: QueueId, position: Position, octets: u64, why: &str) -> GetError {
        if let Err(error) = self.quarantine(position, octets, why) {
            return GetError::Failed(error);
        }
        tracing::error!(%id, why, "a damaged message was moved to quarantine");
        self.index().remove(id);
        GetError::Damaged(why.to_owned())
    }

    /// Reads each message that lives in this segment: what is damaged goes to quarantine.
    pub(crate) fn prove_messages_in(&self, segment: u64) {
        let ids = self.index().ids_in(segment);
        for id in ids {
            if let Err(error @ GetError::Failed(_)) = self.get(id) {
                tracing::error!(%id, %error, "a message could not be read");
            }
        }
        let templates = self.index().templates().lying_in(segment);
        for (_, template) in templates {
            if let Err(error @ GetError::Failed(_)) = self.template(&template.name) {
                tracing::error!(%error, "a template could not be read");
            }
        }
    }

    /// What the last attempt for this recipient heard; read from disk.
    pub(crate) fn heard(&self, id: QueueId, recipient: RecipientIndex) -> Option<Diagnosis> {
        let (_, _, at) = self.index().get(id)?.mark_of(recipient)?;
        self.diagnosis_at(at?, id, recipient)
    }

    fn diagnosis_at(
        &self,
        at: Position,
        id: QueueId,
        recipient: RecipientIndex,
    ) -> Option<Diagnosis> {
        let meta = self.journal.read_meta(at).ok()?;
        let marks = match entry::decode(&meta) {
            Ok(Entry::Mark(mark)) => vec![mark],
            Ok(Entry::Moved { marks, .. }) => marks,
            _ => return None,
        };
        let mut marks = marks.into_iter().filter(|mark| mark.id == id);
        marks.find(|mark| mark.recipients.contains(&recipient))?.diagnosis
    }

    /// Marks with what their attempts heard.
    fn mark_entries(&self, id: QueueId, marks: &[SlotMark]) -> Vec<MarkEntry> {
        let entry = |mark: &SlotMark| {
            let first = mark.recipients.first().copied();
            let heard = first.zip(mark.at).and_then(|(first, at)| self.diagnosis_at(at, id, first));
            MarkEntry {
                id,
                recipients: mark.recipients.clone(),
                attempts: mark.attempts,
                due: mark.due,
                diagnosis: heard,
            }
        };
        marks.iter().map(entry).collect()
    }

    /// Writes a record that nobody waits for, and again if that failed; `lands` is told where.
    pub(crate) fn append_soon(
        this: &Arc<Self>,
        draft: Draft,
        tries: u32,
        lands: impl FnOnce(&Self, Position) + Send + 'static,
    ) {
        let (weak, again) = (Arc::downgrade(this), draft.clone());
        let done = Box::new(move |result: Result<Position, AppendError>| {
            let Some(inner) = weak.upgrade() else { return };
            match result {
                Ok(position) => lands(&inner, position),
                Err(error) if tries > 1 && error != AppendError::Closed => {
                    Self::append_again(&inner, again, tries - 1, Box::new(lands));
                }
                Err(error) => {
                    tracing::error!(%error, "a settlement was not written: it may be repeated");
                }
            }
        });
        this.journal.append_soon(draft, Some(done));
    }

    /// Boxed, so that the type of a try does not hold the type of the next.
    fn append_again(this: &Arc<Self>, draft: Draft, tries: u32, lands: Lands) {
        Self::append_soon(this, draft, tries, lands);
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
        loop {
            let Some(marks) = self.index().at(id, from).map(Slot::marks) else { return Ok(()) };
            let entries = self.mark_entries(id, &marks);
            let index = self.index();
            let Some(slot) = index.at(id, from) else { return Ok(()) };
            if slot.marks() != marks {
                continue;
            }
            let noticed = slot.noticed();
            let settled = slot.settled();
            let entry = Entry::Moved { accept, settled, marks: entries };
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
            if !noticed.is_empty() {
                self.note(&Entry::Noticed { id, recipients: noticed });
            }
            return Ok(());
        }
    }

    /// Writes a template again at the head of the journal.
    pub(crate) fn move_template(
        self: &Arc<Self>,
        name: [u8; 32],
        from: Position,
        octets: u64,
    ) -> Result<(), String> {
        let lies_here = |template: Template| template.place.is_some_and(|(at, _)| at == from);
        let found = self.index().templates().find(&name);
        if !found.is_some_and(|(_, template)| lies_here(template)) {
            return Ok(());
        }
        let (_, body) = match self.journal.read(from, octets) {
            Ok(parts) => parts,
            Err(error) => {
                self.quarantine(from, octets, &error.to_string())?;
                self.index().lose_template(&name);
                return Ok(());
            }
        };
        let draft = draft(&Entry::Template(name), &body).map_err(|error| error.to_string())?;
        let octets = draft.octets();
        let weak = Arc::downgrade(self);
        let done = Box::new(move |result: Result<Position, AppendError>| {
            if let (Ok(to), Some(inner)) = (result, weak.upgrade()) {
                inner.index().place_template(name, to, octets);
            }
        });
        self.journal.append_soon(draft, Some(done));
        Ok(())
    }

    /// Writes an idempotency key again at the head of the journal. One that is held waits: what is
    /// put under it may not be known yet.
    pub(crate) fn move_key(self: &Arc<Self>, key: [u8; 32], from: Position) -> Result<(), String> {
        let mut index = self.index();
        let found = index.keys().entry(&key);
        let Some((keyed, Some((at, _)))) = found.filter(|_| !index.keys().is_held(&key)) else {
            return Ok(());
        };
        if at != from {
            return Ok(());
        }
        let draft =
            draft(&Entry::Keyed(keyed), &Bytes::new()).map_err(|error| error.to_string())?;
        let octets = draft.octets();
        let weak = Arc::downgrade(self);
        let done = Box::new(move |result: Result<Position, AppendError>| {
            if let (Ok(to), Some(inner)) = (result, weak.upgrade()) {
                inner.index().key_moved(&key, from, to, octets);
            }
        });
        // Under the index's lock: what is put under it from now on comes behind it in the journal.
        self.journal.append_soon(draft, Some(done));
        Ok(())
    }

    /// A template's content, proved.
    pub(crate) fn template(&self, name: &[u8; 32]) -> Result<Bytes, GetError> {
        let found = self.index().templates().find(name).and_then(|(_, template)| template.place);
        let (position, octets) = found.ok_or(GetError::Unknown)?;
        match self.journal.read(position, octets) {
            Ok((_, body)) => Ok(body),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let kept = self.quarantine(position, octets, &error.to_string());
                kept.map_err(GetError::Failed)?;
                self.index().lose_template(name);
                Err(GetError::Damaged(error.to_string()))
            }
            // Its segment went between the look and the read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let now = self.index().templates().find(name);
                let moved = now.is_some_and(|(_, t)| t.place.is_some_and(|(at, _)| at != position));
                if moved { self.template(name) } else { Err(GetError::Unknown) }
            }
            Err(error) => Err(GetError::Failed(error.to_string())),
        }
    }

    /// Writes an entry that nobody waits for.
    pub(crate) fn note(self: &Arc<Self>, entry: &Entry) {
        match draft(entry, &Bytes::new()) {
            Ok(draft) => Self::append_soon(self, draft, TRIES_MAX, |_, _| ()),
            Err(error) => tracing::error!(%error, "an entry could not be made"),
        }
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
}

pub(crate) fn draft(entry: &Entry, body: &Bytes) -> Result<Draft, PutError> {
    let failed = |error: String| PutError::Failed(error);
    let meta = entry::encode(entry).map_err(|error| failed(error.to_string()))?;
    Draft::new(meta, body.clone()).map_err(|error| failed(error.to_string()))
}
