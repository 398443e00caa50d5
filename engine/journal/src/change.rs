//! What a record of a [`crate::table::Table`] says: changes that hold together or not at all.
//!
//! ```text
//! format 1 | change …      put: 1 | key octets 4 | key | value octets 4 | value
//!                          remove: 0 | key octets 4 | key
//! ```
//!
//! All numbers are little-endian. The format only grows, because tables outlive versions.

use bytes::Bytes;

/// The format that this version writes; it reads no newer one.
pub(crate) const FORMAT: u8 = 1;
const REMOVE: u8 = 0;
const PUT: u8 = 1;
/// Octets of a change beside its key and value.
pub const HEAD_OCTETS: usize = 9;

/// One change of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this value from now on.
    Put(Bytes, Bytes),
    /// The key has no value from now on.
    Remove(Bytes),
}

impl Change {
    /// Key and value, empty if it is removed.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Put(key, value) => (key, value),
            Self::Remove(key) => (key, &[]),
        }
    }
}

/// The changes as octets.
pub fn encode(changes: &[Change]) -> Vec<u8> {
    let octets = |change: &Change| change.parts().0.len() + change.parts().1.len() + HEAD_OCTETS;
    let mut out = Vec::with_capacity(1 + changes.iter().map(octets).sum::<usize>());
    out.push(FORMAT);
    for change in changes {
        match change {
            Change::Put(key, value) => {
                out.push(PUT);
                put_part(&mut out, key);
                put_part(&mut out, value);
            }
            Change::Remove(key) => {
                out.push(REMOVE);
                put_part(&mut out, key);
            }
        }
    }
    out
}

fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u32).to_le_bytes());
    out.extend_from_slice(part);
}

/// The changes in these octets; none if they are not understood. Copies, so that a large piece that
/// was read does not stay for a small value in it.
pub fn decode(octets: &[u8]) -> Option<Vec<Change>> {
    let mut rest = octets.strip_prefix(&[FORMAT])?;
    let mut changes = Vec::new();
    while let Some((kind, more)) = rest.split_first() {
        rest = more;
        let key = take_part(&mut rest)?;
        changes.push(match *kind {
            PUT => Change::Put(key, take_part(&mut rest)?),
            REMOVE => Change::Remove(key),
            _ => return None,
        });
    }
    Some(changes)
}

fn take_part(rest: &mut &[u8]) -> Option<Bytes> {
    let (octets, more) = rest.split_first_chunk::<4>()?;
    let (part, more) = more.split_at_checked(u32::from_le_bytes(*octets) as usize)?;
    *rest = more;
    Some(Bytes::copy_from_slice(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        let octets = |text: &str| Bytes::from(text.to_owned());
        vec![
            Change::Put(octets("key"), octets("value")),
            Change::Remove(octets("other")),
            Change::Put(octets(""), octets("")),
        ]
    }

    #[test]
    fn changes_are_read_back_as_they_were_written() {
        assert_eq!(decode(&encode(&changes())), Some(changes()));
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
    }

    #[test]
    fn what_is_cut_short_or_of_another_format_is_not_understood() {
        let whole = encode(&changes());
        for octets in 0..whole.len() {
            // Where one change ends, those before it are whole.
            let changes = decode(&whole[..octets]);
            assert!(changes.is_none_or(|found| encode(&found).len() == octets), "{octets} octets");
        }
        let newer = [&[2], &whole[1..]].concat();
        assert_eq!(decode(&newer), None);
        assert_eq!(decode(&[1, 9, 0, 0, 0, 0]), None, "an unknown kind");
        assert_eq!(decode(&[1, 0, 255, 255, 255, 255]), None, "a length that lies");
    }
}
