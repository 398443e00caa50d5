//! What is counted of a plugin in one hook.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::fault::Code;

/// Counts of a plugin in one hook.
#[derive(Debug, Default)]
pub struct Count {
    calls: AtomicU64,
    rounds: AtomicU64,
    refused: AtomicU64,
    micros: AtomicU64,
    slowest: AtomicU64,
    hits: AtomicU64,
    errors: Mutex<BTreeMap<Code, u64>>,
}

/// Counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls that ended.
    pub calls: u64,
    /// Runs in between that waited for another machine.
    pub rounds: u64,
    /// Calls that the breaker kept away.
    pub refused: u64,
    /// Microseconds of all runs.
    pub micros: u64,
    /// Microseconds of the slowest run.
    pub slowest_micros: u64,
    /// Answers out of the cache.
    pub cache_hits: u64,
    /// Errors by code.
    pub errors: BTreeMap<Code, u64>,
}

impl Count {
    fn ran(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if micros > self.slowest.load(Ordering::Relaxed) {
            self.slowest.fetch_max(micros, Ordering::Relaxed);
        }
    }

    /// A call ended well.
    pub fn succeeded(&self, time: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.ran(time);
    }

    /// A call failed.
    pub fn failed(&self, time: Duration, code: Code) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.ran(time);
        *self.errors.lock().entry(code).or_default() += 1;
    }

    /// A run waits for another machine.
    pub fn waited(&self, time: Duration) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.ran(time);
    }

    /// The breaker kept a call away.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An answer came out of the cache.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// What is counted so far.
    pub fn read(&self) -> Counts {
        Counts {
            calls: self.calls.load(Ordering::Relaxed),
            rounds: self.rounds.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            micros: self.micros.load(Ordering::Relaxed),
            slowest_micros: self.slowest.load(Ordering::Relaxed),
            cache_hits: self.hits.load(Ordering::Relaxed),
            errors: self.errors.lock().clone(),
        }
    }
}
