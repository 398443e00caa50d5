//! A hierarchical timing wheel (Varghese and Lauck, 1987): what waits for its time, in millions.
//!
//! Putting an entry in is one step, whatever waits. Each level has 64 slots, each as long as the
//! whole level below. An entry stands where its time first differs from the present, and moves down
//! when that slot's time comes: at most once a level. Nothing comes out before its time; within a
//! tick the order is open.

use crate::clock::Timestamp;
use crate::queue::entries::Entries;
use crate::queue::entries::Entry;
use crate::queue::entries::List;
use crate::queue::entries::NONE;

/// A tick is 2^14 microseconds, some 16 milliseconds: how late an entry may be.
const TICK_BITS: u32 = 14;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Nine levels hold every time that can be said: 54 bits of ticks.
const LEVELS: usize = 9;

#[derive(Debug)]
struct Level {
    heads: [u32; SLOTS],
    /// A bit for each slot that is not empty.
    used: u64,
}

#[derive(Debug)]
pub(crate) struct Wheel {
    levels: [Level; LEVELS],
    /// All before this tick is out.
    elapsed: u64,
    /// A slot's entries, on their way out or down.
    opened: u32,
    length: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        let level = || Level { heads: [NONE; SLOTS], used: 0 };
        Self { levels: std::array::from_fn(|_| level()), elapsed: 0, opened: NONE, length: 0 }
    }
}

/// Moves what leaves a chain to another list; gives the head of the rest.
fn without(
    entries: &mut Entries,
    head: u32,
    leaves: impl Fn(&Entry) -> bool,
    left: &mut List,
) -> u32 {
    let (mut key, mut rest) = (head, NONE);
    while key != NONE {
        let next = entries.next(key);
        if entries.get(key).is_some_and(&leaves) {
            left.push_back(entries, key);
        } else {
            entries.link_timed(key, rest);
            rest = key;
        }
        key = next;
    }
    rest
}

/// The first tick that is not before this time.
const fn tick_of(at: Timestamp) -> u64 {
    at.as_micros().div_ceil(1 << TICK_BITS)
}

impl Wheel {
    /// Puts an entry in; it comes out once it is due.
    pub(crate) fn insert(&mut self, entries: &mut Entries, key: u32) {
        self.length += 1;
        self.place(entries, key);
    }

    fn place(&mut self, entries: &mut Entries, key: u32) {
        let due = entries.get(key).map_or(0, |entry| tick_of(entry.due));
        let tick = due.max(self.elapsed);
        let differs = (tick ^ self.elapsed) | (SLOTS as u64 - 1);
        let index = (u64::BITS - 1 - differs.leading_zeros()) / SLOT_BITS;
        let slot = (tick >> (index * SLOT_BITS)) as usize % SLOTS;
        let Some(level) = self.levels.get_mut(index as usize) else { return };
        if let Some(head) = level.heads.get_mut(slot) {
            entries.link_timed(key, *head);
            *head = key;
            level.used |= 1 << slot;
        }
    }

    /// One entry that is due or cancelled, if there is one.
    pub(crate) fn pop(&mut self, entries: &mut Entries, now: Timestamp) -> Option<u32> {
        let present = now.as_micros() >> TICK_BITS;
        loop {
            while self.opened != NONE {
                let key = self.opened;
                self.opened = entries.next(key);
                let entry = entries.get(key).filter(|entry| tick_of(entry.due) <= self.elapsed);
                if let Some(entry) = entry {
                    self.length -= usize::from(!entry.is_cancelled());
                    return Some(key);
                }
                self.place(entries, key);
            }
            let Some((index, slot, tick)) = self.next_slot().filter(|next| next.2 <= present)
            else {
                self.elapsed = self.elapsed.max(present);
                return None;
            };
            self.elapsed = tick;
            if let Some(level) = self.levels.get_mut(index)
                && let Some(head) = level.heads.get_mut(slot)
            {
                self.opened = std::mem::replace(head, NONE);
                level.used &= !(1 << slot);
            }
        }
    }

    /// So many of its entries count no more: they are cancelled, or were swept out.
    pub(crate) const fn discount(&mut self, entries: usize) {
        self.length -= entries;
    }

    /// Moves what leaves to another list. Looks at every entry.
    pub(crate) fn sweep(
        &mut self,
        entries: &mut Entries,
        leaves: impl Fn(&Entry) -> bool + Copy,
        left: &mut List,
    ) {
        for level in &mut self.levels {
            for (slot, head) in level.heads.iter_mut().enumerate().filter(|(_, h)| **h != NONE) {
                *head = without(entries, *head, leaves, left);
                if *head == NONE {
                    level.used &= !(1 << slot);
                }
            }
        }
        self.opened = without(entries, self.opened, leaves, left);
    }

    /// When [`Wheel::pop`] has something to do.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        if self.opened != NONE {
            return Some(Timestamp::EPOCH);
        }
        self.next_slot()
            .map(|(_, _, tick)| Timestamp::from_micros(tick.saturating_mul(1 << TICK_BITS)))
    }

    /// The first slot that is not empty: its level, place and first tick. A lower level is always
    /// sooner than a higher one.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let (index, level) = self.levels.iter().enumerate().find(|(_, level)| level.used != 0)?;
        let shift = index as u32 * SLOT_BITS;
        // No slot before the present one is used: what is in the past stands in the present slot.
        let slot = level.used.trailing_zeros();
        let above = (self.elapsed >> shift) & !(SLOTS as u64 - 1);
        let tick = (above | u64::from(slot)) << shift;
        Some((index, slot as usize, tick.max(self.elapsed)))
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queue::entries::tests::entry;
    use proptest::prelude::*;

    fn put(wheel: &mut Wheel, entries: &mut Entries, now: Timestamp, due: u64) {
        let mut new = entry(0);
        (new.due, new.expires_at) = (Timestamp::from_micros(due), now);
        let key = entries.insert(new);
        wheel.insert(entries, key);
    }

    #[test]
    fn the_end_of_time_is_waited_for() {
        let (mut wheel, mut entries) = (Wheel::default(), Entries::default());
        put(&mut wheel, &mut entries, Timestamp::EPOCH, u64::MAX);
        assert_eq!(wheel.pop(&mut entries, Timestamp::from_secs(1 << 40)), None);
        assert!(wheel.next().unwrap() > Timestamp::from_secs(1 << 40));
        assert_eq!(wheel.len(), 1);
    }

    proptest! {
        /// Waking only when told to, each entry comes out after its time and within a tick.
        #[test]
        fn each_comes_out_once_and_on_time(
            dues in proptest::collection::vec(0..400_000_000_000_u64, 1..60),
            start in 0..100_000_000_000_u64,
            pause in 0..1_000_000_u64,
        ) {
            let (mut wheel, mut entries) = (Wheel::default(), Entries::default());
            let mut now = Timestamp::from_micros(start);
            let (early, late) = dues.split_at(dues.len() / 2);
            early.iter().for_each(|due| put(&mut wheel, &mut entries, now, *due));
            let mut seen = Vec::new();
            let mut rest = late.iter();
            loop {
                while let Some(key) = wheel.pop(&mut entries, now) {
                    let Entry { due, expires_at: put_at, .. } = *entries.get(key).unwrap();
                    prop_assert!(due <= now);
                    let tick = Duration::from_micros(pause % 3 + (1 << TICK_BITS));
                    prop_assert!(now <= due.max(put_at) + tick, "{now} is late for {due}");
                    seen.push(due.as_micros());
                    entries.remove(key);
                    if let Some(due) = rest.next() {
                        put(&mut wheel, &mut entries, now, *due);
                    }
                }
                let Some(next) = wheel.next() else { break };
                prop_assert!(next > now, "woken for nothing at {now}");
                now = next + Duration::from_micros(pause % 3);
            }
            seen.extend(rest.copied());
            seen.sort_unstable();
            let mut all = dues.clone();
            all.sort_unstable();
            prop_assert_eq!(seen, all);
            prop_assert_eq!(wheel.len(), 0);
        }
    }
}
