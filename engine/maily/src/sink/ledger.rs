//! What a sink has seen: counts, and each accepted message by Message-ID and recipient.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use maily_core::clock::Timestamp;

/// How often each (Message-ID, recipient) came.
pub type Taken = HashMap<(Box<str>, Box<str>), u32>;

/// Counts and names of what sinks took. Shared by all sinks of one run.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Connections taken.
    pub connections: AtomicU64,
    /// Messages answered with 250.
    pub messages: AtomicU64,
    /// Recipients answered with 450.
    pub greylisted: AtomicU64,
    /// Recipients answered with 550.
    pub rejected: AtomicU64,
    /// Connections ended with 421.
    pub throttled: AtomicU64,
    /// Connections cut after the final dot.
    pub cut: AtomicU64,
    /// Messages that came under TLS.
    pub encrypted: AtomicU64,
    /// Messages with a DKIM-Signature field.
    pub signed: AtomicU64,
    /// Octets of messages.
    pub octets: AtomicU64,
    taken: Mutex<Taken>,
    refused: Mutex<HashSet<Box<str>>>,
    first_seen: Mutex<HashMap<Box<str>, Timestamp>>,
}

impl Ledger {
    /// One more of something.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes an accepted message for a recipient; returns how often it has come now.
    pub fn take(&self, message_id: &str, recipient: &str) -> u32 {
        let mut taken = self.taken.lock();
        let times = taken.entry((message_id.into(), recipient.into())).or_insert(0);
        *times += 1;
        *times
    }

    /// How often each (Message-ID, recipient) came.
    pub fn taken(&self) -> Taken {
        self.taken.lock().clone()
    }

    /// Notes a recipient that was answered with 550.
    pub fn refuse(&self, recipient: &str) {
        self.refused.lock().insert(recipient.into());
    }

    /// The recipients that were answered with 550.
    pub fn refused(&self) -> HashSet<Box<str>> {
        self.refused.lock().clone()
    }

    /// How long ago this recipient was first seen.
    pub fn first_seen(&self, recipient: &str, now: Timestamp) -> std::time::Duration {
        let mut seen = self.first_seen.lock();
        now.since(*seen.entry(recipient.into()).or_insert(now))
    }
}
