//! What became of recipients, in numbers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Settlement;

/// What became of recipients, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Next hops took them.
    pub delivered: AtomicU64,
    /// They will be tried again.
    pub deferred: AtomicU64,
    /// They were refused for good.
    pub bounced: AtomicU64,
    /// They were too old to be tried again.
    pub expired: AtomicU64,
    /// The reply to the final dot was lost.
    pub in_doubt: AtomicU64,
    /// Reports that were written to senders.
    pub reported: AtomicU64,
    /// Reports of a success that were left out because they could not be stored.
    pub reports_lost: AtomicU64,
    /// Given up with nobody to tell: what came from the null reverse-path, as reports do.
    pub double_bounced: AtomicU64,
    /// Entries that the scheduler has handed out now.
    pub in_flight: AtomicU64,
    /// Turns of the loop: it moves as long as this does.
    pub turns: AtomicU64,
}

impl Counters {
    /// Deliveries under way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts what an attempt did for one recipient.
    pub fn count(&self, outcome: &Outcome, settlement: Settlement) {
        let counter = match settlement {
            Settlement::Done => &self.delivered,
            Settlement::Retry(_) => &self.deferred,
            Settlement::Bounce => &self.bounced,
            Settlement::Expire => &self.expired,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if matches!(outcome, Outcome::InDoubt(_)) {
            self.in_doubt.fetch_add(1, Ordering::Relaxed);
        }
    }
}
