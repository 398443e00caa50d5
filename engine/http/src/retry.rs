//! When what a webhook did not take is tried again, and when it is given up. A value: the time
//! comes in.

use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_registry::progress::Progress;

/// Octets of a reason that are kept.
const ERROR_OCTETS_MAX: usize = 300;

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first pause; each is twice as long as the one before.
    pub delay_min: Duration,
    /// The longest one.
    pub delay_max: Duration,
    /// An event that was not taken for so long is set aside.
    pub give_up_after: Duration,
}

impl Retry {
    /// The pause after so many failures.
    pub fn delay(&self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.delay_min.saturating_mul(doubled).min(self.delay_max)
    }

    /// Notes that the next event was not taken; true if it is given up.
    pub fn on_failure(&self, progress: &mut Progress, now: Timestamp, why: &str) -> bool {
        let since = *progress.failing_since.get_or_insert(now);
        progress.failures = progress.failures.saturating_add(1);
        progress.error = Some(maily_core::event::bounded(why, ERROR_OCTETS_MAX));
        progress.next_try_at = Some(now + self.delay(progress.failures));
        now.since(since) >= self.give_up_after
    }
}

/// Notes that an event needs no more tries.
pub fn done(progress: &mut Progress, place: (u64, u32)) {
    progress.place = (place.0, Some(place.1));
    (progress.failures, progress.failing_since) = (0, None);
    (progress.next_try_at, progress.error) = (None, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_after_all_its_time_an_event_is_given_up() {
        let seconds = Duration::from_secs;
        let retry = Retry {
            delay_min: seconds(5),
            delay_max: seconds(3_600),
            give_up_after: seconds(86_400),
        };
        assert_eq!([1, 2, 3, 11, 40].map(|n| retry.delay(n).as_secs()), [5, 10, 20, 3_600, 3_600]);
        let (mut progress, mut now) = (Progress::default(), Timestamp::from_secs(1_000));
        let mut tries = 1;
        while !retry.on_failure(&mut progress, now, "500") {
            now = progress.next_try_at.unwrap();
            tries += 1;
        }
        let took = now.since(Timestamp::from_secs(1_000));
        assert!(took >= seconds(86_400) && took < seconds(90_000), "{took:?}");
        assert!((30..50).contains(&tries), "{tries}");
        done(&mut progress, (7, 1));
        assert_eq!(progress, Progress { place: (7, Some(1)), ..Progress::default() });
    }
}
