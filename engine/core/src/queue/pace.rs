//! How fast it goes of late: counts that fade by themselves.

use std::time::Duration;

use crate::clock::Timestamp;

/// In this time a count fades to its 2.7th part.
const MEMORY: Duration = Duration::from_secs(60);

/// What became of recipients of late.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    delivered: f32,
    deferred: f32,
    bounced: f32,
    at: Timestamp,
}

impl Pace {
    pub(crate) fn count(&mut self, now: Timestamp, delivered: u32, deferred: u32, bounced: u32) {
        *self = self.at(now);
        self.delivered += delivered as f32;
        self.deferred += deferred as f32;
        self.bounced += bounced as f32;
    }

    /// The same as it is now.
    #[must_use]
    pub(crate) fn at(self, now: Timestamp) -> Self {
        let fades = (-now.since(self.at).as_secs_f32() / MEMORY.as_secs_f32()).exp();
        Self {
            delivered: self.delivered * fades,
            deferred: self.deferred * fades,
            bounced: self.bounced * fades,
            at: now.max(self.at),
        }
    }

    /// Delivered in a second.
    pub fn delivered_per_second(&self) -> f64 {
        f64::from(self.delivered) / MEMORY.as_secs_f64()
    }

    /// Of a hundred, how many were put off.
    pub fn deferred_percent(&self) -> f64 {
        self.percent(self.deferred)
    }

    /// Of a hundred, how many were refused.
    pub fn bounced_percent(&self) -> f64 {
        self.percent(self.bounced)
    }

    fn percent(&self, part: f32) -> f64 {
        let all = self.delivered + self.deferred + self.bounced;
        if all < 0.01 { 0.0 } else { f64::from(part / all) * 100.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_pace_is_told_and_fades_when_it_ends() {
        let (mut pace, mut now) = (Pace::default(), Timestamp::from_secs(1_000));
        for n in 0..6_000 {
            now = now + Duration::from_millis(100);
            pace.count(now, 1, u32::from(n % 3 == 0), 0);
        }
        assert!((9.9..10.2).contains(&pace.delivered_per_second()), "{pace:?}");
        assert!((24.0..26.0).contains(&pace.deferred_percent()), "{pace:?}");
        let later = pace.at(now + Duration::from_secs(300));
        assert!(later.delivered_per_second() < 0.1 && later.bounced_percent() == 0.0);
    }
}
