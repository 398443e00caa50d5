//! How many entries stand where, and why: kept up to date with each step of each entry, so that who
//! asks looks at no entry. An entry is counted once, under what tells it from others.

use hashbrown::HashMap;

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Standing {
    /// It could go: it waits for its turn in its group, or to be looked at.
    Ready,
    /// It waits for its time.
    Timed,
    /// It waits to learn where its domain's mail goes, or to be told that it goes nowhere.
    Routing,
    /// It is held back.
    Held,
    /// It was held back and is let go, bit by bit.
    Thawing,
    /// It is too old and is given up.
    Leaving,
    /// It is with the driver.
    Flying,
}

/// What tells entries apart that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Account {
    pub(crate) destination: u32,
    pub(crate) flow: u32,
    /// What was said of it last.
    pub(crate) mark: u16,
    /// The hold that keeps it, if any.
    pub(crate) hold: u8,
    pub(crate) standing: Standing,
}

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counts: HashMap<Account, u32>,
}

impl Ledger {
    pub(crate) fn add(&mut self, account: Account) {
        *self.counts.entry(account).or_default() += 1;
    }

    pub(crate) fn take(&mut self, account: Account) {
        let Some(count) = self.counts.get_mut(&account) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&account);
        }
    }

    /// All counts, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Account, u32)> {
        self.counts.iter().map(|(account, count)| (account, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_leaves_nothing_behind() {
        let mut ledger = Ledger::default();
        let account = |n: u32, standing| Account {
            destination: n % 3,
            flow: n % 2,
            mark: 0,
            hold: 0,
            standing,
        };
        (0..60).for_each(|n| ledger.add(account(n, Standing::Ready)));
        for n in 0..60 {
            ledger.take(account(n, Standing::Ready));
            ledger.add(account(n, Standing::Flying));
        }
        assert_eq!(ledger.iter().count(), 6);
        assert!(ledger.iter().all(|(_, count)| count == 10));
        (0..60).for_each(|n| ledger.take(account(n, Standing::Flying)));
        assert_eq!(ledger.iter().count(), 0);
    }
}
