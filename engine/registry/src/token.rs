//! Tokens: `mk_live_`, a public id, a secret of 256 bits and a checksum.
//!
//! The prefix and the checksum let scanners find a token that leaked, and tell it from what only
//! looks like one. At rest there is the SHA-256 of the whole text: the secret is no password that
//! could be guessed, so a slow hash would protect nothing.

use std::fmt;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;

use crate::base62;
use crate::chance;
use crate::chance::Chance;
use crate::chance::NoChance;
use crate::name::Name;
use crate::permission;
use crate::permission::Permissions;
use crate::permission::Role;
use crate::permission::Scope;

/// How each token begins.
pub const PREFIX: &str = "mk_live_";
/// Octets of the public part.
const ID_OCTETS: usize = 8;
/// Octets of the secret.
const SECRET_OCTETS: usize = 32;
/// Octets of the checksum: CRC-32C of all before it.
const CHECKSUM_OCTETS: usize = 4;
/// Characters of a token.
pub const TOKEN_CHARACTERS: usize = PREFIX.len()
    + base62::digits(ID_OCTETS)
    + base62::digits(SECRET_OCTETS)
    + base62::digits(CHECKSUM_OCTETS);
/// The most tokens of all projects.
pub const TOKENS_MAX: usize = 10_000;
/// The most characters of a label.
pub const LABEL_CHARACTERS_MAX: usize = 127;

/// The public part of a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(Box<str>);

impl TokenId {
    /// The id with this text, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == base62::digits(ID_OCTETS) && base62::is_base62(text);
        good.then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A whole token. It is shown once, to whoever made it, and hides itself from logs.
pub struct SecretToken(Box<str>);

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken(…)")
    }
}

impl SecretToken {
    /// Draws a new one.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn draw(chance: &dyn Chance) -> Result<Self, NoChance> {
        let id = base62::encode(&chance::octets::<ID_OCTETS>(chance)?);
        let secret = base62::encode(&chance::octets::<SECRET_OCTETS>(chance)?);
        let body = format!("{PREFIX}{id}{secret}");
        let checksum = checksum(&body);
        Ok(Self(format!("{body}{checksum}").into()))
    }

    /// The token with this text; none if it cannot be one: its form or its checksum is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let (body, sum) =
            text.split_at_checked(TOKEN_CHARACTERS - base62::digits(CHECKSUM_OCTETS))?;
        let digits = body.strip_prefix(PREFIX)?;
        let good = text.len() == TOKEN_CHARACTERS
            && base62::is_base62(digits)
            && checksum(body).as_str() == sum;
        good.then(|| Self(text.into()))
    }

    /// The text, for the one who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The public part.
    pub fn id(&self) -> TokenId {
        let digits = self.0.strip_prefix(PREFIX).unwrap_or_default();
        TokenId(digits.chars().take(base62::digits(ID_OCTETS)).collect())
    }

    /// What is kept of it.
    pub fn digest(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, self.0.as_bytes());
        digest.as_ref().try_into().unwrap_or_default()
    }
}

fn checksum(text: &str) -> String {
    base62::encode(&crc32c::crc32c(text.as_bytes()).to_be_bytes())
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its public part.
    pub id: TokenId,
    /// SHA-256 of the whole.
    pub digest: [u8; 32],
    /// Whose it is; none for one that is good for every project.
    pub project: Option<Name>,
    /// What it may do at most.
    pub role: Role,
    /// Only this part of it, if any are named.
    pub scopes: Vec<Scope>,
    /// What it is for.
    pub label: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as the audit log says it.
    pub created_by: Box<str>,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the hour.
    pub last_used_at: Option<Timestamp>,
}

impl Token {
    /// Whether this is the secret of this token. Takes as long for a wrong one as for the right.
    pub fn is_opened_by(&self, secret: &SecretToken) -> bool {
        constant_time::verify_slices_are_equal(&self.digest, &secret.digest()).is_ok()
    }

    /// Whether its time is over.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// What it may do.
    pub fn permissions(&self) -> Permissions {
        permission::granted(self.role, &self.scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::tests::Counted;

    #[test]
    fn a_token_is_read_back_and_keeps_its_parts_apart() {
        let chance = Counted::default();
        let token = SecretToken::draw(&chance).unwrap();
        assert_eq!(token.reveal().len(), TOKEN_CHARACTERS);
        assert!(token.reveal().starts_with("mk_live_"));
        let again = SecretToken::parse(token.reveal()).unwrap();
        assert_eq!((again.id(), again.digest()), (token.id(), token.digest()));
        assert_eq!(TokenId::parse(token.id().as_str()), Some(token.id()));
        let other = SecretToken::draw(&chance).unwrap();
        assert_ne!((other.id(), other.digest()), (token.id(), token.digest()));
    }

    #[test]
    fn what_is_cut_longer_or_altered_anywhere_is_none() {
        let token = SecretToken::draw(&Counted::default()).unwrap();
        let text = token.reveal();
        for length in 0..text.len() {
            assert!(SecretToken::parse(&text[..length]).is_none(), "{length}");
        }
        assert!(SecretToken::parse(&format!("{text}0")).is_none());
        for at in 0..text.len() {
            for other in ["0", "A", "_", "\0"] {
                let altered = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(altered == text || SecretToken::parse(&altered).is_none(), "{altered:?}");
            }
        }
        assert!(SecretToken::parse(&"ä".repeat(TOKEN_CHARACTERS / 2)).is_none());
    }

    #[test]
    fn a_secret_hides_itself() {
        let token = SecretToken::draw(&Counted::default()).unwrap();
        assert!(!format!("{token:?}").contains("mk_live_"));
    }
}
