//! Where each waiting message lies and who of its recipients is settled: a fold of the journal,
//! kept in memory, that can be thrown away and made again.
//!
//! It holds no address and no domain, so that millions of waiting messages fit.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_journal::scan::Position;

use crate::entry::Entry;
use crate::entry::MarkEntry;

/// One waiting message.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) position: Position,
    /// Octets of its record.
    pub(crate) octets: u32,
    /// Recipients that are not settled.
    pub(crate) left: u32,
    /// All recipients.
    recipients: u32,
    /// A bit for each settled recipient; none while nobody is.
    settled: Option<Box<[u64]>>,
    /// What attempts left behind; none before the first, because 40 octets count here.
    tried: Option<Box<Tried>>,
}

/// What attempts left behind.
#[derive(Clone, Debug, Default)]
struct Tried {
    /// What they left to do.
    marks: Vec<MarkEntry>,
    /// Recipients whose delay the sender was told of.
    noticed: Vec<RecipientIndex>,
}

impl Slot {
    pub(crate) fn is_settled(&self, recipient: RecipientIndex) -> bool {
        let (word, bit) = place(recipient);
        let words = self.settled.as_deref().unwrap_or_default();
        words.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }

    pub(crate) fn unsettled(&self) -> Vec<RecipientIndex> {
        self.all().filter(|recipient| !self.is_settled(*recipient)).collect()
    }

    pub(crate) fn settled(&self) -> Vec<RecipientIndex> {
        self.all().filter(|recipient| self.is_settled(*recipient)).collect()
    }

    pub(crate) fn marks(&self) -> &[MarkEntry] {
        self.tried.as_deref().map(|tried| tried.marks.as_slice()).unwrap_or_default()
    }

    pub(crate) fn noticed(&self) -> &[RecipientIndex] {
        self.tried.as_deref().map(|tried| tried.noticed.as_slice()).unwrap_or_default()
    }

    fn all(&self) -> impl Iterator<Item = RecipientIndex> {
        (0..self.recipients).map(RecipientIndex)
    }

    fn settle(&mut self, recipient: RecipientIndex) {
        if recipient.0 >= self.recipients || self.is_settled(recipient) {
            return;
        }
        let words = self.recipients.div_ceil(64) as usize;
        let settled = self.settled.get_or_insert_with(|| vec![0; words].into());
        let (word, bit) = place(recipient);
        if let Some(word) = settled.get_mut(word) {
            *word |= 1 << bit;
            self.left -= 1;
        }
    }
}

const fn place(recipient: RecipientIndex) -> (usize, u32) {
    (recipient.0 as usize / 64, recipient.0 % 64)
}

/// What lives in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) messages: u64,
    pub(crate) octets: u64,
}

/// The fold.
#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: HashMap<QueueId, Slot>,
    uses: BTreeMap<u64, Use>,
}

impl Index {
    /// Folds one record that lies here.
    pub(crate) fn apply(&mut self, entry: &Entry, position: Position, octets: u64) {
        match entry {
            Entry::Accept(accept) => {
                let recipients = accept.envelope.recipients.len() as u32;
                self.insert(accept.id, position, octets, recipients);
            }
            Entry::Moved { accept, settled, marks } => {
                self.remove(accept.id);
                let recipients = accept.envelope.recipients.len() as u32;
                self.insert(accept.id, position, octets, recipients);
                self.settle(accept.id, settled);
                for mark in marks {
                    self.mark(mark.clone());
                }
            }
            Entry::Mark(mark) => self.mark(mark.clone()),
            Entry::Settle { id, recipients } => {
                self.settle(*id, recipients);
            }
            Entry::Noticed { id, recipients } => self.notice(*id, recipients),
        }
    }

    pub(crate) fn insert(&mut self, id: QueueId, at: Position, octets: u64, recipients: u32) {
        let used = self.uses.entry(at.segment).or_default();
        used.messages += 1;
        used.octets += octets;
        let slot = Slot {
            position: at,
            octets: u32::try_from(octets).unwrap_or(u32::MAX),
            left: recipients,
            recipients,
            settled: None,
            tried: None,
        };
        if let Some(old) = self.slots.insert(id, slot) {
            self.release(&old);
        }
    }

    /// Settles recipients; true if none of the message is left.
    pub(crate) fn settle(&mut self, id: QueueId, recipients: &[RecipientIndex]) -> bool {
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        for recipient in recipients {
            slot.settle(*recipient);
        }
        let gone = slot.left == 0;
        if gone {
            self.remove(id);
        }
        gone
    }

    /// Replaces what earlier attempts left to do for these recipients.
    pub(crate) fn mark(&mut self, mark: MarkEntry) {
        let Some(slot) = self.slots.get_mut(&mark.id) else { return };
        let marks = &mut slot.tried.get_or_insert_default().marks;
        marks.retain(|old| old.recipients.iter().all(|r| !mark.recipients.contains(r)));
        marks.push(mark);
    }

    /// The sender was told that these recipients' mail is late.
    pub(crate) fn notice(&mut self, id: QueueId, recipients: &[RecipientIndex]) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let noticed = &mut slot.tried.get_or_insert_default().noticed;
        let new = recipients.iter().filter(|recipient| !noticed.contains(recipient));
        let new: Vec<_> = new.copied().collect();
        noticed.extend(new);
    }

    /// The message now lies elsewhere: only if it still lies where it was.
    pub(crate) fn moved(&mut self, id: QueueId, from: Position, to: Position, octets: u64) {
        let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.position == from) else {
            return;
        };
        let old = slot.clone();
        slot.position = to;
        slot.octets = u32::try_from(octets).unwrap_or(u32::MAX);
        let used = self.uses.entry(to.segment).or_default();
        used.messages += 1;
        used.octets += octets;
        self.release(&old);
    }

    pub(crate) fn remove(&mut self, id: QueueId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.release(&slot);
        }
    }

    fn release(&mut self, slot: &Slot) {
        if let Some(used) = self.uses.get_mut(&slot.position.segment) {
            used.messages = used.messages.saturating_sub(1);
            used.octets = used.octets.saturating_sub(u64::from(slot.octets));
            if used.messages == 0 {
                self.uses.remove(&slot.position.segment);
            }
        }
    }

    pub(crate) fn get(&self, id: QueueId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Octets of all records that live.
    pub(crate) fn live_octets(&self) -> u64 {
        self.uses.values().map(|used| used.octets).sum()
    }

    pub(crate) fn used(&self, segment: u64) -> Use {
        self.uses.get(&segment).copied().unwrap_or_default()
    }

    pub(crate) fn ids(&self) -> Vec<QueueId> {
        let mut ids: Vec<_> = self.slots.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The newest id, living or not, is not known here; this is the newest that lives.
    pub(crate) fn newest(&self) -> Option<QueueId> {
        self.slots.keys().max().copied()
    }
}
