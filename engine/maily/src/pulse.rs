//! Whether the delivery loop still turns: what `/livez` and the watchdog ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_delivery::counters::Counters;

/// The loop turns each second even if there is nothing to do: silent for so long, it is stuck.
pub const STILL_MAX: Duration = Duration::from_secs(10);

/// Watches the loop.
pub struct Pulse {
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    /// Turns when they were last seen to move, and when that was.
    seen: Mutex<(u64, Timestamp)>,
}

impl Pulse {
    /// Watches from now on.
    pub fn new(counters: Arc<Counters>, clock: Arc<dyn Clock>) -> Self {
        let seen = Mutex::new((0, clock.now()));
        Self { counters, clock, seen }
    }

    /// Whether the loop has turned since the last question, or not long before.
    pub fn is_alive(&self) -> bool {
        let (turns, now) = (self.counters.turns.load(Ordering::Relaxed), self.clock.now());
        let mut seen = self.seen.lock();
        if seen.0 != turns {
            *seen = (turns, now);
        }
        now.since(seen.1) < STILL_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Hand(Mutex<Duration>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1_000) + *self.0.lock()
        }
    }

    #[test]
    fn a_loop_that_turns_is_alive_and_one_that_stands_still_is_not() {
        let (counters, hand) = (Arc::new(Counters::default()), Arc::new(Hand::default()));
        let pulse = Pulse::new(Arc::clone(&counters), Arc::<Hand>::clone(&hand));
        let turn = || counters.turns.fetch_add(1, Ordering::Relaxed);
        let wait = |time| *hand.0.lock() += time;
        turn();
        assert!(pulse.is_alive());
        // Nobody asked for an hour, and the loop went on.
        wait(Duration::from_secs(3_600));
        turn();
        assert!(pulse.is_alive());
        wait(STILL_MAX - Duration::from_millis(1));
        assert!(pulse.is_alive());
        wait(Duration::from_millis(1));
        assert!(!pulse.is_alive(), "it has not turned for STILL_MAX");
        turn();
        assert!(pulse.is_alive(), "it turns again");
    }
}
