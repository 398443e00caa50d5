//! The secrets that tokens are signed with, one current, some that were.

use std::fmt;

use aws_lc_rs::hmac;

/// A secret has at least as many octets: less could be guessed.
pub const SECRET_OCTETS_MIN: usize = 32;
/// A secret has at most as many octets; HMAC hashes what is longer than its block (RFC 2104 2).
pub const SECRET_OCTETS_MAX: usize = 64;
/// Keys that were current once and are still taken: links in old mail are followed years later.
pub const OLD_KEYS_MAX: usize = 64;

/// Why keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// A secret is shorter than [`SECRET_OCTETS_MIN`] or longer than [`SECRET_OCTETS_MAX`].
    #[error("a secret has 32 to 64 octets")]
    Secret,
    /// Two keys have the same number.
    #[error("two keys have the same number")]
    SameNumber,
    /// There are more than [`OLD_KEYS_MAX`] old keys.
    #[error("there are more than 64 old keys")]
    TooMany,
}

/// One secret and its number, by which a token says how it was signed.
#[derive(Clone)]
pub struct Key {
    number: u16,
    pub(crate) secret: hmac::Key,
}

impl Key {
    /// The key with this number and secret.
    ///
    /// # Errors
    /// The secret is too short or too long.
    pub fn new(number: u16, secret: &[u8]) -> Result<Self, InvalidKeys> {
        if !(SECRET_OCTETS_MIN..=SECRET_OCTETS_MAX).contains(&secret.len()) {
            return Err(InvalidKeys::Secret);
        }
        Ok(Self { number, secret: hmac::Key::new(hmac::HMAC_SHA256, secret) })
    }

    /// Its number.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

/// Without the secret, which belongs in no log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The key that signs, and those that signed before it: they still verify.
#[derive(Clone, Debug)]
pub struct Keys {
    current: Key,
    old: Vec<Key>,
}

impl Keys {
    /// Keys with numbers of their own.
    ///
    /// # Errors
    /// Two have the same number, or there are too many.
    pub fn new(current: Key, old: Vec<Key>) -> Result<Self, InvalidKeys> {
        if old.len() > OLD_KEYS_MAX {
            return Err(InvalidKeys::TooMany);
        }
        let mut numbers: Vec<_> = old.iter().chain([&current]).map(Key::number).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(InvalidKeys::SameNumber);
        }
        Ok(Self { current, old })
    }

    /// The key that signs.
    pub const fn current(&self) -> &Key {
        &self.current
    }

    /// The key with this number, if it is known.
    pub fn numbered(&self, number: u16) -> Option<&Key> {
        [&self.current].into_iter().chain(&self.old).find(|key| key.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_neither_short_nor_long_and_are_never_shown() {
        let octets = |n: usize| vec![b's'; n];
        assert!(Key::new(1, &octets(SECRET_OCTETS_MIN)).is_ok());
        assert!(Key::new(1, &octets(SECRET_OCTETS_MAX)).is_ok());
        let refused = |n| Key::new(1, &octets(n)).unwrap_err();
        assert_eq!(refused(SECRET_OCTETS_MIN - 1), InvalidKeys::Secret);
        assert_eq!(refused(SECRET_OCTETS_MAX + 1), InvalidKeys::Secret);
        let shown = format!("{:?}", Key::new(7, &octets(32)).unwrap());
        assert_eq!(shown, "Key { number: 7, .. }");
    }

    #[test]
    fn numbers_are_told_apart_and_old_keys_are_bounded() {
        let key = |number| Key::new(number, &[b's'; 32]).unwrap();
        let keys = Keys::new(key(3), vec![key(1), key(2)]).unwrap();
        assert_eq!(keys.current().number(), 3);
        assert_eq!(keys.numbered(1).map(Key::number), Some(1));
        assert!(keys.numbered(4).is_none());
        let same = Keys::new(key(1), vec![key(2), key(1)]);
        assert_eq!(same.unwrap_err(), InvalidKeys::SameNumber);
        let old = |n: usize| (1..=n as u16).map(key).collect();
        assert!(Keys::new(key(0), old(OLD_KEYS_MAX)).is_ok());
        assert_eq!(Keys::new(key(0), old(OLD_KEYS_MAX + 1)).unwrap_err(), InvalidKeys::TooMany);
    }
}
