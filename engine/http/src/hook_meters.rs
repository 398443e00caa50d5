//! What is counted of webhooks: posts, events set aside, and how far each is behind.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use maily_core::clock::Timestamp;
use maily_registry::webhook::WebhookId;

/// The numbers of all webhooks.
#[derive(Debug, Default)]
pub struct HookMeters {
    /// Events that were taken.
    pub taken: AtomicU64,
    /// Posts that failed.
    pub failed: AtomicU64,
    /// Events that were set aside.
    pub aside: AtomicU64,
    /// When the event happened that is next, for those that have one.
    behind: Mutex<BTreeMap<WebhookId, Timestamp>>,
}

impl HookMeters {
    pub(crate) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The next event of a webhook happened then; none if it has them all.
    pub(crate) fn next(&self, id: &WebhookId, at: Option<Timestamp>) {
        let mut behind = self.behind.lock();
        match at {
            Some(at) => behind.insert(id.clone(), at),
            None => behind.remove(id),
        };
    }

    /// How many seconds each webhook is behind that is.
    pub fn lag(&self, now: Timestamp) -> Vec<(String, u64)> {
        let behind = self.behind.lock();
        behind.iter().map(|(id, at)| (id.to_string(), now.since(*at).as_secs())).collect()
    }
}
