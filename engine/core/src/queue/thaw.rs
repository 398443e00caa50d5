//! What was held back is let go bit by bit, more each time: no stampede, and soon over.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::queue::entries::Entries;
use crate::queue::entries::List;
use crate::queue::ledger::Standing;

/// How long from one portion to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// Messages of the first portion.
const PORTION_FIRST: u32 = 100;
/// Each portion is larger than the one before by a part of so many: a million go in four seconds.
const GROWTH: u32 = 4;

/// What is let go.
#[derive(Debug, Default)]
pub(crate) struct Thaw {
    list: List,
    portion: u32,
    /// No portion before.
    next: Timestamp,
}

impl Thaw {
    /// Takes over what is to be let go. True if an alarm must be set for now.
    pub(crate) fn take(&mut self, entries: &mut Entries, mut list: List) -> bool {
        let began = self.list.is_empty() && !list.is_empty();
        if began {
            self.portion = PORTION_FIRST;
        }
        while let Some(key) = list.pop(entries) {
            entries.stand(key, Standing::Thawing);
            self.list.push_back(entries, key);
        }
        began
    }

    /// A portion, if it is time for one, and when the next one is due; none if nothing is left.
    pub(crate) fn portion(
        &mut self,
        entries: &mut Entries,
        now: Timestamp,
    ) -> (List, Option<Timestamp>) {
        let mut portion = List::default();
        if now >= self.next {
            for _ in 0..self.portion {
                let Some(key) = self.list.pop(entries) else { break };
                portion.push_back(entries, key);
            }
            self.portion = self.portion.saturating_add(self.portion / GROWTH);
            self.next = now + PAUSE;
        }
        (portion, (!self.list.is_empty()).then_some(self.next))
    }

    pub(crate) const fn list_mut(&mut self) -> &mut List {
        &mut self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::entries::tests::entry;

    #[test]
    fn more_is_let_go_each_time_until_nothing_is_left() {
        let (mut entries, mut list, mut thaw) =
            (Entries::default(), List::default(), Thaw::default());
        for n in 0..100_000 {
            let key = entries.insert(entry(n));
            list.push_back(&mut entries, key);
        }
        assert!(thaw.take(&mut entries, list));
        let (mut now, mut sizes) = (Timestamp::from_secs(1_000), Vec::new());
        loop {
            let (portion, next) = thaw.portion(&mut entries, now);
            sizes.push(portion.len());
            assert_eq!(thaw.portion(&mut entries, now).0.len(), 0, "not twice at once");
            match next {
                Some(next) => now = next,
                None => break,
            }
        }
        assert_eq!((sizes[..3].to_vec(), sizes.iter().sum()), (vec![100, 125, 156], 100_000));
        assert!((20..30).contains(&sizes.len()), "{sizes:?}");
    }
}
