//! What recipients did, in numbers since the start.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use maily_core::event::Verdict;

/// By who did it, probably.
#[derive(Debug, Default)]
pub struct ByVerdict {
    human: AtomicU64,
    machine: AtomicU64,
    unknown: AtomicU64,
}

impl ByVerdict {
    pub(crate) fn count(&self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Human => &self.human,
            Verdict::Machine => &self.machine,
            Verdict::Unknown => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Verdicts and how many there were of each.
    pub fn read(&self) -> [(&'static str, u64); 3] {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("human", of(&self.human)), ("machine", of(&self.machine)), ("unknown", of(&self.unknown))]
    }
}

/// What recipients did.
#[derive(Debug, Default)]
pub struct HitCounters {
    /// Pixels fetched.
    pub opens: ByVerdict,
    /// Links followed.
    pub clicks: ByVerdict,
    /// Ends of mail.
    pub unsubscribed: AtomicU64,
    /// Requests for what is none of ours.
    pub unknown_links: AtomicU64,
    /// Hits that plugins left out.
    pub discarded: AtomicU64,
    /// Hits that plugins would have been asked about, and were not.
    pub unseen: AtomicU64,
}

impl HitCounters {
    pub(crate) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_is_counted_by_itself() {
        let counters = HitCounters::default();
        for verdict in [Verdict::Machine, Verdict::Human, Verdict::Machine, Verdict::Unknown] {
            counters.opens.count(verdict);
        }
        assert_eq!(counters.opens.read(), [("human", 1), ("machine", 2), ("unknown", 1)]);
        assert!(counters.clicks.read().iter().all(|(_, count)| *count == 0));
    }
}
