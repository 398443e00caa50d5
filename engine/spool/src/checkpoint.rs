//! Writes down what waits, so that a restart reads it in one piece, and says when that is due.
//!
//! The index does not know addresses, streams and times; they are copied from the checkpoint
//! before and from the segments written since. What changed of a message since comes from the
//! index. A change that comes while this is written is in a segment that is not covered, and is
//! folded again at the restart, which does no harm.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use maily_journal::checkpoint::Checkpoint;
use maily_journal::checkpoint::CheckpointWriter;
use maily_journal::journal::Journal;
use maily_journal::scan::Found;
use maily_journal::scan::Scanner;

use crate::covered::Covered;
use crate::entry::Entry;
use crate::inner::Inner;
use crate::row::Line;
use crate::row::Row;
use crate::walk::walk;

/// The format of rows; one that is not ours counts as no checkpoint.
const FORMAT: u8 = 1;
/// Records behind the checkpoint that are read quickly enough.
const RECORDS_MIN: u64 = 200_000;
/// Segments behind the checkpoint that are read quickly enough.
const SEGMENTS_MIN: usize = 8;
/// When one part in so many of all is behind the checkpoint, a new one is due: what is written for
/// checkpoints stays in proportion to what is written for mail.
const PART_MAX: u64 = 8;

/// The checkpoint of this journal, if there is one that fits, and the first segment that it does
/// not cover.
pub(crate) fn open(journal: &Journal) -> Option<(Checkpoint, u64)> {
    let checkpoint = Checkpoint::open(journal.folder())?;
    let covered = match checkpoint.head.split_first() {
        Some((&FORMAT, covered)) => covered.first_chunk::<8>().map(|n| u64::from_le_bytes(*n)),
        _ => None,
    };
    // A journal that was begun anew has lower numbers.
    if let Some(covered) = covered.filter(|covered| *covered <= journal.active()) {
        return Some((checkpoint, covered));
    }
    tracing::warn!("the checkpoint is of another journal or version: it is not used");
    if let Err(error) = checkpoint.discard() {
        tracing::error!(%error, "the checkpoint could not be removed");
    }
    None
}

/// Whether enough is behind the last checkpoint for a new one.
pub(crate) fn is_due(inner: &Inner) -> bool {
    let covered = *inner.covered.lock();
    let segments = inner.journal().segments();
    let behind = segments.iter().filter(|segment| **segment >= covered.segment).count();
    if behind > SEGMENTS_MIN.max(segments.len() / PART_MAX as usize) {
        return true;
    }
    let waiting = inner.index().len() as u64;
    let appends = inner.journal().counters().appends.load(Ordering::Relaxed);
    let records = appends.saturating_sub(covered.records);
    waiting * PART_MAX >= RECORDS_MIN && records > RECORDS_MIN.max(waiting / PART_MAX)
}

/// Writes one. Only one may be written at a time, and nothing may be moved meanwhile.
pub(crate) fn write(inner: &Arc<Inner>) -> io::Result<()> {
    let journal = inner.journal();
    let records = journal.counters().appends.load(Ordering::Relaxed);
    // All that is in earlier segments is in the index: the writer says so before it goes on.
    let segment = journal.active();
    let mut head = vec![FORMAT];
    head.extend_from_slice(&segment.to_le_bytes());
    let old = open(journal);
    let from = old.as_ref().map_or(0, |(_, covered)| *covered);
    let mut new = CheckpointWriter::create(journal.folder(), &head)?;
    write_keys(inner, &mut new)?;
    write_templates(inner, &mut new)?;
    let mut octets = Vec::new();
    let mut written = Ok(());
    let mut push = |mut row: Row| {
        let index = inner.index();
        let Some(slot) = index.at(row.id, row.position()) else { return Ok(()) };
        row.refresh(slot);
        drop(index);
        octets.clear();
        let line = Line::Message(row);
        octets =
            postcard::to_extend(&line, std::mem::take(&mut octets)).map_err(io::Error::other)?;
        new.push(&octets)
    };
    if let Some((old, _)) = old {
        old.each(|row| {
            written = match postcard::from_bytes(row) {
                Ok(Line::Message(row)) => push(row),
                // Written from the index.
                Ok(Line::Template(..) | Line::Key(..)) => Ok(()),
                Err(error) => Err(io::Error::other(error)),
            };
            written.is_ok()
        })?;
    }
    for covered in journal.segments().into_iter().filter(|s| (from..segment).contains(s)) {
        if written.is_err() {
            break;
        }
        let mut spoilt = 0;
        let mut see = |found: Found, entry: Entry| {
            if let (Entry::Accept(accept) | Entry::Moved { accept, .. }, Ok(())) = (entry, &written)
            {
                written = push(Row::of(accept, found.position, found.octets));
            }
        };
        let mut count = |_: &Scanner, _, _| {
            spoilt += 1;
            Ok(())
        };
        walk(journal.folder(), covered, &mut see, &mut count).map_err(io::Error::other)?;
        if spoilt > 0 {
            inner.prove_messages_in(covered);
        }
    }
    written?;
    // A message that was left out is settled: that must be on disk before.
    if !inner.flush_blocking() {
        return Err(io::Error::other("the journal could not be written"));
    }
    new.finish()?;
    *inner.covered.lock() = Covered { segment, records };
    Ok(())
}

/// Those that are on disk; before all else, because what is behind the checkpoint speaks of them.
fn write_keys(inner: &Inner, new: &mut CheckpointWriter) -> io::Result<()> {
    let keys = inner.index().keys().all();
    for key in keys {
        let Some((keyed, Some((at, octets)))) = inner.index().keys().entry(&key) else { continue };
        let line = Line::Key(keyed, (at.segment, at.offset), octets);
        new.push(&postcard::to_extend(&line, Vec::new()).map_err(io::Error::other)?)?;
    }
    Ok(())
}

fn write_templates(inner: &Inner, new: &mut CheckpointWriter) -> io::Result<()> {
    let templates: Vec<_> = inner.index().templates().placed().collect();
    for (_, template) in templates {
        let Some((at, octets)) = template.place else { continue };
        let line = Line::Template(template.name, (at.segment, at.offset), octets);
        new.push(&postcard::to_extend(&line, Vec::new()).map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// Takes over what an earlier run left.
pub(crate) fn adopt(inner: &Inner, segment: u64) {
    inner.covered.lock().segment = segment;
}
