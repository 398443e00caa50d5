//! Who may log in: names with argon2 hashes (PHC strings).

use std::collections::HashMap;
use std::sync::Arc;

use argon2::Argon2;
use argon2::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use tokio::sync::Semaphore;

/// Hashes proved at once: each takes memory and a core for a while.
const PROVED_AT_ONCE_MAX: usize = 2;

/// The table of users.
#[derive(Debug)]
pub struct Users {
    hashes: HashMap<Box<str>, Box<str>>,
    /// Proved for names that do not exist, so that they take as long as those that do.
    decoy: Box<str>,
    turns: Arc<Semaphore>,
}

impl Users {
    /// A table of names and PHC strings.
    pub fn new(hashes: HashMap<Box<str>, Box<str>>) -> Self {
        let decoy = hashes.values().next().cloned().unwrap_or_default();
        Self { hashes, decoy, turns: Arc::new(Semaphore::new(PROVED_AT_ONCE_MAX)) }
    }

    /// Whether there is anybody.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this password is right. Takes the same work whether the name exists or not.
    pub async fn prove(&self, user: &str, password: Box<str>) -> bool {
        let known = self.hashes.get(user);
        let hash = known.unwrap_or(&self.decoy).clone();
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let right = tokio::task::spawn_blocking(move || {
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        });
        right.await.unwrap_or(false) && known.is_some()
    }
}
