//! Looking after entries that stand still, so that they expire all the same.
//!
//! A list that cannot move knows a time before which none of its entries expires. It is swept then,
//! and not again until a hundred times as long has passed as the sweep took.

use std::time::Duration;

use crate::clock::Timestamp;

/// What stands still is looked at this often at least.
const PATROL: Duration = Duration::from_secs(600);
/// The pause after a sweep, for each entry that it looked at: a hundred times what that costs.
const PAUSE_PER_ENTRY: Duration = Duration::from_micros(10);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// An alarm is set for then.
    armed: Timestamp,
    /// No sweep before.
    quiet_until: Timestamp,
}

impl Default for Watch {
    fn default() -> Self {
        Self { armed: Timestamp::MAX, quiet_until: Timestamp::EPOCH }
    }
}

impl Watch {
    /// The time for which an alarm must be set, if none is set that early. `earliest` is when the
    /// first may expire, `wanted` when there is something else to do.
    pub(crate) fn arm(
        &mut self,
        now: Timestamp,
        earliest: Timestamp,
        wanted: Timestamp,
    ) -> Option<Timestamp> {
        let at = earliest.max(self.quiet_until).min(wanted).min(now + PATROL);
        if at >= self.armed {
            return None;
        }
        self.armed = at;
        Some(at)
    }

    /// An alarm went off.
    pub(crate) fn on_alarm(&mut self, now: Timestamp) {
        if self.armed <= now {
            self.armed = Timestamp::MAX;
        }
    }

    /// Whether it is time to sweep these; if so, remembers that it was done.
    pub(crate) fn sweep(&mut self, now: Timestamp, earliest: Timestamp, length: usize) -> bool {
        if earliest > now || self.quiet_until > now {
            return false;
        }
        self.quiet_until = now + PAUSE_PER_ENTRY.saturating_mul(length as u32);
        true
    }
}
