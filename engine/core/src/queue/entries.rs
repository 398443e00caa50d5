//! The entries, and the lists they stand in. An entry has room for one link, so it stands in one
//! list at most: that it is in exactly one place is how it is built.

use crate::clock::Timestamp;
use crate::mail::id::QueueId;
use crate::queue::ledger::Account;
use crate::queue::ledger::Ledger;
use crate::queue::ledger::Standing;
use crate::queue::slab::Slab;

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The slot holds nothing.
    Free,
    /// In a list: a flow's, a destination's, a stream's, or of what wakes or leaves.
    Listed { next: u32 },
    /// In a slot of the wheel.
    Timed { next: u32 },
    /// With the driver, in this lane or in none.
    InFlight { lane: u32 },
}

/// One message for one domain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) id: QueueId,
    pub(crate) expires_at: Timestamp,
    pub(crate) due: Timestamp,
    pub(crate) place: Place,
    pub(crate) destination: u32,
    pub(crate) flow: u32,
    pub(crate) attempts: u16,
    /// Of its flow's turns: at least 1, and 0 if it is cancelled.
    pub(crate) cost: u16,
    /// What was said of it last.
    pub(crate) mark: u16,
    /// The hold that keeps it; 0 if none does.
    pub(crate) hold: u8,
    pub(crate) standing: Standing,
}

impl Entry {
    /// Under what it is counted.
    pub(crate) const fn account(&self) -> Account {
        Account {
            destination: self.destination,
            flow: self.flow,
            mark: self.mark,
            hold: self.hold,
            standing: self.standing,
        }
    }

    /// It counts no more, and goes when its turn comes or its list is swept.
    pub(crate) const fn is_cancelled(&self) -> bool {
        self.cost == 0
    }
}

/// Octets of an entry; millions wait.
const ENTRY_OCTETS: usize = 48;
const _: () = assert!(size_of::<Entry>() <= ENTRY_OCTETS);

/// All entries, and how many stand where. What is counted of an entry changes by
/// [`Entries::change`] alone.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    slab: Slab<Entry>,
    ledger: Ledger,
}

impl Entries {
    pub(crate) fn insert(&mut self, entry: Entry) -> u32 {
        self.ledger.add(entry.account());
        self.slab.insert(entry)
    }

    pub(crate) fn get(&self, key: u32) -> Option<&Entry> {
        self.slab.get(key).filter(|entry| entry.place != Place::Free)
    }

    fn get_mut(&mut self, key: u32) -> Option<&mut Entry> {
        self.slab.get_mut(key).filter(|entry| entry.place != Place::Free)
    }

    /// Changes an entry.
    pub(crate) fn change(&mut self, key: u32, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.slab.get_mut(key).filter(|entry| entry.place != Place::Free) else {
            return;
        };
        let before = entry.account();
        change(entry);
        let after = entry.account();
        if before != after && !entry.is_cancelled() {
            self.ledger.take(before);
            self.ledger.add(after);
        }
    }

    /// Puts an entry down as standing there.
    pub(crate) fn stand(&mut self, key: u32, standing: Standing) {
        self.change(key, |entry| entry.standing = standing);
    }

    pub(crate) fn remove(&mut self, key: u32) {
        let Some(entry) = self.get_mut(key) else { return };
        entry.place = Place::Free;
        let (account, cancelled) = (entry.account(), entry.is_cancelled());
        if !cancelled {
            self.ledger.take(account);
        }
        self.slab.remove(key);
    }

    pub(crate) const fn len(&self) -> usize {
        self.slab.len()
    }

    /// How many stand where.
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// All that count, in the order in which they lie, which is quick.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let counts = |entry: &Entry| entry.place != Place::Free && !entry.is_cancelled();
        self.slab.each().filter(move |(_, entry)| counts(entry))
    }

    /// Cancels those that are meant and wait, and gives them. Looks at every entry, but in the
    /// order in which they lie, which is quick.
    pub(crate) fn cancel(&mut self, meant: impl Fn(&Entry) -> bool) -> Marked {
        let mut marked = Marked::default();
        for (key, entry) in self.slab.each_mut() {
            match entry.place {
                Place::Free => continue,
                _ if entry.is_cancelled() || !meant(entry) => continue,
                Place::InFlight { .. } => {
                    marked.in_flight.push(key);
                    continue;
                }
                Place::Timed { .. } => marked.timed += 1,
                Place::Listed { .. } => {}
            }
            self.ledger.take(entry.account());
            entry.cost = 0;
            marked.cancelled.push(key);
        }
        marked
    }

    /// What stands behind this entry in its list.
    pub(crate) fn next(&self, key: u32) -> u32 {
        match self.slab.get(key).map(|entry| entry.place) {
            Some(Place::Listed { next } | Place::Timed { next }) => next,
            _ => NONE,
        }
    }

    pub(crate) fn link(&mut self, key: u32, next: u32) {
        if let Some(entry) = self.slab.get_mut(key) {
            entry.place = Place::Listed { next };
        }
    }

    /// The same in a slot of the wheel.
    pub(crate) fn link_timed(&mut self, key: u32, next: u32) {
        if let Some(entry) = self.slab.get_mut(key) {
            entry.place = Place::Timed { next };
        }
    }
}

/// What was cancelled.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub(crate) cancelled: Vec<u32>,
    /// How many of them are in the wheel.
    pub(crate) timed: usize,
    /// Those that were meant too, but are with the driver.
    pub(crate) in_flight: Vec<u32>,
}

/// Entries, first in, first out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    length: u32,
    /// None of them expires before; some that did may have gone.
    earliest: Timestamp,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, length: 0, earliest: Timestamp::MAX }
    }
}

impl List {
    pub(crate) const fn len(&self) -> usize {
        self.length as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) const fn head(&self) -> u32 {
        self.head
    }

    pub(crate) const fn earliest(&self) -> Timestamp {
        self.earliest
    }

    fn count(&mut self, entries: &Entries, key: u32) {
        self.length += 1;
        if let Some(entry) = entries.get(key) {
            self.earliest = self.earliest.min(entry.expires_at);
        }
    }

    pub(crate) fn push_back(&mut self, entries: &mut Entries, key: u32) {
        entries.link(key, NONE);
        self.count(entries, key);
        if self.tail == NONE {
            self.head = key;
        } else {
            entries.link(self.tail, key);
        }
        self.tail = key;
    }

    pub(crate) fn push_front(&mut self, entries: &mut Entries, key: u32) {
        entries.link(key, self.head);
        self.count(entries, key);
        self.head = key;
        if self.tail == NONE {
            self.tail = key;
        }
    }

    pub(crate) fn pop(&mut self, entries: &Entries) -> Option<u32> {
        if self.length == 0 {
            return None;
        }
        let key = self.head;
        self.head = entries.next(key);
        self.length -= 1;
        if self.length == 0 {
            *self = Self::default();
        }
        Some(key)
    }

    /// Takes over all of another list, in one step.
    pub(crate) fn append(&mut self, entries: &mut Entries, other: Self) {
        if other.length == 0 {
            return;
        }
        if self.length == 0 {
            *self = other;
            return;
        }
        entries.link(self.tail, other.head);
        self.tail = other.tail;
        self.length += other.length;
        self.earliest = self.earliest.min(other.earliest);
    }

    /// Moves what leaves to another list. Looks at every entry.
    pub(crate) fn sweep(
        &mut self,
        entries: &mut Entries,
        leaves: impl Fn(&Entry) -> bool,
        left: &mut Self,
    ) {
        let mut all = std::mem::take(self);
        while let Some(key) = all.pop(entries) {
            let leaves = entries.get(key).is_some_and(&leaves);
            if leaves { left.push_back(entries, key) } else { self.push_back(entries, key) }
        }
    }
}

/// Whether an entry has expired by now.
pub(crate) fn expired(now: Timestamp) -> impl Fn(&Entry) -> bool + Copy {
    move |entry| entry.expires_at <= now
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(n: u64) -> Entry {
        Entry {
            id: QueueId::from_u64(n),
            expires_at: Timestamp::from_secs(1_000 + n),
            due: Timestamp::EPOCH,
            place: Place::Listed { next: NONE },
            destination: 0,
            flow: 0,
            attempts: 0,
            cost: 1,
            mark: 0,
            hold: 0,
            standing: Standing::Ready,
        }
    }

    fn drain(list: &mut List, entries: &Entries) -> Vec<u32> {
        std::iter::from_fn(|| list.pop(entries)).collect()
    }

    #[test]
    fn a_list_keeps_its_order_and_knows_what_expires_first() {
        let mut entries = Entries::default();
        let (mut list, mut other, mut expired) =
            (List::default(), List::default(), List::default());
        let keys: Vec<_> = (0..6).map(|n| entries.insert(entry(n))).collect();
        keys[1..4].iter().for_each(|key| list.push_back(&mut entries, *key));
        list.push_front(&mut entries, keys[0]);
        keys[4..].iter().for_each(|key| other.push_back(&mut entries, *key));
        list.append(&mut entries, std::mem::take(&mut other));
        assert_eq!((list.len(), list.earliest()), (6, Timestamp::from_secs(1_000)));
        list.sweep(&mut entries, super::expired(Timestamp::from_secs(1_002)), &mut expired);
        assert_eq!(list.earliest(), Timestamp::from_secs(1_003));
        assert_eq!(drain(&mut expired, &entries), keys[..3]);
        assert_eq!(drain(&mut list, &entries), keys[3..]);
        assert_eq!((list.is_empty(), list.earliest()), (true, Timestamp::MAX));
    }
}
