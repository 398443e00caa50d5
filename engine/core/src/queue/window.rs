//! How many connections a lane gets, a lane being one site as seen from one egress source: fed back
//! by what happens on them, as Postfix does.
//!
//! A success makes the window grow by its inverse, a failure of the host shrink by one. When a
//! whole cohort of attempts fails in a row, the lane rests, longer each time, and comes back with
//! one probe.

use std::time::Duration;

use crate::clock::Timestamp;

/// The first rest of a lane whose site does not answer.
const REST_MIN: Duration = Duration::from_secs(10);
/// The longest.
const REST_MAX: Duration = Duration::from_secs(600);

/// A lane's concurrency window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    size: f32,
    /// Failures in a row since the last success.
    failures: f32,
    rests: u8,
    resting_until: Timestamp,
}

impl Window {
    /// A window of `initial`.
    pub const fn new(initial: u32) -> Self {
        let size = if initial == 0 { 1.0 } else { initial as f32 };
        Self { size, failures: 0.0, rests: 0, resting_until: Timestamp::EPOCH }
    }

    /// Attempts that may be under way now.
    pub const fn size(&self) -> u32 {
        self.size as u32
    }

    /// The lane rests until then; a time that is past if it does not.
    pub const fn resting_until(&self) -> Timestamp {
        self.resting_until
    }

    /// The host did its work: it took or refused the message. The window may grow to `max`.
    pub fn on_success(&mut self, max: u32) {
        self.on_answer();
        self.size = (self.size + 1.0 / self.size).min(max.max(1) as f32);
    }

    /// The host answered as a host should, but put a recipient or message off: greylisting is no
    /// reason to send less, nor to send more.
    pub const fn on_answer(&mut self) {
        self.failures = 0.0;
        self.rests = 0;
    }

    /// The host could not be reached, or sent us away. True if the lane now rests.
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
        self.rests = self.rests.saturating_add(1);
        self.failures = 0.0;
        self.size = 1.0;
        self.resting_until = now + rest;
        true
    }

    /// A smaller `max` holds at once.
    pub const fn shrink_to(&mut self, max: u32) {
        self.size = self.size.min(if max == 0 { 1.0 } else { max as f32 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_make_it_grow_and_a_failed_cohort_makes_it_rest() {
        let mut window = Window::new(5);
        (0..1_000).for_each(|_| window.on_success(20));
        assert_eq!(window.size(), 20);
        let now = Timestamp::from_secs(1_000);
        let failed = (1..100).find(|_| window.on_failure(now)).unwrap();
        assert!((5..20).contains(&failed), "after {failed} failures");
        assert_eq!(window.resting_until(), now + REST_MIN);
        assert_eq!(window.size(), 1);
        assert!(window.on_failure(now + REST_MIN), "the probe fails");
        assert_eq!(window.resting_until(), now + REST_MIN + REST_MIN * 2);
        window.on_success(20);
        assert_eq!(window.size(), 2);
    }

    #[test]
    fn mail_that_is_put_off_changes_nothing_but_ends_a_row_of_failures() {
        let now = Timestamp::from_secs(1_000);
        let mut window = Window::new(2);
        for _ in 0..50 {
            window.on_answer();
            assert_eq!(window.size(), 2);
        }
        assert!(!window.on_failure(now));
        window.on_answer();
        assert_eq!(window.size(), 1);
        assert!(window.on_failure(now), "a window of one rests at the first failure");
    }
}
