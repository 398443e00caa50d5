//! One entry of the audit log, and the hash that ties it to the one before it.
//!
//! The hash is SHA-256 over the octets of the entry as they lie on disk, and these begin with the
//! hash of the entry before. So whoever changes one entry, or takes one out, would have to write
//! all behind it anew; and whoever wrote down the hash of a later one sees even that.

use std::fmt;

use aws_lc_rs::digest;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;

use crate::name::Name;

/// The format of entries that this version writes.
const FORMAT: u8 = 1;
/// The most characters of each text of an entry; what is longer is cut.
pub const TEXT_CHARACTERS_MAX: usize = 256;

/// SHA-256 of an entry.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Of these octets.
    pub fn of(octets: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, octets);
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> =
            text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        let octets = digits.chunks_exact(2).map(|pair| match pair {
            [high, low] => high << 4 | low,
            _ => 0,
        });
        octets.collect::<Vec<_>>().try_into().ok().filter(|_| digits.len() == 64).map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What happened, before it has its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who: `token:…`, `jwt:…`, `uid:…` or `nobody`.
    pub actor: Box<str>,
    /// From where: an address, or `local`.
    pub client: Box<str>,
    /// In which project; none for what belongs to none.
    pub project: Option<Name>,
    /// What was asked for: `POST /v1/tokens`.
    pub action: Box<str>,
    /// Of what: `/v1/tokens/4fQ…`.
    pub object: Box<str>,
    /// The status of the answer.
    pub outcome: u16,
    /// The request's id.
    pub request: Box<str>,
}

impl Deed {
    /// The same with its texts no longer than they may be.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let texts = [
            &mut self.actor,
            &mut self.client,
            &mut self.action,
            &mut self.object,
            &mut self.request,
        ];
        for text in texts {
            if let Some((end, _)) = text.char_indices().nth(TEXT_CHARACTERS_MAX) {
                *text = text.get(..end).unwrap_or_default().into();
            }
        }
        self
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The hash of the entry before; zeros for the first.
    pub previous: Hash,
    /// Counted from 1.
    pub number: u64,
    /// What happened.
    pub deed: Deed,
}

impl Entry {
    /// Its octets; none if that cannot be, which no entry of ours is.
    pub fn encode(&self) -> Option<Vec<u8>> {
        postcard::to_extend(self, vec![FORMAT]).ok()
    }

    /// Reads an entry; none if these octets are none, or have more behind it.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        match octets.split_first()? {
            (&FORMAT, rest) => match postcard::take_from_bytes(rest).ok()? {
                (entry, []) => Some(entry),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn deed(number: u64) -> Deed {
        Deed {
            at: Timestamp::from_secs(number),
            actor: "uid:0".into(),
            client: "local".into(),
            project: Some("shop".parse().unwrap()),
            action: "POST /v1/tokens".into(),
            object: format!("/v1/tokens/{number}").into(),
            outcome: 201,
            request: "0123".into(),
        }
    }

    #[test]
    fn an_entry_is_read_back_and_nothing_else_is() {
        let entry = Entry { previous: Hash([7; 32]), number: 3, deed: deed(3) };
        let octets = entry.encode().unwrap();
        assert_eq!(Entry::decode(&octets), Some(entry));
        for length in 0..octets.len() {
            assert_eq!(Entry::decode(&octets[..length]), None, "{length}");
        }
        assert_eq!(Entry::decode(&[octets.clone(), vec![0]].concat()), None);
        assert_eq!(Entry::decode(&[&[9], &octets[1..]].concat()), None, "another format");
    }

    #[test]
    fn a_hash_is_written_in_digits_and_read_back() {
        let hash = Hash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(Hash::parse(text), Some(hash));
        assert_eq!(Hash::parse(&text[2..]), None);
        assert_eq!(Hash::parse(&text.replace('b', "g")), None);
    }

    #[test]
    fn a_text_above_its_limit_is_cut() {
        let long = "ä".repeat(TEXT_CHARACTERS_MAX + 1);
        let bounded = Deed { object: long.into(), ..deed(1) }.bounded();
        assert_eq!(bounded.object.chars().count(), TEXT_CHARACTERS_MAX);
        assert_eq!(deed(1).bounded(), deed(1));
    }
}
