//! The one place that reads the machine's clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use maily_core::clock::{Clock, Timestamp};

/// The wall clock at the start of the process, moved on by the monotonic one: an operator who sets
/// the date neither expires a queue nor stops it.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    started_at: Timestamp,
    started: Instant,
}

impl WallClock {
    /// Reads the wall clock, once.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_at: Timestamp::EPOCH + since_epoch, started: Instant::now() }
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }
}
