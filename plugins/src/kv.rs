//! The key-value store of plugins: small values, by name space, each with an end. What is in it can
//! be lost without harm; nothing that was acknowledged lies here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use maily_core::clock::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

use crate::manifest::KvPermission;

/// A change that a run wants to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// Under which key.
    pub key: String,
    /// What.
    pub change: Change,
    /// How long it is to be kept, if not as long as the manifest says.
    pub ttl: Option<Duration>,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// This value, which is JSON.
    Set(String),
    /// So much more than the number that is there.
    Add(i64),
    /// Nothing any more.
    Remove,
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The name space is full.
    #[error("the name space {0} is full")]
    Full(String),
    /// The store itself failed.
    #[error("the store failed: {0}")]
    Store(String),
}

/// A store.
pub trait Kv: fmt::Debug + Send + Sync {
    /// A value that has not ended.
    fn get(&self, namespace: &str, key: &str, now: Timestamp) -> Result<Option<String>, KvError>;

    /// Makes changes, all or, if the store fails, none that lasts.
    fn commit(&self, terms: &KvPermission, writes: &[Write], now: Timestamp)
    -> Result<(), KvError>;
}

/// What a number becomes: what is no number counts as 0.
pub(crate) fn added(before: Option<&str>, more: i64) -> String {
    let number = before.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    number.saturating_add(more).to_string()
}

/// A store in memory, for tests and for runs without a folder.
#[derive(Debug, Default)]
pub struct MemoryKv {
    values: Mutex<BTreeMap<(String, String), (String, Timestamp)>>,
}

impl Kv for MemoryKv {
    fn get(&self, namespace: &str, key: &str, now: Timestamp) -> Result<Option<String>, KvError> {
        let values = self.values.lock();
        let found = values.get(&(namespace.to_owned(), key.to_owned()));
        Ok(found.filter(|(_, end)| now < *end).map(|(value, _)| value.clone()))
    }

    fn commit(
        &self,
        terms: &KvPermission,
        writes: &[Write],
        now: Timestamp,
    ) -> Result<(), KvError> {
        let mut values = self.values.lock();
        let mut next = values.clone();
        for write in writes {
            let place = (terms.namespace.clone(), write.key.clone());
            let end = now + write.ttl.unwrap_or(terms.ttl).min(terms.ttl);
            match &write.change {
                Change::Set(value) => drop(next.insert(place, (value.clone(), end))),
                Change::Add(more) => {
                    let before = next.get(&place).filter(|(_, end)| now < *end);
                    let value = added(before.map(|(value, _)| value.as_str()), *more);
                    next.insert(place, (value, end));
                }
                Change::Remove => drop(next.remove(&place)),
            }
        }
        next.retain(|_, (_, end)| now < *end);
        let own = next.iter().filter(|((namespace, _), _)| *namespace == terms.namespace);
        let octets: usize = own.map(|((_, key), (value, _))| key.len() + value.len()).sum();
        if octets as u64 > terms.max_bytes {
            return Err(KvError::Full(terms.namespace.clone()));
        }
        *values = next;
        Ok(())
    }
}
