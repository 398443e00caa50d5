//! What mailings say beside their words: tags, names and values. They are kept for the mailings
//! that were asked for last, so that nothing is read from disk for each message.

use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

use maily_core::event::Labels;
use maily_core::render::mailing::Mailing;
use maily_spool::body::Body;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;

/// Mailings of which it is remembered.
const LABELS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// The labels of mailings; clones share what is known.
#[derive(Clone, Debug)]
pub struct LabelCache {
    spool: Spool,
    /// By their names in the spool.
    known: Arc<Mutex<LruCache<[u8; 32], Arc<Labels>>>>,
}

impl LabelCache {
    /// Those of mailings in this spool.
    pub fn new(spool: Spool) -> Self {
        Self { spool, known: Arc::new(Mutex::new(LruCache::new(LABELS_MAX))) }
    }

    /// What was said beside a message; nothing of one that is no mailing's, or whose mailing cannot
    /// be read. May read the disk.
    pub fn of(&self, stored: &Stored) -> Arc<Labels> {
        let Body::Template { template, .. } = &stored.submission.body else {
            return Arc::default();
        };
        if let Some(labels) = self.known.lock().get(template) {
            return Arc::clone(labels);
        }
        let octets = self.spool.template(template).ok();
        let mailing = octets.and_then(|octets| Mailing::decode(&octets).ok());
        let Some(Mailing { tags, meta, .. }) = mailing else { return Arc::default() };
        let labels = Arc::new(Labels { tags, meta });
        self.known.lock().put(*template, Arc::clone(&labels));
        labels
    }
}
