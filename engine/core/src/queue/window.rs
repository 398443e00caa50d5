//! How many connections a site gets: fed back by what happens on them, as Postfix does.
//!
//! A success makes the window grow by its inverse, a failure of the host shrink by one. When a
//! whole cohort of attempts fails in a row, the site rests, longer each time, and comes back with
//! one probe.

use std::time::Duration;

use crate::clock::Timestamp;

/// The first rest of a site that does not answer.
const REST_MIN: Duration = Duration::from_secs(10);
/// The longest.
const REST_MAX: Duration = Duration::from_secs(600);

/// A site's concurrency window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    size: f64,
    size_max: f64,
    /// Failures in a row since the last success.
    failures: f64,
    rests: u32,
    resting_until: Timestamp,
}

impl Window {
    /// A window of `initial`, which can grow to `max`.
    pub fn new(initial: u32, max: u32) -> Self {
        let max = f64::from(max.max(1));
        Self {
            size: f64::from(initial.max(1)).min(max),
            size_max: max,
            failures: 0.0,
            rests: 0,
            resting_until: Timestamp::EPOCH,
        }
    }

    /// Attempts that may be under way now.
    pub fn size(&self) -> u32 {
        self.size as u32
    }

    /// The site rests until then; a time that is past if it does not.
    pub const fn resting_until(&self) -> Timestamp {
        self.resting_until
    }

    /// The host answered as a host should, whatever it said of the message.
    pub fn on_success(&mut self) {
        self.failures = 0.0;
        self.rests = 0;
        self.size = (self.size + 1.0 / self.size).min(self.size_max);
    }

    /// The host could not be reached, or sent us away. True if the site now rests.
    pub fn on_failure(&mut self, now: Timestamp) -> bool {
        if now < self.resting_until {
            return false;
        }
        self.failures += 1.0;
        if self.failures < self.size {
            self.size = (self.size - 1.0).max(1.0);
            return false;
        }
        let rest = REST_MIN.saturating_mul(1 << self.rests.min(16)).min(REST_MAX);
        self.rests += 1;
        self.failures = 0.0;
        self.size = 1.0;
        self.resting_until = now + rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_make_it_grow_and_a_failed_cohort_makes_it_rest() {
        let mut window = Window::new(5, 20);
        (0..1_000).for_each(|_| window.on_success());
        assert_eq!(window.size(), 20);
        let now = Timestamp::from_secs(1_000);
        let failed = (1..100).find(|_| window.on_failure(now)).unwrap();
        assert!((5..20).contains(&failed), "after {failed} failures");
        assert_eq!(window.resting_until(), now + REST_MIN);
        assert_eq!(window.size(), 1);
        assert!(window.on_failure(now + REST_MIN), "the probe fails");
        assert_eq!(window.resting_until(), now + REST_MIN + REST_MIN * 2);
        window.on_success();
        assert_eq!(window.size(), 2);
    }
}
