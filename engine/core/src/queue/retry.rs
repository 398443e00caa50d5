//! When a deferred message is tried again.

use std::time::Duration;

/// A retry schedule that holds together: `delay_min <= delay_max`, and a factor of at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPlan {
    delay_min: Duration,
    delay_max: Duration,
    factor: f64,
    jitter: f64,
}

/// The numbers do not make a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPlan;

impl Default for RetryPlan {
    /// Five minutes, doubling to four hours, give or take a fifth.
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self { delay_min: minutes(5), delay_max: minutes(240), factor: 2.0, jitter: 0.2 }
    }
}

impl RetryPlan {
    /// A plan that begins at `delay_min` and grows by `factor` up to `delay_max`, each delay
    /// changed at random by up to the share `jitter` either way.
    pub fn try_new(
        delay_min: Duration,
        delay_max: Duration,
        factor: f64,
        jitter: f64,
    ) -> Result<Self, InvalidPlan> {
        let sound = delay_min <= delay_max && factor >= 1.0 && (0.0..1.0).contains(&jitter);
        if sound { Ok(Self { delay_min, delay_max, factor, jitter }) } else { Err(InvalidPlan) }
    }

    /// The delay after so many attempts; `chance` is a number from 0 to 1.
    pub fn delay(&self, attempts: u32, chance: f64) -> Duration {
        let growth = self.factor.powi(attempts.saturating_sub(1).min(64) as i32);
        let seconds = (self.delay_min.as_secs_f64() * growth).min(self.delay_max.as_secs_f64());
        Duration::from_secs_f64(seconds * (1.0 + self.jitter * (2.0 * chance - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let plan = RetryPlan::default();
        let minutes = |attempts| plan.delay(attempts, 0.5).as_secs() / 60;
        assert_eq!([1, 2, 3, 6, 7, 8, u32::MAX].map(minutes), [5, 10, 20, 160, 240, 240, 240]);
        assert_eq!(plan.delay(1, 0.0).as_secs(), 240);
        assert_eq!(plan.delay(1, 1.0).as_secs(), 360);
    }

    #[test]
    fn a_plan_that_shrinks_is_none() {
        let second = Duration::from_secs(1);
        assert_eq!(RetryPlan::try_new(second * 2, second, 2.0, 0.1), Err(InvalidPlan));
        assert_eq!(RetryPlan::try_new(second, second, 0.5, 0.1), Err(InvalidPlan));
        assert_eq!(RetryPlan::try_new(second, second, 1.0, 1.0), Err(InvalidPlan));
    }
}
