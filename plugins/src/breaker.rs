//! A plugin that fails again and again rests, for each hook by itself. The breaker is a value that
//! is told the time.
//!
//! ```text
//! closed --so many failures in the window--> open until … --the time comes--> half open
//!   ^                                          ^                                 |
//!   |                                          +------------- one fails ---------+
//!   +-------------------------- one call succeeds -------------------------------+
//! ```

use std::collections::VecDeque;

use maily_core::clock::Timestamp;
use serde::Serialize;

use crate::manifest::BreakerSetting;

/// Failures of which the times are remembered at most.
const REMEMBERED_MAX: usize = 1_000;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The plugin is asked.
    Closed,
    /// It is not asked until then.
    Open {
        /// Until when.
        #[serde(skip)]
        until: Timestamp,
    },
    /// One call is on trial.
    HalfOpen,
}

/// The breaker of a plugin in one hook.
#[derive(Clone, Debug)]
pub struct Breaker {
    setting: BreakerSetting,
    state: State,
    failures: VecDeque<Timestamp>,
    /// When the call on trial began; one that is never heard of again does not block for ever.
    trial: Timestamp,
}

impl Breaker {
    /// A closed one.
    pub const fn new(setting: BreakerSetting) -> Self {
        Self { setting, state: State::Closed, failures: VecDeque::new(), trial: Timestamp::EPOCH }
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the plugin is asked now.
    pub fn admits(&mut self, now: Timestamp) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } if now < until => false,
            State::HalfOpen if now < self.trial + self.setting.cooldown => false,
            State::Open { .. } | State::HalfOpen => {
                self.state = State::HalfOpen;
                self.trial = now;
                true
            }
        }
    }

    /// A call went well.
    pub fn succeeded(&mut self) {
        if self.state == State::HalfOpen {
            self.state = State::Closed;
            self.failures.clear();
        }
    }

    /// A call failed; how many did within the window.
    pub fn failed(&mut self, now: Timestamp) -> u32 {
        self.failures.push_back(now);
        let begin = now - self.setting.window;
        while self.failures.len() > REMEMBERED_MAX
            || self.failures.front().is_some_and(|failure| *failure < begin)
        {
            self.failures.pop_front();
        }
        let seen = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        if self.state == State::HalfOpen || seen >= self.setting.errors {
            self.state = State::Open { until: now + self.setting.cooldown };
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn it_opens_tries_once_and_closes() {
        let setting = BreakerSetting {
            errors: 3,
            window: Duration::from_secs(10),
            cooldown: Duration::from_secs(100),
        };
        let mut breaker = Breaker::new(setting);
        assert_eq!(breaker.failed(at(1)), 1);
        assert_eq!(breaker.failed(at(5)), 2);
        // The first is out of the window.
        assert_eq!(breaker.failed(at(12)), 2);
        assert!(breaker.admits(at(12)));
        assert_eq!(breaker.failed(at(13)), 3);
        assert_eq!(breaker.state(), State::Open { until: at(113) });
        assert!(!breaker.admits(at(112)));
        assert!(breaker.admits(at(113)));
        assert!(!breaker.admits(at(114)), "one call is on trial");
        breaker.failed(at(115));
        assert!(!breaker.admits(at(200)));
        assert!(breaker.admits(at(215)));
        breaker.succeeded();
        assert_eq!(breaker.state(), State::Closed);
        assert_eq!(breaker.failed(at(216)), 1);
    }

    #[test]
    fn a_trial_that_is_never_heard_of_does_not_block_for_ever() {
        let mut breaker = Breaker::new(BreakerSetting { errors: 1, ..BreakerSetting::default() });
        breaker.failed(at(0));
        assert!(breaker.admits(at(300)));
        assert!(!breaker.admits(at(599)));
        assert!(breaker.admits(at(600)));
    }
}
