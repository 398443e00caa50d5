//! What waits, read from beside a running daemon or from a stopped one's folder: for `maily queue`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use maily_core::clock::Timestamp;
use maily_core::mail::envelope::ForwardPath;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;
use maily_journal::scan::Found;
use maily_journal::scan::ScanError;
use maily_journal::segment::Folder;

use crate::entry::Accept;
use crate::entry::Entry;
use crate::entry::MarkEntry;
use crate::walk::walk;

/// One waiting message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub id: QueueId,
    /// When we took it.
    pub accepted_at: Timestamp,
    /// When we give up on it.
    pub expires_at: Timestamp,
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Whose it is.
    pub stream: Stream,
    /// Octets of its record.
    pub octets: u64,
    /// Who has not got it yet.
    pub recipients: Vec<ListedRecipient>,
}

/// One recipient that is not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRecipient {
    /// Who.
    pub forward_path: ForwardPath,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next.
    pub due: Timestamp,
    /// What the last attempt heard; none before the first.
    pub diagnosis: Option<Diagnosis>,
}

#[derive(Clone)]
struct Known {
    accept: Accept,
    octets: u64,
    settled: BTreeSet<RecipientIndex>,
    marks: Vec<MarkEntry>,
}

/// All that waits in this spool, oldest first. Changes nothing; what is written while it reads may
/// or may not be seen, but no message is missed because it is moved meanwhile.
pub fn read(path: &Path) -> Result<Vec<Listed>, String> {
    read_with(path, |_| ())
}

/// Calls `before` before each segment is opened.
fn read_with(path: &Path, mut before: impl FnMut(u64)) -> Result<Vec<Listed>, String> {
    let folder = Folder::new(path);
    let mut known: BTreeMap<QueueId, Known> = BTreeMap::new();
    let mut next = 0;
    loop {
        let segments = folder.segments().map_err(|error| format!("{}: {error}", path.display()))?;
        // A segment goes only when what lived in it is in a later one, which is read after it: so
        // the folder is read again until nothing is new.
        let Some(segment) = segments.into_iter().find(|segment| *segment >= next) else { break };
        next = segment + 1;
        before(segment);
        let mut see = |found: Found, entry: Entry| fold(&mut known, entry, found.octets);
        match walk(&folder, segment, &mut see, &mut |_, _, _| Ok(())) {
            Err(ScanError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {}
            read => read.map_err(|error| error.to_string())?,
        }
    }
    Ok(known.into_values().map(listed).filter(|listed| !listed.recipients.is_empty()).collect())
}

fn fold(known: &mut BTreeMap<QueueId, Known>, entry: Entry, octets: u64) {
    match entry {
        Entry::Accept(accept) => {
            let (settled, marks) = (BTreeSet::new(), Vec::new());
            known.insert(accept.id, Known { accept, octets, settled, marks });
        }
        Entry::Moved { accept, settled, mut marks } => {
            let settled = settled.into_iter().collect();
            let before = known.get(&accept.id).map(|known| known.marks.as_slice());
            for mark in marks.iter_mut().filter(|mark| mark.diagnosis.is_none()) {
                let mut old = before.unwrap_or_default().iter().rev();
                let same = |old: &&MarkEntry| old.recipients == mark.recipients;
                mark.diagnosis = old.find(same).and_then(|old| old.diagnosis.clone());
            }
            known.insert(accept.id, Known { accept, octets, settled, marks });
        }
        Entry::Mark(mark) => {
            if let Some(message) = known.get_mut(&mark.id) {
                message.marks.push(mark);
            }
        }
        Entry::Noticed { .. } | Entry::Template(_) | Entry::Keyed(_) => {}
        Entry::Settle { id, recipients } => {
            let Some(message) = known.get_mut(&id) else { return };
            message.settled.extend(recipients);
            if message.settled.len() >= message.accept.envelope.recipients.len() {
                known.remove(&id);
            }
        }
    }
}

fn listed(known: Known) -> Listed {
    let Known { accept, octets, settled, marks } = known;
    let recipients = accept.envelope.recipients.into_iter().enumerate();
    let recipients = recipients.filter_map(|(index, recipient)| {
        let index = RecipientIndex(index as u32);
        if settled.contains(&index) {
            return None;
        }
        let mark = marks.iter().rev().find(|mark| mark.recipients.contains(&index));
        Some(ListedRecipient {
            forward_path: recipient.forward_path,
            attempts: mark.map_or(0, |mark| mark.attempts),
            due: mark.map_or(accept.accepted_at, |mark| mark.due),
            diagnosis: mark.and_then(|mark| mark.diagnosis.clone()),
        })
    });
    Listed {
        id: accept.id,
        accepted_at: accept.accepted_at,
        expires_at: accept.expires_at,
        reverse_path: accept.envelope.reverse_path,
        stream: accept.stream,
        octets,
        recipients: recipients.collect(),
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
