//! How often each token may ask: so many requests in a time, all of them at once if it likes.
//!
//! Kept as the moment at which all of it is there again (the generic cell rate algorithm); the time
//! comes in as an argument. The fields are those of draft-ietf-httpapi-ratelimit-headers.

use std::collections::HashMap;
use std::time::Duration;

use maily_core::clock::Timestamp;

/// The most holders whose spending is remembered; whoever has most left is forgotten first.
pub const REMEMBERED_MAX: usize = 20_000;

/// So many requests in this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many; at least one.
    pub count: u32,
    /// In how long; not zero.
    pub per: Duration,
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many more may come at once.
    pub count: u64,
    /// When all of them are there again.
    pub all_in: Duration,
}

/// When the next request may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl Budget {
    /// The time from one to the next, if they come evenly; at least a microsecond.
    fn interval(self) -> u64 {
        let micros = u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX);
        (micros / u64::from(self.count.max(1))).max(1)
    }

    /// One request comes, when all would be there again at `full_at`.
    fn take(self, full_at: &mut Timestamp, now: Timestamp) -> Result<Left, Wait> {
        let interval = Duration::from_micros(self.interval());
        let all = interval * self.count.max(1);
        let after = (*full_at).max(now) + interval;
        let spent = after.since(now);
        if spent > all {
            return Err(Wait(spent.saturating_sub(all)));
        }
        *full_at = after;
        let left = all.saturating_sub(spent).as_micros() / interval.as_micros();
        Ok(Left { count: u64::try_from(left).unwrap_or(u64::MAX), all_in: spent })
    }
}

/// What each holder has spent.
#[derive(Debug, Default)]
pub struct Spending {
    full_at: HashMap<Box<str>, Timestamp>,
}

impl Spending {
    /// One request of this holder comes.
    ///
    /// # Errors
    /// It comes too early.
    pub fn take(&mut self, holder: &str, budget: Budget, now: Timestamp) -> Result<Left, Wait> {
        if let Some(full_at) = self.full_at.get_mut(holder) {
            return budget.take(full_at, now);
        }
        self.make_room(now);
        let mut full_at = now;
        let left = budget.take(&mut full_at, now);
        self.full_at.insert(holder.into(), full_at);
        left
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.full_at.len() < REMEMBERED_MAX {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= REMEMBERED_MAX {
            let least = self.full_at.iter().min_by_key(|(_, full_at)| **full_at);
            least.map(|(holder, _)| holder.clone()).map(|holder| self.full_at.remove(&holder));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { count: 10, per: Duration::from_secs(10) };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1_000) + Duration::from_millis(millis)
    }

    #[test]
    fn all_may_come_at_once_and_the_one_above_waits_its_turn() {
        let mut spending = Spending::default();
        for number in 1..=10 {
            let left = spending.take("a", BUDGET, at(0)).unwrap();
            assert_eq!(left.count, 10 - number);
            assert_eq!(left.all_in, Duration::from_secs(number));
        }
        let wait = spending.take("a", BUDGET, at(0)).unwrap_err();
        assert_eq!(wait, Wait(Duration::from_secs(1)));
        assert!(spending.take("a", BUDGET, at(999)).is_err());
        assert_eq!(spending.take("a", BUDGET, at(1_000)).unwrap().count, 0);
        assert!(spending.take("a", BUDGET, at(1_000)).is_err());
        assert_eq!(spending.take("b", BUDGET, at(1_000)).unwrap().count, 9, "each has its own");
        assert_eq!(spending.take("a", BUDGET, at(60_000)).unwrap().count, 9, "it fills up");
    }

    #[test]
    fn in_the_long_run_no_more_come_than_the_budget_says() {
        let (mut spending, mut taken) = (Spending::default(), 0);
        for millis in (0..100_000).step_by(10) {
            taken += u32::from(spending.take("a", BUDGET, at(millis)).is_ok());
        }
        assert_eq!(taken, 10 + 99);
    }

    #[test]
    fn who_is_remembered_is_bounded() {
        let mut spending = Spending::default();
        let _spent = spending.take("first", BUDGET, at(0));
        for number in 0..REMEMBERED_MAX {
            let _spent = spending.take(&number.to_string(), BUDGET, at(1));
        }
        assert_eq!(spending.full_at.len(), REMEMBERED_MAX);
        assert!(!spending.full_at.contains_key("first"));
        let _spent = spending.take("later", BUDGET, at(60_000));
        assert_eq!(spending.full_at.len(), 1, "who has spent nothing of late is forgotten");
    }
}
