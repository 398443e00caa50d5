//! The secrets that sign the links in mail. Old ones are kept: links are followed years later.

use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_core::tracking::keys::InvalidKeys;
use maily_core::tracking::keys::Key;
use maily_core::tracking::keys::Keys;
use maily_core::tracking::keys::OLD_KEYS_MAX;

use crate::chance;
use crate::chance::Chance;
use crate::error::RegistryError;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;

#[derive(Clone, Serialize, Deserialize)]
struct LinkKey {
    number: u16,
    secret: [u8; 32],
    created_at: Timestamp,
}

impl Registry {
    /// The secrets that links are signed with; the first one is drawn when there is none.
    ///
    /// # Errors
    /// There is no randomness, or it could not be written.
    pub async fn link_keys(
        &self,
        chance: &dyn Chance,
        now: Timestamp,
    ) -> Result<Keys, RegistryError> {
        let known = self.rows_of_link_keys();
        let rows = if known.is_empty() { self.rotate_link_keys(chance, now).await? } else { known };
        keys_of(rows)
    }

    /// The secrets that there are now.
    ///
    /// # Errors
    /// There are none, or they cannot be used.
    pub fn link_keys_now(&self) -> Result<Keys, RegistryError> {
        keys_of(self.rows_of_link_keys())
    }

    /// Signs with a new secret from the next reading on; gives all of them, oldest first.
    async fn rotate_link_keys(
        &self,
        chance: &dyn Chance,
        now: Timestamp,
    ) -> Result<Vec<LinkKey>, RegistryError> {
        let _turn = self.writing.lock().await;
        let rows = self.rows_of_link_keys();
        let number = rows.last().map_or(Some(1), |newest| newest.number.checked_add(1));
        let full = || RegistryError::TooMany { what: "link keys", most: OLD_KEYS_MAX };
        let number = number.filter(|_| rows.len() <= OLD_KEYS_MAX).ok_or_else(full)?;
        let row = LinkKey { number, secret: chance::octets(chance)?, created_at: now };
        let key = shelf::key(Kind::LinkKey, &[&number.to_be_bytes()]);
        self.shelf.change(vec![shelf::put(key, &row)?]).await?;
        Ok(self.rows_of_link_keys())
    }

    /// Signs with a new secret from the next reading on. What was signed before stays good.
    ///
    /// # Errors
    /// There are too many, there is no randomness, or it could not be written.
    pub async fn renew_link_keys(
        &self,
        chance: &dyn Chance,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.rotate_link_keys(chance, now).await.map(drop)
    }

    /// Oldest first, as the numbers rise.
    fn rows_of_link_keys(&self) -> Vec<LinkKey> {
        self.shelf.rows(&shelf::key(Kind::LinkKey, &[]), None, usize::MAX)
    }
}

fn keys_of(rows: Vec<LinkKey>) -> Result<Keys, RegistryError> {
    let unusable = |error: InvalidKeys| RegistryError::Disk(error.to_string());
    let keys = rows.iter().map(|row| Key::new(row.number, &row.secret));
    let mut keys = keys.collect::<Result<Vec<_>, _>>().map_err(unusable)?;
    let newest = keys.pop().ok_or_else(|| RegistryError::Disk("no link key".to_owned()))?;
    Keys::new(newest, keys).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use maily_core::mail::envelope::RecipientIndex;
    use maily_core::mail::id::QueueId;
    use maily_core::tracking::token::Kind;
    use maily_core::tracking::token::Origin;
    use maily_core::tracking::token::Payload;
    use maily_core::tracking::token::mint;
    use maily_core::tracking::token::verify;

    use super::*;
    use crate::chance::tests::Counted;

    #[tokio::test]
    async fn what_an_old_key_signed_is_good_after_a_new_one_and_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (chance, now) = (Counted::default(), Timestamp::from_secs(1));
        let registry = Registry::open(dir.path()).unwrap();
        let old = registry.link_keys(&chance, now).await.unwrap();
        assert_eq!(registry.link_keys(&chance, now).await.unwrap().current().number(), 1);
        let (id, recipient) = (QueueId::from_u64(7), RecipientIndex(0));
        let token = mint(&Payload::Open(Origin { id, recipient, minted_at_secs: 1 }), &old);
        registry.renew_link_keys(&chance, now).await.unwrap();
        drop(registry);
        let registry = Registry::open(dir.path()).unwrap();
        let new = registry.link_keys(&chance, now).await.unwrap();
        assert_eq!(new.current().number(), 2);
        assert_eq!(registry.link_keys_now().unwrap().current().number(), 2);
        assert!(verify(Kind::Open, &token, &new).is_ok());
    }

    #[tokio::test]
    async fn one_more_than_can_be_kept_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (chance, now) = (Counted::default(), Timestamp::from_secs(1));
        let registry = Registry::open(dir.path()).unwrap();
        for _ in 0..=OLD_KEYS_MAX {
            registry.renew_link_keys(&chance, now).await.unwrap();
        }
        assert!(registry.renew_link_keys(&chance, now).await.is_err());
        assert!(registry.link_keys(&chance, now).await.is_ok());
    }
}
