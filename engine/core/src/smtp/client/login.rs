//! How the client authenticates to a smarthost: AUTH PLAIN or LOGIN (RFC 4954, RFC 4616).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A name and its password. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: Box<str>,
    /// The password.
    pub password: Box<str>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How a password is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// In one step (RFC 4616).
    Plain,
    /// In two steps: old, and all that some servers have.
    Login,
}

impl Mechanism {
    /// The best of those offered.
    pub(super) fn best(offered: &str) -> Option<Self> {
        let has = |name| offered.split_ascii_whitespace().any(|w| w.eq_ignore_ascii_case(name));
        match () {
            () if has("PLAIN") => Some(Self::Plain),
            () if has("LOGIN") => Some(Self::Login),
            () => None,
        }
    }
}

impl Login {
    /// The initial response of PLAIN: no identity to act as, then name and password.
    pub(super) fn plain(&self) -> String {
        STANDARD.encode(format!("\0{}\0{}", self.user, self.password))
    }

    pub(super) fn encoded_user(&self) -> String {
        STANDARD.encode(self.user.as_bytes())
    }

    pub(super) fn encoded_password(&self) -> String {
        STANDARD.encode(self.password.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let login = Login { user: "ann".into(), password: "hunter2".into() };
        assert!(!format!("{login:?}").contains("hunter2"));
        assert_eq!(login.plain(), "AGFubgBodW50ZXIy");
    }
}
