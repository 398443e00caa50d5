//! What is done when a spool is opened: the checkpoint and the segments behind it are folded, and
//! what waits is handed to the queue, while new mail is already taken.
//!
//! 1. At once: the newest id, from the stamp of the last segment and what is in that segment.
//! 2. Beside the daemon: the segments that the checkpoint does not cover are folded. What they say
//!    of messages that only the checkpoint knows is kept for when its rows come.
//! 3. The checkpoint's rows go into the index and to the queue, then the messages of step 2.
//!
//! Until the end of this nothing is dropped or moved, so every position holds. Bodies are read only
//! where one may be torn.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_journal::checkpoint::Checkpoint;
use maily_journal::journal::Journal;
use maily_journal::scan::Found;
use maily_journal::scan::Next;
use maily_journal::scan::Position;
use maily_journal::scan::Scanner;

use crate::checkpoint;
use crate::entry;
use crate::entry::DecodeError;
use crate::entry::Entry;
use crate::entry::MarkEntry;
use crate::error::OpenError;
use crate::inner::Inner;
use crate::row::Line;
use crate::row::Row;
use crate::slot::Slot;
use crate::slot::SlotMark;
use crate::submission::Spooled;
use crate::walk::walk;

/// Messages handed to the queue at once.
const BATCH: usize = 64;

/// The newest id that was ever given to a message, waiting or not.
///
/// # Errors
/// The newest segment cannot be read, or a newer version wrote it.
pub(crate) fn newest(journal: &Journal) -> Result<Option<QueueId>, OpenError> {
    let wrap = |error: String| OpenError(error);
    let mut segments = journal.segments();
    let last = segments.last().copied().unwrap_or_default();
    if journal.begun_with(last).map_err(|error| wrap(error.to_string()))?.is_some() {
        segments = vec![last];
    }
    let mut newest = journal.stamp();
    for segment in segments {
        let mut scanner =
            Scanner::open(journal.folder(), segment).map_err(|error| wrap(error.to_string()))?;
        loop {
            match scanner.step().map_err(|error| wrap(error.to_string()))? {
                Next::Record(found) => match entry::decode(&found.meta) {
                    Ok(Entry::Accept(accept) | Entry::Moved { accept, .. }) => {
                        newest = newest.max(accept.id.as_u64());
                    }
                    // Its ids are given, though a crash may have kept some from being used.
                    Ok(Entry::Keyed(keyed)) => newest = newest.max(keyed.last().as_u64()),
                    Err(error @ DecodeError::Newer(_)) => {
                        return Err(wrap(format!("{error}: run the version that wrote it")));
                    }
                    Ok(_) | Err(DecodeError::Damaged(_)) => {}
                },
                Next::Damage { .. } => {}
                Next::End => break,
            }
        }
    }
    journal.raise(newest);
    Ok((newest > 0).then(|| QueueId::from_u64(newest)))
}

/// What the segments behind the checkpoint say of messages that they do not hold.
#[derive(Debug, Default)]
struct Said {
    settled: Vec<RecipientIndex>,
    marks: Vec<SlotMark>,
    noticed: Vec<RecipientIndex>,
}

/// The second step's result.
#[derive(Debug, Default)]
struct Tail {
    said: HashMap<QueueId, Said>,
    /// Messages that were moved to here: the checkpoint's rows of them are out of date.
    moved: HashSet<QueueId>,
}

/// The spool was closed before the end.
struct Closed;

/// Does the second and third step.
pub(crate) fn run(inner: &Weak<Inner>, queue: &mpsc::Sender<Spooled>, segments: &[u64]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else {
        tracing::error!("what waits cannot be handed to the queue: no room for another thread");
        return;
    };
    let mut hand = Hand { inner, queue, runtime, batch: Vec::with_capacity(BATCH) };
    if hand.recover(segments).is_ok() {
        tracing::debug!("all that waits is known");
    }
}

struct Hand<'a> {
    inner: &'a Weak<Inner>,
    queue: &'a mpsc::Sender<Spooled>,
    runtime: tokio::runtime::Runtime,
    batch: Vec<Spooled>,
}

impl Hand<'_> {
    fn inner(&self) -> Result<Arc<Inner>, Closed> {
        self.inner.upgrade().ok_or(Closed)
    }

    fn recover(&mut self, segments: &[u64]) -> Result<(), Closed> {
        let found = checkpoint::open(self.inner()?.journal());
        let covered = found.as_ref().map_or(0, |(_, covered)| *covered);
        let behind: Vec<_> = segments.iter().copied().filter(|s| *s >= covered).collect();
        let mut tail = Tail::default();
        let mut whole = true;
        let on_disk: HashSet<u64> = segments.iter().copied().collect();
        if let Some((checkpoint, _)) = &found {
            whole &= self.keys(checkpoint, &on_disk)?;
        }
        for segment in &behind {
            whole &= self.fold(*segment, &mut tail, found.is_some())?;
        }
        self.inner()?.keys_read.send_replace(Some(whole));
        if let Some((checkpoint, _)) = found
            && !self.rows(&checkpoint, &mut tail, &on_disk)?
        {
            // The next start reads the journal; until then nothing that is in it goes.
            whole = false;
            if let Err(error) = checkpoint.discard() {
                tracing::error!(%error, "the checkpoint could not be removed");
            }
        }
        for segment in &behind {
            self.messages(*segment)?;
        }
        self.flush()?;
        let inner = self.inner()?;
        checkpoint::adopt(&inner, covered);
        if whole {
            inner.recovered.store(true, Ordering::Release);
        } else {
            tracing::error!("not all could be read: nothing is removed until a restart");
        }
        Ok(())
    }

    /// Folds one segment; false if it could not be read.
    fn fold(&self, segment: u64, tail: &mut Tail, rows_follow: bool) -> Result<bool, Closed> {
        let inner = self.inner()?;
        let mut apply = |found: Found, entry: Entry| apply(&inner, found, entry, tail, rows_follow);
        let mut spoilt = |scanner: &Scanner, offset: u64, octets: u64| {
            keep(&inner, scanner, segment, offset, octets)
        };
        match walk(inner.journal().folder(), segment, &mut apply, &mut spoilt) {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::error!(%error, segment, "a segment could not be read");
                inner.journal().counters().failures.fetch_add(1, Ordering::Relaxed);
                Ok(false)
            }
        }
    }

    /// Takes in the idempotency keys of a checkpoint; false if they could not be read.
    fn keys(&self, checkpoint: &Checkpoint, on_disk: &HashSet<u64>) -> Result<bool, Closed> {
        let inner = self.inner()?;
        let read = checkpoint.each(|row| {
            let Ok(Line::Key(keyed, (segment, offset), octets)) = postcard::from_bytes(row) else {
                return false;
            };
            // What is gone with its segment was moved, or its time was over.
            if on_disk.contains(&segment) {
                inner.index().place_key(&keyed, Position { segment, offset }, octets);
            }
            true
        });
        Ok(read.is_ok())
    }

    /// Takes in the rows of a checkpoint and hands them out; false if one is not understood.
    fn rows(
        &mut self,
        checkpoint: &Checkpoint,
        tail: &mut Tail,
        on_disk: &HashSet<u64>,
    ) -> Result<bool, Closed> {
        let rows = usize::try_from(checkpoint.rows).unwrap_or_default();
        self.inner()?.index().reserve(rows);
        let (mut closed, mut understood) = (false, true);
        let read = checkpoint.each(|row| {
            match postcard::from_bytes(row) {
                Ok(Line::Message(row)) => closed = self.row(row, tail, on_disk).is_err(),
                Ok(Line::Template(name, (segment, offset), octets)) => {
                    let at = Position { segment, offset };
                    closed = self.template(name, at, octets, on_disk).is_err();
                }
                // They were read before.
                Ok(Line::Key(..)) => {}
                Err(error) => {
                    tracing::error!(%error, "a row of the checkpoint is not understood");
                    understood = false;
                }
            }
            !closed
        });
        if let Err(error) = read {
            // It was whole a moment ago.
            tracing::error!(%error, "the checkpoint could not be read to its end");
            understood = false;
        }
        if closed { Err(Closed) } else { Ok(understood) }
    }

    fn row(&mut self, row: Row, tail: &mut Tail, on_disk: &HashSet<u64>) -> Result<(), Closed> {
        // What is gone with its segment was settled, or moved and then settled.
        if tail.moved.contains(&row.id) || !on_disk.contains(&row.position().segment) {
            return Ok(());
        }
        let mut slot = row.slot();
        if let Some(said) = tail.said.remove(&row.id) {
            if slot.settle(&said.settled) {
                return Ok(());
            }
            said.marks.into_iter().for_each(|mark| slot.mark(mark));
            slot.notice(&said.noticed);
        }
        let (id, template) = (row.id, row.template);
        let spooled = row.spooled(&slot);
        {
            let inner = self.inner()?;
            let mut index = inner.index();
            let number = index.template_number(template);
            index.insert(id, slot.with_template(number));
        }
        self.push(spooled)
    }

    fn template(
        &self,
        name: [u8; 32],
        at: Position,
        octets: u64,
        on_disk: &HashSet<u64>,
    ) -> Result<(), Closed> {
        let inner = self.inner()?;
        let mut index = inner.index();
        // One that was moved lies in a segment that is folded already.
        let known = index.templates().find(&name).is_some_and(|(_, t)| t.place.is_some());
        if on_disk.contains(&at.segment) && !known {
            index.place_template(name, at, octets);
        }
        Ok(())
    }

    /// Hands out the messages that live in a segment that was folded.
    fn messages(&mut self, segment: u64) -> Result<(), Closed> {
        let inner = self.inner()?;
        if inner.index().used(segment).messages == 0 {
            return Ok(());
        }
        let folder = inner.journal().folder().clone();
        // Not held while the queue is full: whoever closes the spool must not have to wait.
        drop(inner);
        let mut closed = false;
        let weak = self.inner;
        let mut see = |found: Found, entry: Entry| {
            let (Entry::Accept(accept) | Entry::Moved { accept, .. }) = entry else { return };
            let Some(inner) = weak.upgrade().filter(|_| !closed) else {
                closed = true;
                return;
            };
            let index = inner.index();
            let Some(slot) = index.at(accept.id, found.position) else { return };
            let spooled = Row::of(accept, found.position, found.octets).spooled(slot);
            drop(index);
            drop(inner);
            closed = self.push(spooled).is_err();
        };
        // It was folded a moment ago, so what is spoilt is in quarantine.
        if let Err(error) = walk(&folder, segment, &mut see, &mut |_, _, _| Ok(())) {
            tracing::error!(%error, segment, "a segment could not be read");
        }
        if closed { Err(Closed) } else { Ok(()) }
    }

    fn push(&mut self, spooled: Spooled) -> Result<(), Closed> {
        self.batch.push(spooled);
        // A queue that is smaller could never take so many at once.
        if self.batch.len() < BATCH.min(self.queue.max_capacity()) { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Closed> {
        let permits = self.queue.reserve_many(self.batch.len());
        let permits = self.runtime.block_on(permits).map_err(|_| Closed)?;
        permits.zip(self.batch.drain(..)).for_each(|(permit, spooled)| permit.send(spooled));
        Ok(())
    }
}

/// What is no entry goes to quarantine and is counted.
fn keep(
    inner: &Inner,
    scanner: &Scanner,
    segment: u64,
    offset: u64,
    octets: u64,
) -> io::Result<()> {
    let raw = scanner.raw(offset, octets)?;
    if inner.journal().folder().quarantine(segment, offset, &raw)? {
        tracing::error!(segment, offset, octets, "damage in the spool: kept in quarantine");
        inner.quarantined.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Folds one entry. Without a checkpoint, what speaks of an unknown message is of no use.
fn apply(inner: &Inner, found: Found, entry: Entry, tail: &mut Tail, rows_follow: bool) {
    let at = found.position;
    let mut index = inner.index();
    if let Entry::Accept(accept) | Entry::Moved { accept, .. } = &entry {
        index.keys().accepted(accept.id);
    }
    match entry {
        Entry::Accept(accept) => {
            let recipients = accept.envelope.recipients.len() as u32;
            let template = index.template_number(accept.template());
            let slot = Slot::new(at, found.octets, recipients).with_template(template);
            index.insert(accept.id, slot);
        }
        Entry::Moved { accept, settled, marks } => {
            let recipients = accept.envelope.recipients.len() as u32;
            let template = index.template_number(accept.template());
            let mut slot = Slot::new(at, found.octets, recipients).with_template(template);
            if !slot.settle(&settled) {
                marks.into_iter().for_each(|mark| slot.mark(mark.slot_mark(at)));
                index.insert(accept.id, slot);
            }
            if rows_follow {
                tail.said.remove(&accept.id);
                tail.moved.insert(accept.id);
            }
        }
        Entry::Template(name) => index.place_template(name, at, found.octets),
        Entry::Keyed(keyed) => index.place_key(&keyed, at, found.octets),
        Entry::Mark(mark) if index.get(mark.id).is_some() => {
            index.mark(mark.id, mark.slot_mark(at));
        }
        Entry::Settle { id, recipients } if index.get(id).is_some() => {
            index.settle(id, &recipients);
        }
        Entry::Noticed { id, recipients } if index.get(id).is_some() => {
            index.notice(id, &recipients);
        }
        _ if !rows_follow => {}
        Entry::Mark(mark) => {
            tail.said.entry(mark.id).or_default().marks.push(mark.slot_mark(at));
        }
        Entry::Settle { id, recipients } => {
            tail.said.entry(id).or_default().settled.extend(recipients);
        }
        Entry::Noticed { id, recipients } => {
            tail.said.entry(id).or_default().noticed.extend(recipients);
        }
    }
}

impl MarkEntry {
    fn slot_mark(self, at: Position) -> SlotMark {
        let (recipients, attempts, due) = (self.recipients, self.attempts, self.due);
        SlotMark { recipients, attempts, due, at: Some(at) }
    }
}
