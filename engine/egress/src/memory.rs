//! What has failed lately, so that it is not asked or tried first again and again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;

/// How long the first failure is remembered; each further one in a row for twice as long.
pub const REMEMBERED_MIN: Duration = Duration::from_secs(30);
/// How long a failure is remembered at most.
pub const REMEMBERED_MAX: Duration = Duration::from_secs(600);
/// Failures remembered at once. With more, the newest are forgotten at once.
pub const FAILURES_MAX: usize = 10_000;

/// Failures by what failed, each with its reason.
pub struct Memory<K, V> {
    failures: Mutex<HashMap<K, Failure<V>>>,
    clock: Arc<dyn Clock>,
}

struct Failure<V> {
    why: V,
    times: u32,
    until: Timestamp,
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// Nothing has failed.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { failures: Mutex::new(HashMap::new()), clock }
    }

    /// Why this failed lately, if it did.
    pub fn failed(&self, key: &K) -> Option<V> {
        let failures = self.failures.lock();
        let failure = failures.get(key)?;
        (self.clock.now() < failure.until).then(|| failure.why.clone())
    }

    /// This failed.
    pub fn remember(&self, key: K, why: V) {
        let now = self.clock.now();
        let mut failures = self.failures.lock();
        if failures.len() >= FAILURES_MAX && !failures.contains_key(&key) {
            failures.retain(|_, failure| now < failure.until);
            if failures.len() >= FAILURES_MAX {
                return;
            }
        }
        let times = failures.get(&key).map_or(0, |failure| failure.times);
        let wait = REMEMBERED_MIN.saturating_mul(1 << times.min(16)).min(REMEMBERED_MAX);
        failures.insert(key, Failure { why, times: times + 1, until: now + wait });
    }

    /// This works.
    pub fn forget(&self, key: &K) {
        let mut failures = self.failures.lock();
        if !failures.is_empty() {
            failures.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use super::*;

    #[derive(Debug, Default)]
    struct TestClock(AtomicU64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_failure_is_remembered_for_longer_each_time_and_forgotten_by_a_success() {
        let clock = Arc::new(TestClock::default());
        let memory = Memory::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut spans = Vec::new();
        for _ in 0..7 {
            memory.remember("host", "refused");
            let begun = clock.0.load(Ordering::Relaxed);
            while memory.failed(&"host").is_some() {
                clock.0.fetch_add(1, Ordering::Relaxed);
            }
            spans.push(clock.0.load(Ordering::Relaxed) - begun);
        }
        assert_eq!(spans, [30, 60, 120, 240, 480, 600, 600]);
        memory.remember("host", "refused");
        memory.forget(&"host");
        assert_eq!(memory.failed(&"host"), None);
        memory.remember("host", "refused");
        clock.0.fetch_add(31, Ordering::Relaxed);
        assert_eq!(memory.failed(&"host"), None, "it began anew");
    }

    #[test]
    fn no_more_is_remembered_than_the_limit() {
        let clock = Arc::new(TestClock::default());
        let memory = Memory::new(Arc::clone(&clock) as Arc<dyn Clock>);
        (0..=FAILURES_MAX).for_each(|key| memory.remember(key, ()));
        assert_eq!(memory.failures.lock().len(), FAILURES_MAX);
        assert_eq!(memory.failed(&FAILURES_MAX), None);
        clock.0.fetch_add(31, Ordering::Relaxed);
        memory.remember(FAILURES_MAX, ());
        assert!(memory.failed(&FAILURES_MAX).is_some(), "what is over made room");
    }
}
