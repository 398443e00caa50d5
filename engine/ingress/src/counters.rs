//! What came in, and what was not let in, in numbers since the start.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use maily_core::smtp::server::admission::Admission;

/// The numbers.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions that were begun.
    pub sessions: AtomicU64,
    /// Sessions that went over to TLS, or began with it.
    pub sessions_tls: AtomicU64,
    /// Messages that got a 250.
    pub messages: AtomicU64,
    /// Their recipients.
    pub recipients: AtomicU64,
    /// Their octets.
    pub octets: AtomicU64,
    /// Connections beyond the limits of sessions.
    pub no_seat: AtomicU64,
    /// MAIL while the disk was low.
    pub no_disk: AtomicU64,
    /// MAIL while too many messages waited.
    pub no_queue: AtomicU64,
    /// MAIL while too much was being received.
    pub no_memory: AtomicU64,
    /// MAIL while the daemon ended.
    pub draining: AtomicU64,
    /// Messages that had passed too many hosts.
    pub loops: AtomicU64,
    /// Messages that plugins refused or discarded.
    pub by_plugin: AtomicU64,
    /// Messages that could not be stored.
    pub not_stored: AtomicU64,
    /// Wrong passwords.
    pub logins_wrong: AtomicU64,
    /// Reports that came to return paths of ours and were taken.
    pub returned: AtomicU64,
    /// Complaints that were taken (RFC 5965).
    pub complaints: AtomicU64,
}

impl Counters {
    /// One more.
    pub fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was taken.
    pub fn taken(&self, recipients: usize, octets: u64) {
        Self::one(&self.messages);
        self.recipients.fetch_add(recipients as u64, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    /// A client asked whether it may send.
    pub fn admission(&self, admission: Admission) {
        let counter = match admission {
            Admission::Open => return,
            Admission::Memory => &self.no_memory,
            Admission::Disk => &self.no_disk,
            Admission::Queue => &self.no_queue,
            Admission::Draining => &self.draining,
        };
        Self::one(counter);
    }

    /// What came back, by its kind.
    pub fn feedback(&self) -> [(&'static str, u64); 2] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [("report", read(&self.returned)), ("complaint", read(&self.complaints))]
    }

    /// What was not let in, by its reason.
    pub fn refused(&self) -> [(&'static str, u64); 8] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("sessions", read(&self.no_seat)),
            ("disk", read(&self.no_disk)),
            ("queue", read(&self.no_queue)),
            ("memory", read(&self.no_memory)),
            ("draining", read(&self.draining)),
            ("loop", read(&self.loops)),
            ("storage", read(&self.not_stored)),
            ("login", read(&self.logins_wrong)),
        ]
    }
}
