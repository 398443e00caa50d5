//! Tags whose mail was taken back: what had the tag when that was said is not sent any more. It is
//! looked at when a message's turn has come, so that taking back costs the same however much waits.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_journal::change::Change;

use crate::error::RegistryError;
use crate::name::Name;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;

/// The most tags of a project whose mail is taken back.
pub const WITHDRAWALS_MAX: usize = 10_000;
/// So old a withdrawal may be forgotten when there is no room: mail is put off for a year at most.
pub const WITHDRAWAL_LIFE: Duration = Duration::from_secs(400 * 86_400);

/// That the mail with a tag was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// What was accepted up to this time.
    pub at: Timestamp,
    /// Who took it back, as the audit log says it.
    pub by: Box<str>,
}

fn key(project: &str, tag: &str) -> Bytes {
    shelf::key(Kind::Withdrawal, &[project.as_bytes(), tag.as_bytes()])
}

impl Registry {
    /// By whom the mail of a project with this tag, accepted at this time, was taken back.
    pub fn withdrawn(&self, project: &str, tag: &str, accepted: Timestamp) -> Option<Withdrawal> {
        let found: Option<Withdrawal> = self.shelf.get(&key(project, tag));
        found.filter(|withdrawal| accepted <= withdrawal.at)
    }

    /// Takes back all mail of a project that has this tag now.
    ///
    /// # Errors
    /// There are too many tags whose mail is taken back.
    pub async fn withdraw(
        &self,
        project: &Name,
        tag: &str,
        withdrawal: Withdrawal,
    ) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        let key = key(project.as_str(), tag);
        let mut changes = Vec::new();
        let all = shelf::key(Kind::Withdrawal, &[project.as_str().as_bytes()]);
        let known = self.shelf.keys(&all, WITHDRAWALS_MAX);
        if known.len() >= WITHDRAWALS_MAX && !self.shelf.contains(&key) {
            let old = |key: &Bytes| {
                let row: Option<Withdrawal> = self.shelf.get(key);
                row.is_some_and(|row| withdrawal.at.since(row.at) > WITHDRAWAL_LIFE)
            };
            changes.extend(known.into_iter().filter(old).map(Change::Remove));
            if changes.is_empty() {
                let what = "tags whose mail is taken back";
                return Err(RegistryError::TooMany { what, most: WITHDRAWALS_MAX });
            }
        }
        changes.push(shelf::put(key, &withdrawal)?);
        self.shelf.change(changes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Withdrawal {
        Withdrawal { at: Timestamp::from_secs(seconds), by: "uid:0".into() }
    }

    #[tokio::test]
    async fn what_came_later_or_is_anothers_or_has_another_tag_stays() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        let shop: Name = "shop".parse().unwrap();
        registry.withdraw(&shop, "spring", at(10)).await.unwrap();
        drop(registry);
        let registry = Registry::open(folder.path()).unwrap();
        let gone = |project: &str, tag: &str, accepted: u64| {
            registry.withdrawn(project, tag, Timestamp::from_secs(accepted)).is_some()
        };
        assert!(gone("shop", "spring", 10) && gone("shop", "spring", 1));
        assert!(!gone("shop", "spring", 11));
        assert!(!gone("shop", "sprin", 1) && !gone("shop", "springs", 1));
        assert!(!gone("other", "spring", 1));
        registry.withdraw(&shop, "spring", at(20)).await.unwrap();
        assert!(registry.withdrawn("shop", "spring", Timestamp::from_secs(11)).is_some());
    }

    #[tokio::test]
    async fn one_more_than_there_may_be_is_refused_until_old_ones_can_go() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        let shop: Name = "shop".parse().unwrap();
        let rows = (0..WITHDRAWALS_MAX).map(|number| {
            shelf::put(key("shop", &number.to_string()), &at(number as u64)).unwrap()
        });
        registry.shelf.change(rows.collect()).await.unwrap();
        let now = WITHDRAWAL_LIFE.as_secs();
        let said = registry.withdraw(&shop, "more", at(now)).await;
        assert!(matches!(said, Err(RegistryError::TooMany { .. })), "{said:?}");
        registry.withdraw(&shop, "7", at(now)).await.unwrap();
        registry.withdraw(&shop, "more", at(now + 1)).await.unwrap();
        assert!(registry.withdrawn("shop", "0", Timestamp::EPOCH).is_none(), "the oldest went");
        assert!(registry.withdrawn("shop", "1", Timestamp::EPOCH).is_some());
    }
}
