//! Answers that are kept for a while. Of several who want the same answer at once, one asks and the
//! others wait or take the old one. The cache is a value that is told the time.

use std::num::NonZeroUsize;

use lru::LruCache;
use maily_core::clock::Timestamp;

use crate::manifest::CacheSetting;

/// How long somebody who asks may take before others stop waiting for them.
const FLIGHT_SECS: u64 = 60;

/// What is known under a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Look<V> {
    /// An answer that is good.
    Fresh(V),
    /// An answer that is old, while somebody else asks for a new one.
    Old(V),
    /// Nothing good: whoever gets this asks, and then lands or gives up.
    Ask,
    /// Nothing, and somebody else asks.
    Wait,
}

/// Answers by key.
#[derive(Debug)]
pub struct Cache<V> {
    setting: CacheSetting,
    entries: LruCache<String, Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: Option<V>,
    /// Until when the value is good.
    fresh_until: Timestamp,
    /// Until when it serves when there is no other.
    stale_until: Timestamp,
    /// Until when somebody is believed to be asking.
    asking_until: Timestamp,
}

impl<V: Clone> Cache<V> {
    /// An empty one.
    pub fn new(setting: CacheSetting) -> Self {
        let most = NonZeroUsize::new(setting.max).unwrap_or(NonZeroUsize::MIN);
        Self { setting, entries: LruCache::new(most) }
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Looks for an answer.
    pub fn look(&mut self, key: &str, now: Timestamp) -> Look<V> {
        let asking_until = Timestamp::from_micros(now.as_micros() + FLIGHT_SECS * 1_000_000);
        let Some(entry) = self.entries.get_mut(key) else {
            let (fresh_until, stale_until) = (Timestamp::EPOCH, Timestamp::EPOCH);
            let entry = Entry { value: None, fresh_until, stale_until, asking_until };
            self.entries.put(key.to_owned(), entry);
            return Look::Ask;
        };
        match &entry.value {
            Some(value) if now < entry.fresh_until => return Look::Fresh(value.clone()),
            Some(value) if now < entry.asking_until && now < entry.stale_until => {
                return Look::Old(value.clone());
            }
            _ if now < entry.asking_until => return Look::Wait,
            _ => {}
        }
        entry.asking_until = asking_until;
        Look::Ask
    }

    /// An answer has come. One that holds nothing is kept for a time of its own.
    pub fn land(&mut self, key: &str, value: V, is_empty: bool, now: Timestamp) {
        let ttl = self.setting.negative_ttl.filter(|_| is_empty).unwrap_or(self.setting.ttl);
        let fresh_until = now + ttl;
        let stale_until = fresh_until + self.setting.stale_while_error.unwrap_or_default();
        let asking_until = Timestamp::EPOCH;
        let entry = Entry { value: Some(value), fresh_until, stale_until, asking_until };
        self.entries.put(key.to_owned(), entry);
    }

    /// There is no answer. The old one serves if it may.
    pub fn give_up(&mut self, key: &str, now: Timestamp) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        entry.asking_until = Timestamp::EPOCH;
        let old = entry.value.clone().filter(|_| now < entry.stale_until);
        if old.is_none() {
            self.entries.pop(key);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn cache(max: usize) -> Cache<&'static str> {
        Cache::new(CacheSetting {
            key: "contact.email".to_owned(),
            ttl: Duration::from_secs(100),
            max,
            negative_ttl: Some(Duration::from_secs(10)),
            stale_while_error: Some(Duration::from_secs(1_000)),
        })
    }

    #[test]
    fn one_asks_and_the_others_wait() {
        let mut cache = cache(10);
        assert_eq!(cache.look("ann", at(0)), Look::Ask);
        assert_eq!(cache.look("ann", at(1)), Look::Wait);
        cache.land("ann", "5 orders", false, at(2));
        assert_eq!(cache.look("ann", at(101)), Look::Fresh("5 orders"));
        assert_eq!(cache.look("ann", at(102)), Look::Ask);
        assert_eq!(cache.look("ann", at(103)), Look::Old("5 orders"));
        assert_eq!(cache.give_up("ann", at(104)), Some("5 orders"));
        assert_eq!(cache.look("ann", at(105)), Look::Ask);
        assert_eq!(cache.give_up("ann", at(1_200)), None);
        assert_eq!(cache.look("ann", at(1_201)), Look::Ask);
        // Whoever asked was never heard of again.
        assert_eq!(cache.look("ann", at(1_262)), Look::Ask);
    }

    #[test]
    fn nothing_is_kept_for_a_shorter_time_and_not_too_many() {
        let mut cache = cache(2);
        cache.land("ann", "", true, at(0));
        assert_eq!(cache.look("ann", at(9)), Look::Fresh(""));
        assert_eq!(cache.look("ann", at(10)), Look::Ask);
        for key in ["a", "b", "c"] {
            cache.land(key, "x", false, at(0));
        }
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.look("a", at(1)), Look::Ask);
    }
}
