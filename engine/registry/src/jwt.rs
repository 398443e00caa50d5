//! Short-lived proofs made from a token: JWTs (RFC 7519) signed with EdDSA (RFC 8037), and the keys
//! that sign them.
//!
//! The algorithm is fixed: what a header says is only held against it. A proof names its key; keys
//! are replaced as they grow old, and the old ones are kept for as long as a proof may live.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use jsonwebtoken::Algorithm;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::Header;
use jsonwebtoken::Validation;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;

use crate::base62;
use crate::chance;
use crate::chance::Chance;
use crate::error::RegistryError;
use crate::permission::Scope;
use crate::token::TokenId;

/// How long a proof is good.
pub const JWT_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A key that is older signs nothing any more.
pub const KEY_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// The most characters of a proof.
pub const JWT_CHARACTERS_MAX: usize = 1_024;
/// Who made it.
const ISSUER: &str = "maily";

/// What a proof says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    iss: Box<str>,
    /// The token that it was made from.
    pub sub: TokenId,
    /// When, in seconds since the epoch.
    pub iat: u64,
    /// Until when it is good.
    pub exp: u64,
    /// Only this part of what the token may do, if any are named.
    #[serde(default)]
    pub scopes: Vec<Scope>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It is none of ours.
    Forged,
    /// Its time is over.
    Expired,
}

/// A key that signs proofs.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Key {
    id: Box<str>,
    /// PKCS #8 (RFC 8410).
    private: Vec<u8>,
    public: Vec<u8>,
    created_at: Timestamp,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// Draws a new one.
    pub(crate) fn draw(chance: &dyn Chance, now: Timestamp) -> Result<Self, RegistryError> {
        let unusable = |_| RegistryError::Disk("a key could not be made".to_owned());
        let id = base62::encode(&chance::octets::<8>(chance)?).into();
        let pair = Ed25519KeyPair::from_seed_unchecked(&chance::octets::<32>(chance)?)
            .map_err(|error| unusable(error.to_string()))?;
        let public = pair.public_key().as_ref().to_vec();
        let private = pair.to_pkcs8v1().map_err(|error| unusable(error.to_string()))?;
        Ok(Self { id, private: private.as_ref().to_vec(), public, created_at: now })
    }

    /// Its name in the header of a proof.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is too old to sign.
    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        now.since(self.created_at) >= KEY_LIFETIME
    }

    /// Whether nothing that it signed can be good any more.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.created_at) >= KEY_LIFETIME + JWT_LIFETIME
    }

    /// Signs a proof for this token; gives it and its end.
    pub(crate) fn sign(
        &self,
        token: TokenId,
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<(String, Timestamp), RegistryError> {
        let end = now + JWT_LIFETIME;
        let claims = Claims {
            iss: ISSUER.into(),
            sub: token,
            iat: now.as_secs(),
            exp: end.as_secs(),
            scopes: scopes.to_vec(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.id.clone().into());
        let text = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&self.private))
            .map_err(|error| RegistryError::Disk(format!("a JWT could not be made: {error}")))?;
        Ok((text, Timestamp::from_secs(claims.exp)))
    }
}

/// What a proof says, if one of these keys has signed it and its time is not over.
pub(crate) fn verify(keys: &[Key], text: &str, now: Timestamp) -> Result<Claims, Unproven> {
    if text.len() > JWT_CHARACTERS_MAX {
        return Err(Unproven::Forged);
    }
    let header = jsonwebtoken::decode_header(text).map_err(|_| Unproven::Forged)?;
    let named = header.kid.ok_or(Unproven::Forged)?;
    let key = keys.iter().find(|key| *key.id == *named).ok_or(Unproven::Forged)?;
    let mut rules = Validation::new(Algorithm::EdDSA);
    // The library would ask the machine for the time: we are told it.
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.set_required_spec_claims(&["exp", "iss", "sub"]);
    rules.set_issuer(&[ISSUER]);
    let key = DecodingKey::from_ed_der(&key.public);
    let proven = jsonwebtoken::decode::<Claims>(text, &key, &rules);
    let claims = proven.map_err(|_| Unproven::Forged)?.claims;
    if Timestamp::from_secs(claims.exp) <= now {
        return Err(Unproven::Expired);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::chance::tests::Counted;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    fn token() -> TokenId {
        TokenId::parse("0123456789a").unwrap()
    }

    fn pair() -> (Key, String) {
        let key = Key::draw(&Counted::default(), at(0)).unwrap();
        let (text, end) = key.sign(token(), &[Scope::Read], at(0)).unwrap();
        assert_eq!(end, at(900));
        (key, text)
    }

    #[test]
    fn a_proof_is_good_for_a_quarter_of_an_hour() {
        let (key, text) = pair();
        let keys = [key];
        let claims = verify(&keys, &text, at(899)).unwrap();
        assert_eq!((claims.sub, claims.scopes), (token(), vec![Scope::Read]));
        assert_eq!(verify(&keys, &text, at(900)), Err(Unproven::Expired));
        assert!(text.len() <= JWT_CHARACTERS_MAX);
    }

    #[test]
    fn another_key_another_algorithm_and_none_prove_nothing() {
        let (key, text) = pair();
        let [_, claims, signature] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
        let with = |header: String, signature: &str| {
            format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode(header))
        };
        let id = key.id().to_owned();
        for (alg, signature) in [("none", ""), ("none", signature), ("HS256", signature)] {
            let forged = with(format!(r#"{{"alg":"{alg}","kid":"{id}"}}"#), signature);
            assert_eq!(
                verify(std::slice::from_ref(&key), &forged, at(1)),
                Err(Unproven::Forged),
                "{alg}"
            );
        }
        // HS256 with the public key as its secret: the classic confusion of algorithms.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id.clone());
        let secret = EncodingKey::from_secret(&key.public);
        let claims = verify(std::slice::from_ref(&key), &text, at(1)).unwrap();
        let forged = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
        assert_eq!(verify(std::slice::from_ref(&key), &forged, at(1)), Err(Unproven::Forged));
        // The right name, another key.
        let chance = Counted::default();
        let _first = Key::draw(&chance, at(0)).unwrap();
        let other = Key { id: id.into(), ..Key::draw(&chance, at(0)).unwrap() };
        assert_eq!(verify(std::slice::from_ref(&other), &text, at(1)), Err(Unproven::Forged));
        let unnamed = Key { id: "other".into(), ..key };
        assert_eq!(verify(&[unnamed], &text, at(1)), Err(Unproven::Forged));
    }

    #[test]
    fn what_is_cut_or_altered_proves_nothing() {
        let (key, text) = pair();
        let keys = [key];
        for length in 0..text.len() {
            assert_eq!(verify(&keys, &text[..length], at(1)), Err(Unproven::Forged), "{length}");
        }
        for at_octet in 0..text.len() {
            let other = if &text[at_octet..=at_octet] == "A" { "B" } else { "A" };
            let altered = format!("{}{other}{}", &text[..at_octet], &text[at_octet + 1..]);
            let judged = verify(&keys, &altered, at(1));
            assert_eq!(judged, Err(Unproven::Forged), "{at_octet}");
        }
        let long = format!("{text}{}", "A".repeat(JWT_CHARACTERS_MAX));
        assert_eq!(verify(&keys, &long, at(1)), Err(Unproven::Forged));
    }

    #[test]
    fn a_key_grows_old_and_is_kept_while_its_proofs_live() {
        let (key, _) = pair();
        let week = KEY_LIFETIME.as_secs();
        assert!(!key.is_old(at(week - 1)) && key.is_old(at(week)));
        assert!(!key.is_over(at(week + 899)) && key.is_over(at(week + 900)));
        assert!(!format!("{key:?}").contains("private"));
    }
}
