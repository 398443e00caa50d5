//! What a sink has seen: counts, and each accepted message by Message-ID and recipient.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
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
    /// Messages kept as files.
    kept: AtomicU64,
    keep: Option<PathBuf>,
    taken: Mutex<Taken>,
    refused: Mutex<HashSet<Box<str>>>,
    first_seen: Mutex<HashMap<Box<str>, Timestamp>>,
}

impl Ledger {
    /// A ledger that also keeps each message as a file in this folder.
    pub fn keeping(folder: PathBuf) -> Self {
        Self { keep: Some(folder), ..Self::default() }
    }

    /// Writes `N.envelope`, the lines of MAIL and RCPT, and then `N.eml`, the message octet for
    /// octet; nothing if no folder was given.
    pub fn keep(&self, envelope: &str, message: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.keep else { return Ok(()) };
        let number = self.kept.fetch_add(1, Ordering::Relaxed) + 1;
        std::fs::write(folder.join(format!("{number}.envelope")), envelope)?;
        // Under another name first: a file with the right name is whole.
        let half = folder.join(format!("{number}.part"));
        std::fs::write(&half, message)?;
        std::fs::rename(half, folder.join(format!("{number}.eml")))
    }

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
