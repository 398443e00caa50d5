//! Who may log in: names with argon2 hashes (PHC strings), and whose mail it then is.

use std::collections::HashMap;
use std::sync::Arc;

use argon2::Argon2;
use argon2::PasswordHasher;
use argon2::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::Semaphore;

use maily_core::mail::envelope::Class;

/// Hashes proved at once: each takes memory and a core for a while.
const PROVED_AT_ONCE_MAX: usize = 2;

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    /// The hash of the password, a PHC string.
    pub hash: Box<str>,
    /// Whose mail it is.
    pub tenant: Box<str>,
    /// How urgent its mail is at most.
    pub class: Class,
}

/// The table of users.
#[derive(Debug)]
pub struct Users {
    users: HashMap<Box<str>, User>,
    /// Proved for names that do not exist, so that they take as long as those that do.
    decoy: Box<str>,
    turns: Arc<Semaphore>,
}

/// A PHC string of this password, so that it is proved as all others are and not kept.
///
/// # Errors
/// If there is no randomness or no memory.
pub fn hash(password: &str) -> Result<Box<str>, String> {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| format!("a password could not be hashed: {error}"))?;
    Ok(hash.to_string().into())
}

impl Users {
    /// A table of names and users.
    pub fn new(users: HashMap<Box<str>, User>) -> Self {
        let decoy = users.values().next().map(|user| user.hash.clone()).unwrap_or_default();
        Self { users, decoy, turns: Arc::new(Semaphore::new(PROVED_AT_ONCE_MAX)) }
    }

    /// Whether there is anybody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The user of this name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Whether this password is right. Takes the same work whether the name exists or not.
    pub async fn prove(&self, user: &str, password: Box<str>) -> bool {
        let known = self.users.get(user);
        let hash = known.map_or(&self.decoy, |user| &user.hash).clone();
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let right = tokio::task::spawn_blocking(move || {
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        });
        right.await.unwrap_or(false) && known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_from_a_secret_is_proved_like_any_other() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("horse"), "{hash}");
        let ann = User { hash, tenant: "a".into(), class: Class::Bulk };
        let users = Users::new(HashMap::from([("ann".into(), ann)]));
        assert!(users.prove("ann", "correct horse".into()).await);
        assert!(!users.prove("ann", "correct hors".into()).await);
        assert!(!users.prove("bob", "correct horse".into()).await, "the decoy opens nothing");
        assert_eq!(users.get("ann").map(|user| user.class), Some(Class::Bulk));
    }
}
