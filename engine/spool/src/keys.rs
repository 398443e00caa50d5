//! The idempotency keys that are known: a fold of the journal, beside the messages.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use hashbrown::HashMap;

use maily_core::clock::Timestamp;
use maily_core::mail::id::QueueId;
use maily_journal::scan::Position;

use crate::entry::Keyed;
use crate::error::ClaimError;
use crate::keyed::KEY_LIFE;
use crate::keyed::KEYS_MAX;
use crate::keyed::Key;
use crate::keyed::KeyState;

/// Where a record lies and its octets.
pub(crate) type Lies = (Position, u64);

/// Which of a key's messages are on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Accepted {
    All,
    Some { bits: Vec<u64>, left: u32 },
}

/// The ids of a key.
#[derive(Clone, Debug)]
struct Block {
    first: QueueId,
    count: u32,
    accepted: Accepted,
    lies: Option<Lies>,
}

#[derive(Clone, Debug)]
struct Slot {
    digest: [u8; 32],
    at: Timestamp,
    /// None until mail is put under it.
    block: Option<Block>,
    held: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Keys {
    max: usize,
    slots: HashMap<[u8; 32], Slot>,
    by_age: BTreeSet<(Timestamp, [u8; 32])>,
    /// Those that lack messages, by their first id.
    open: BTreeMap<QueueId, [u8; 32]>,
}

impl Block {
    fn new(first: QueueId, count: u32) -> Self {
        let bits = vec![0; count.div_ceil(64) as usize];
        let accepted =
            if count == 0 { Accepted::All } else { Accepted::Some { bits, left: count } };
        Self { first, count, accepted, lies: None }
    }

    fn number(&self, id: QueueId) -> Option<u32> {
        let number = u32::try_from(id.behind(self.first)?).ok()?;
        (number < self.count).then_some(number)
    }

    fn accept(&mut self, number: u32) {
        let Accepted::Some { bits, left } = &mut self.accepted else { return };
        let Some(word) = bits.get_mut(number as usize / 64) else { return };
        let bit = 1 << (number % 64);
        *left -= u32::from(*word & bit == 0);
        *word |= bit;
        if *left == 0 {
            self.accepted = Accepted::All;
        }
    }

    fn missing(&self) -> Vec<u32> {
        let Accepted::Some { bits, .. } = &self.accepted else { return Vec::new() };
        let set =
            |n: &u32| bits.get(*n as usize / 64).is_some_and(|word| word >> (n % 64) & 1 == 1);
        (0..self.count).filter(|number| !set(number)).collect()
    }
}

impl Slot {
    fn state(&self) -> Option<KeyState> {
        let block = self.block.as_ref()?;
        Some(KeyState {
            digest: self.digest,
            first: block.first,
            count: block.count,
            missing: block.missing(),
            in_progress: self.held,
        })
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::up_to(KEYS_MAX)
    }
}

impl Keys {
    /// None yet, and no more than these.
    pub(crate) fn up_to(max: usize) -> Self {
        let (slots, by_age, open) = (HashMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { max, slots, by_age, open }
    }

    pub(crate) fn state(&self, key: &[u8; 32]) -> Option<KeyState> {
        self.slots.get(key)?.state()
    }

    /// Takes a key for a request; gives what is known of it, and whether it is held from now on.
    pub(crate) fn claim(&mut self, key: &Key) -> Result<(Option<KeyState>, bool), ClaimError> {
        if let Some(slot) = self.slots.get_mut(&key.key) {
            if slot.digest != key.digest {
                return Err(ClaimError::OtherRequest);
            }
            if slot.held {
                return Err(ClaimError::InProgress);
            }
            let state = slot.state();
            slot.held = !state.as_ref().is_some_and(KeyState::is_complete);
            return Ok((state, slot.held));
        }
        if self.slots.len() >= self.max {
            return Err(ClaimError::TooMany);
        }
        let slot = Slot { digest: key.digest, at: key.at, block: None, held: true };
        self.slots.insert(key.key, slot);
        self.by_age.insert((key.at, key.key));
        Ok((None, true))
    }

    /// Gives a key its ids; false if it has others.
    pub(crate) fn begin(&mut self, key: &[u8; 32], first: QueueId, count: u32) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        match &slot.block {
            Some(_) => false,
            None => {
                slot.block = Some(Block::new(first, count));
                self.open.insert(first, *key);
                true
            }
        }
    }

    /// Whether this id is one that the key lacks.
    pub(crate) fn lacks(&self, key: &[u8; 32], id: QueueId) -> bool {
        let block = self.slots.get(key).and_then(|slot| slot.block.as_ref());
        block.is_some_and(|block| {
            let Accepted::Some { bits, .. } = &block.accepted else { return false };
            block.number(id).is_some_and(|number| {
                let word = bits.get(number as usize / 64).copied().unwrap_or_default();
                word >> (number % 64) & 1 == 0
            })
        })
    }

    /// A message with this id is on disk; if it came under a key, that knows it from now on.
    pub(crate) fn accepted(&mut self, id: QueueId) {
        let Some((first, key)) = self.open.range(..=id).next_back() else { return };
        let (first, key) = (*first, *key);
        let block = self.slots.get_mut(&key).and_then(|slot| slot.block.as_mut());
        let Some(block) = block else { return };
        if let Some(number) = block.number(id) {
            block.accept(number);
            if block.accepted == Accepted::All {
                self.open.remove(&first);
            }
        }
    }

    /// The record of a key is here; gives where it lay before.
    pub(crate) fn place(&mut self, keyed: &Keyed, lies: Lies) -> Option<Lies> {
        let before = self.slots.get(&keyed.key).and_then(|slot| slot.block.as_ref());
        if before.is_some_and(|block| block.first == keyed.first) {
            let block = self.slots.get_mut(&keyed.key)?.block.as_mut()?;
            let lay = block.lies.replace(lies);
            self.union(keyed);
            return lay;
        }
        // Its time was over, and it came again.
        let lay = if before.is_some() { self.remove(&keyed.key) } else { None };
        let held = self.slots.get(&keyed.key).is_some_and(|slot| slot.held);
        let block = Block { lies: Some(lies), ..Block::new(keyed.first, keyed.count) };
        let slot = Slot { digest: keyed.digest, at: keyed.at, block: Some(block), held };
        self.slots.insert(keyed.key, slot);
        self.by_age.insert((keyed.at, keyed.key));
        self.open.insert(keyed.first, keyed.key);
        self.union(keyed);
        lay
    }

    /// Knows of a key's messages what its record knows.
    fn union(&mut self, keyed: &Keyed) {
        let block = self.slots.get_mut(&keyed.key).and_then(|slot| slot.block.as_mut());
        let Some(block) = block else { return };
        let set = |n: &u32| {
            let word = keyed.accepted.get(*n as usize / 64);
            keyed.complete || word.is_some_and(|word| word >> (n % 64) & 1 == 1)
        };
        (0..block.count).filter(set).for_each(|number| block.accept(number));
        if block.accepted == Accepted::All {
            self.open.remove(&keyed.first);
        }
    }

    /// The key moved: only if it still lies where it was. Gives whether it did.
    pub(crate) fn moved(&mut self, key: &[u8; 32], from: Position, to: Lies) -> Option<Lies> {
        let block = self.slots.get_mut(key)?.block.as_mut()?;
        block.lies.filter(|(at, _)| *at == from)?;
        block.lies.replace(to)
    }

    /// What is to be written of a key that lies here; none if it does not, or is held.
    pub(crate) fn entry(&self, key: &[u8; 32]) -> Option<(Keyed, Option<Lies>)> {
        let slot = self.slots.get(key)?;
        let block = slot.block.as_ref()?;
        let (complete, accepted) = match &block.accepted {
            Accepted::All => (true, Vec::new()),
            Accepted::Some { bits, .. } => (false, bits.clone()),
        };
        let (digest, at) = (slot.digest, slot.at);
        let (first, count) = (block.first, block.count);
        let keyed = Keyed { key: *key, digest, first, count, at, complete, accepted };
        Some((keyed, block.lies))
    }

    /// Whether a request holds it.
    pub(crate) fn is_held(&self, key: &[u8; 32]) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.held)
    }

    /// All that are on disk.
    pub(crate) fn all(&self) -> Vec<[u8; 32]> {
        self.slots.keys().copied().collect()
    }

    /// No request holds it any more. One under which nothing was put is forgotten: gives where its
    /// record lies, which then says nothing.
    pub(crate) fn release(&mut self, key: &[u8; 32]) -> Option<Lies> {
        let slot = self.slots.get_mut(key)?;
        slot.held = false;
        let untouched = slot.block.as_ref().is_none_or(|block| match &block.accepted {
            Accepted::All => block.count == 0,
            Accepted::Some { left, .. } => *left == block.count && block.lies.is_none(),
        });
        if untouched { self.remove(key) } else { None }
    }

    /// Forgets those whose time is over; gives where their records lie.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Lies> {
        let mut gone = Vec::new();
        let mut held = Vec::new();
        while let Some((at, key)) = self.by_age.first().copied() {
            if at + KEY_LIFE > now {
                break;
            }
            if self.is_held(&key) {
                self.by_age.pop_first();
                held.push((at, key));
                continue;
            }
            gone.extend(self.remove(&key));
        }
        self.by_age.extend(held);
        gone
    }

    fn remove(&mut self, key: &[u8; 32]) -> Option<Lies> {
        let slot = self.slots.remove(key)?;
        self.by_age.remove(&(slot.at, *key));
        let block = slot.block?;
        self.open.remove(&block.first);
        block.lies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_392_378);

    fn key(number: usize) -> Key {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        Key { key, digest: [1; 32], at: NOW }
    }

    #[test]
    fn there_are_so_many_and_one_more_waits_until_the_time_of_one_is_over() {
        assert_eq!(Keys::default().max, KEYS_MAX);
        let mut keys = Keys::up_to(100);
        for number in 0..100 {
            assert_eq!(keys.claim(&key(number)), Ok((None, true)));
        }
        assert_eq!(keys.claim(&key(100)), Err(ClaimError::TooMany));
        keys.release(&key(7).key);
        assert_eq!(keys.claim(&key(100)), Ok((None, true)));
        assert!(keys.expire(NOW + KEY_LIFE).is_empty(), "those that are held stay");
        assert_eq!(keys.slots.len(), 100);
    }

    #[test]
    fn what_its_record_knows_and_what_is_read_behind_it_add_up() {
        let first = QueueId::from_u64(1 << 22);
        let place = |offset| (Position { segment: 1, offset }, 100);
        let keyed = |accepted: u64| Keyed {
            key: [9; 32],
            digest: [1; 32],
            first,
            count: 5,
            at: NOW,
            complete: false,
            accepted: vec![accepted],
        };
        let mut keys = Keys::default();
        assert_eq!(keys.place(&keyed(0b10), place(64)), None);
        keys.accepted(first.after(4));
        keys.accepted(first.after(5));
        keys.accepted(QueueId::from_u64(3));
        assert_eq!(keys.state(&[9; 32]).unwrap().missing, [0, 2, 3]);
        assert!(keys.lacks(&[9; 32], first) && !keys.lacks(&[9; 32], first.after(1)));
        assert!(!keys.lacks(&[9; 32], first.after(5)));
        assert_eq!(keys.place(&keyed(0b101), place(300)), Some(place(64)));
        assert_eq!(keys.state(&[9; 32]).unwrap().missing, [3]);
        keys.accepted(first.after(3));
        assert!(keys.state(&[9; 32]).unwrap().is_complete() && keys.open.is_empty());
        // The same key for another request, when its time was over.
        let other = Keyed { first: first.after(100), ..keyed(0) };
        assert_eq!(keys.place(&other, place(900)), Some(place(300)));
        assert_eq!(keys.state(&[9; 32]).unwrap().missing, [0, 1, 2, 3, 4]);
        assert_eq!(keys.by_age.len(), 1);
    }
}
