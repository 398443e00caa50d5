//! Whose mail is signed, and with which keys.
//!
//! A message is signed for the domain of its author, with every key of that domain: usually an RSA
//! key, which all verifiers know, and an Ed25519 key (RFC 8463 3). A domain without keys of its own
//! is signed for by the nearest domain above it that has some, since DMARC takes that as aligned
//! (RFC 7489 3.1.1).

use std::collections::BTreeMap;
use std::fmt;

use crate::dkim::key::SigningKey;
use crate::mail::address::Domain;

/// The name is no selector (RFC 6376 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a selector is made of letters, digits and hyphens, with dots between parts")]
pub struct InvalidSelector;

/// A key with the name under which it is published.
#[derive(Debug)]
pub struct Signer {
    domain: Domain,
    selector: Box<str>,
    key: SigningKey,
}

impl Signer {
    /// The key is published at `selector._domainkey.domain`.
    ///
    /// # Errors
    /// The selector is not one.
    pub fn new(domain: Domain, selector: &str, key: SigningKey) -> Result<Self, InvalidSelector> {
        // A selector is as strict as a domain; other octets could end the tag in the header field.
        let valid = Domain::parse(selector).map_err(|_| InvalidSelector)?;
        if !selector.is_ascii() || valid.literal().is_some() {
            return Err(InvalidSelector);
        }
        Ok(Self { domain, selector: selector.into(), key })
    }

    /// The `d=` of its signatures.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The `s=` of its signatures.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// What it signs with.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }
}

/// `selector._domainkey.domain`, where verifiers look for the key.
impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}._domainkey.{}", self.selector, self.domain)
    }
}

/// All that sign, by domain.
#[derive(Debug, Default)]
pub struct Keyring(BTreeMap<Box<str>, Vec<Signer>>);

impl Keyring {
    /// Adds one that signs. Signatures of a domain are made in the order in which it got its keys.
    pub fn add(&mut self, signer: Signer) {
        self.0.entry(signer.domain.as_str().into()).or_default().push(signer);
    }

    /// Whether nobody's mail is signed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that sign, domain by domain.
    pub fn signers(&self) -> impl Iterator<Item = &Signer> {
        self.0.values().flatten()
    }

    /// Those that sign for an author's domain; none if it and all domains above it have no key.
    pub fn of_author(&self, author: &Domain) -> &[Signer] {
        let mut name = Some(author.as_str());
        while let Some(this) = name {
            if let Some(signers) = self.0.get(this) {
                return signers;
            }
            name = this.split_once('.').map(|(_, above)| above);
        }
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = include_bytes!("keys/ed25519.pem");

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn signer(name: &str, selector: &str) -> Signer {
        Signer::new(domain(name), selector, SigningKey::from_pem(KEY).unwrap()).unwrap()
    }

    #[test]
    fn the_nearest_domain_with_a_key_signs() {
        let mut keyring = Keyring::default();
        assert!(keyring.is_empty());
        for (name, selector) in [("example.net", "a"), ("news.example.net", "b")] {
            keyring.add(signer(name, selector));
        }
        keyring.add(signer("example.net", "c"));
        let selectors = |author: &str| -> Vec<_> {
            keyring.of_author(&domain(author)).iter().map(Signer::selector).collect()
        };
        assert_eq!(selectors("example.net"), ["a", "c"]);
        assert_eq!(selectors("x.y.example.net"), ["a", "c"]);
        assert_eq!(selectors("news.example.net"), ["b"]);
        assert_eq!(selectors("x.news.example.net"), ["b"]);
        assert!(selectors("net").is_empty());
        assert!(selectors("badexample.net").is_empty());
        assert!(selectors("[192.0.2.1]").is_empty());
    }

    #[test]
    fn a_selector_cannot_end_its_tag() {
        for selector in ["", "a;b", "a b", "a\r\nb", "a..b", ".a", "a_b", "é", "[192.0.2.1]"] {
            let key = SigningKey::from_pem(KEY).unwrap();
            let made = Signer::new(domain("example.net"), selector, key);
            assert_eq!(made.map(|_| ()), Err(InvalidSelector), "{selector:?}");
        }
        assert_eq!(signer("example.net", "S1.mx").to_string(), "S1.mx._domainkey.example.net");
    }
}
