//! How long mail takes from our 250 to theirs, in buckets.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Upper bounds of the buckets in milliseconds: from a tenth of a second to four days.
const BOUNDS: [u64; 12] = [
    100,
    500,
    1_000,
    5_000,
    15_000,
    60_000,
    300_000,
    900_000,
    3_600_000,
    14_400_000,
    86_400_000,
    345_600_000,
];

/// Counts by how long it took.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS.len()],
    above: AtomicU64,
    millis: AtomicU64,
}

impl Latency {
    /// One more took so long.
    pub fn count(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| millis <= *bound);
        let bucket = place.and_then(|place| self.buckets.get(place)).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Each bucket's bound in seconds, and its own count.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let seconds = BOUNDS.iter().map(|millis| Duration::from_millis(*millis).as_secs_f64());
        seconds.zip(self.buckets.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    /// How many took longer than all bounds.
    pub fn above(&self) -> u64 {
        self.above.load(Ordering::Relaxed)
    }

    /// All times added up, in seconds.
    pub fn seconds(&self) -> f64 {
        Duration::from_millis(self.millis.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_goes_into_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        for millis in [0, 100, 101, 345_600_000, 345_600_001] {
            latency.count(Duration::from_millis(millis));
        }
        let counts: Vec<_> = latency.buckets().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(latency.above(), 1);
        assert!((latency.seconds() - 691_200.202).abs() < 1e-6);
    }
}
