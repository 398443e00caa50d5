//! Rows of a durable table, by kind: a letter, then a name each with its length before it, so that
//! no two names run into one another.
//!
//! A value is one octet of format, then its fields. Formats only grow.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use maily_journal::change::Change;
use maily_journal::table::PutError;
use maily_journal::table::Table;

use crate::error::RegistryError;

/// The format of values that this version writes.
const FORMAT: u8 = 1;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A project, by its name.
    Project,
    /// A token, by its id.
    Token,
    /// The newest version of a template, by project and name.
    Template,
    /// One version of a template, by project, name and number.
    Version,
    /// A webhook, by project and id.
    Webhook,
    /// How far a webhook has come, by project and id.
    Progress,
    /// An event that a webhook did not take, by project, id and place.
    DeadLetter,
    /// A key that signs JWTs, by its id.
    Key,
    /// A key that signs links in mail, by its number.
    LinkKey,
    /// The domains that a project may send as, by its name.
    Senders,
    /// That mail was taken back, by project and tag.
    Withdrawal,
    /// What an operator said of waiting mail, by its number.
    Directive,
}

/// The key of a row of this kind with these names.
pub(crate) fn key(kind: Kind, names: &[&[u8]]) -> Bytes {
    let letter = match kind {
        Kind::Project => b'p',
        Kind::Token => b't',
        Kind::Template => b'm',
        Kind::Version => b'v',
        Kind::Webhook => b'w',
        Kind::Progress => b'g',
        Kind::DeadLetter => b'd',
        Kind::Key => b'k',
        Kind::LinkKey => b'l',
        Kind::Senders => b's',
        Kind::Withdrawal => b'x',
        Kind::Directive => b'o',
    };
    let mut key = vec![letter];
    for name in names {
        // Names are bounded far below 65,535 octets: what is longer is no name that anyone stored.
        key.extend_from_slice(&(name.len().min(usize::from(u16::MAX)) as u16).to_be_bytes());
        key.extend_from_slice(name);
    }
    key.into()
}

/// The rows.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    table: Table,
}

/// A change that is to be made.
pub(crate) fn put<T: Serialize>(key: Bytes, value: &T) -> Result<Change, RegistryError> {
    postcard::to_extend(value, vec![FORMAT])
        .map(|octets| Change::Put(key, octets.into()))
        .map_err(|error| RegistryError::Disk(error.to_string()))
}

fn decode<T: DeserializeOwned>(octets: &[u8]) -> Option<T> {
    match octets.split_first()? {
        (&FORMAT, rest) => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}

impl Shelf {
    pub(crate) const fn new(table: Table) -> Self {
        Self { table }
    }

    /// The row with this key; none also if it cannot be understood, which is told.
    pub(crate) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Option<T> {
        let octets = self.table.get(key)?;
        let value = decode(&octets);
        if value.is_none() {
            tracing::error!(key = %key.escape_ascii(), "a row of the registry is not understood");
        }
        value
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.table.get(key).is_some()
    }

    /// Rows whose keys begin so, behind `after`, up to so many.
    pub(crate) fn rows<T: DeserializeOwned>(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<T> {
        let found = self.table.scan_prefix(prefix, after, limit);
        found.iter().filter_map(|(_, octets)| decode(octets)).collect()
    }

    /// The keys that begin so, up to so many.
    pub(crate) fn keys(&self, prefix: &[u8], limit: usize) -> Vec<Bytes> {
        let found = self.table.scan_prefix(prefix, None, limit);
        found.into_iter().map(|(key, _)| key).collect()
    }

    /// Octets of all values whose keys begin so.
    pub(crate) fn octets(&self, prefix: &[u8]) -> usize {
        let found = self.table.scan_prefix(prefix, None, usize::MAX);
        found.iter().map(|(_, value)| value.len()).sum()
    }

    /// Makes these changes, all or none; returns when they are synced.
    pub(crate) async fn change(&self, changes: Vec<Change>) -> Result<(), RegistryError> {
        self.table.change(changes).await.map_err(|error| match error {
            PutError::Full => RegistryError::Full,
            other => RegistryError::Disk(other.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_run_into_one_another() {
        assert_ne!(key(Kind::Version, &[b"a", b"bc"]), key(Kind::Version, &[b"ab", b"c"]));
        let prefix = key(Kind::Version, &[b"a"]);
        assert!(key(Kind::Version, &[b"a", b"b"]).starts_with(&prefix));
        assert!(!key(Kind::Version, &[b"ab"]).starts_with(&prefix));
        assert_ne!(key(Kind::Project, &[b"a"]), key(Kind::Token, &[b"a"]));
    }
}
