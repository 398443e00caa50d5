//! What became of recipients, in numbers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use maily_core::bounce::reason::Reason;
use maily_core::event::Peer;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Counts;

use crate::latency::Latency;

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
    /// They were not sent to after all: suppressed, or taken back by the sender.
    pub dropped: AtomicU64,
    /// Why recipients were not sent to, at each try.
    pub failures: Failures,
    /// The reply to the final dot was lost.
    pub in_doubt: AtomicU64,
    /// Reports that were written to senders.
    pub reported: AtomicU64,
    /// Reports of a success that were left out because they could not be stored.
    pub reports_lost: AtomicU64,
    /// Given up with nobody to tell: what came from the null reverse-path, as reports do.
    pub double_bounced: AtomicU64,
    /// Tries that reached a host.
    pub attempts: AtomicU64,
    /// Those under TLS.
    pub attempts_tls: AtomicU64,
    /// From our 250 to theirs.
    pub latency: Latency,
    /// How the queue is now.
    pub queue: Queue,
    /// Turns of the loop: it moves as long as this does.
    pub turns: AtomicU64,
}

/// Tries that failed, by reason.
#[derive(Debug)]
pub struct Failures([AtomicU64; Reason::ALL.len()]);

impl Default for Failures {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Failures {
    /// One more.
    pub fn count(&self, reason: Reason) {
        // `ALL` has the reasons in their order.
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each reason's word, with its tries.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        let all = Reason::ALL.iter().zip(&self.0);
        all.map(|(reason, counter)| (reason.word(), counter.load(Ordering::Relaxed))).collect()
    }
}

/// The queue at the last turn of the loop.
#[derive(Debug, Default)]
pub struct Queue {
    /// Entries in all.
    pub entries: AtomicU64,
    /// Those that the loop has in its hands.
    pub in_flight: AtomicU64,
    /// Those that wait for their time.
    pub deferred: AtomicU64,
    /// Domains known.
    pub destinations: AtomicU64,
    /// Sites known.
    pub sites: AtomicU64,
    /// Connections that are open, opening or closing.
    pub connections: AtomicU64,
}

impl Counters {
    /// Deliveries under way.
    pub fn in_flight(&self) -> u64 {
        self.queue.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a try by whether it reached a host, and how.
    pub fn attempted(&self, peer: Option<&Peer>) {
        let Some(peer) = peer else { return };
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if !peer.tls.is_empty() {
            self.attempts_tls.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the queue is now.
    pub fn show(&self, counts: Counts) {
        let Queue { entries, in_flight, deferred, destinations, sites, connections } = &self.queue;
        entries.store(counts.entries as u64, Ordering::Relaxed);
        in_flight.store(counts.in_flight as u64, Ordering::Relaxed);
        deferred.store(counts.deferred as u64, Ordering::Relaxed);
        destinations.store(counts.destinations as u64, Ordering::Relaxed);
        sites.store(counts.sites as u64, Ordering::Relaxed);
        connections.store(counts.connections as u64, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let failures = Failures::default();
        for (number, reason) in Reason::ALL.iter().enumerate() {
            (0..=number).for_each(|_| failures.count(*reason));
        }
        let expected = Reason::ALL.iter().map(|reason| reason.word()).zip(1..);
        assert_eq!(failures.read(), expected.collect::<Vec<_>>());
    }
}
