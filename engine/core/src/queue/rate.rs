//! So many in a time: a token bucket in virtual time, kept as the moment at which it is full again
//! (the generic cell rate algorithm).
//!
//! In any time `t` no more goes than `t` and a tenth of a second hold, and at least one.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::clock::Timestamp;

/// How much may go at once: what this time holds. Drivers wake to the millisecond.
const BURST_MICROS: u64 = 100_000;

/// The least time from one to the next, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// So many in this time; none if that is none at all.
    pub fn new(count: u32, per: Duration) -> Option<Self> {
        let micros = u64::try_from(per.as_micros()).ok()?;
        if count == 0 {
            return None;
        }
        // Rounded up, so that there are never more.
        NonZeroU64::new(micros.div_ceil(u64::from(count))).map(Self)
    }

    /// How many in a second.
    pub fn per_second(self) -> f64 {
        1_000_000.0 / self.0.get() as f64
    }

    const fn interval(self) -> u64 {
        self.0.get()
    }
}

/// `200/s`, `30/min` or `50/h`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.per_second();
        match each {
            _ if each >= 1.0 => write!(f, "{each:.0}/s"),
            _ if each * 60.0 >= 1.0 => write!(f, "{:.0}/min", each * 60.0),
            _ => write!(f, "{:.0}/h", each * 3_600.0),
        }
    }
}

/// What has gone of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// When the next may go.
    pub(crate) fn ready_at(self, rate: Option<Rate>) -> Timestamp {
        let Some(rate) = rate else { return Timestamp::EPOCH };
        let ahead = BURST_MICROS.saturating_sub(rate.interval());
        self.full_at - Duration::from_micros(ahead)
    }

    /// One goes.
    pub(crate) fn take(&mut self, now: Timestamp, rate: Option<Rate>) {
        if let Some(rate) = rate {
            self.full_at = self.full_at.max(now) + Duration::from_micros(rate.interval());
        }
    }

    /// Whether it is as if nothing had gone.
    pub(crate) fn is_full(self, now: Timestamp) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many go in this time, waking exactly.
    fn run(rate: Rate, time: Duration) -> u64 {
        let (mut bucket, mut now, mut sent) = (Bucket::default(), Timestamp::from_secs(9), 0);
        let end = now + time;
        while now < end {
            while bucket.ready_at(Some(rate)) <= now {
                bucket.take(now, Some(rate));
                sent += 1;
            }
            now = bucket.ready_at(Some(rate));
        }
        sent
    }

    #[test]
    fn as_many_go_as_the_rate_says_and_a_tenth_of_a_second_more() {
        let rate = |count, secs| Rate::new(count, Duration::from_secs(secs)).unwrap();
        assert_eq!(run(rate(100, 1), Duration::from_secs(10)), 1_009);
        assert_eq!(run(rate(1, 1), Duration::from_secs(10)), 10);
        assert_eq!(run(rate(1_000, 3_600), Duration::from_secs(3_600)), 1_000);
        assert!((9_990..=10_999).contains(&run(rate(10_000, 1), Duration::from_secs(1))));
        assert_eq!(Rate::new(0, Duration::from_secs(1)), None);
    }
}
