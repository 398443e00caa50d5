//! Walks the audit log from its first entry on, and says where it is broken. It reads the files
//! beside a running daemon, or without one, and changes nothing.

use std::path::Path;

use maily_journal::scan::Next;
use maily_journal::scan::Scanner;
use maily_journal::segment::Folder;

use crate::audit_entry::Entry;
use crate::audit_entry::Hash;

/// How far the log reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The number of its last entry; 0 if there is none.
    pub number: u64,
    /// The hash of its last entry.
    pub hash: Hash,
}

/// The first place at which the log is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The entry that should stand there.
    pub number: u64,
    /// What stands there.
    pub why: String,
}

/// What the log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All entries are there, as they were written.
    Whole(Head),
    /// They are not.
    Broken(Broken),
}

/// Walks all of it. `known` is a number and hash that somebody wrote down earlier: without one, it
/// is not seen if the last entries, or all, were taken away or written anew.
///
/// # Errors
/// The folder or a segment could not be read.
pub fn verify(folder: &Path, known: Option<Head>) -> Result<Verdict, String> {
    let mut head = Head::default();
    let mut met = known.is_none_or(|known| known.number == 0);
    let broken = walk(folder, |place| {
        let (entry, octets) = match place {
            Ok(found) => found,
            Err(why) => return Some(Broken { number: head.number + 1, why }),
        };
        if let Some(why) = fault(&entry, head) {
            return Some(Broken { number: head.number + 1, why });
        }
        head = Head { number: entry.number, hash: Hash::of(octets) };
        if let Some(known) = known.filter(|known| known.number == head.number) {
            met = true;
            if known.hash != head.hash {
                let why = "it is not the entry that the given hash is of".to_owned();
                return Some(Broken { number: head.number, why });
            }
        }
        None
    })?;
    Ok(match broken {
        Some(broken) => Verdict::Broken(broken),
        None if !met => Verdict::Broken(Broken {
            number: head.number + 1,
            why: "the log ends before the entry that the given hash is of".to_owned(),
        }),
        None => Verdict::Whole(head),
    })
}

/// Why an entry cannot follow this one.
fn fault(entry: &Entry, before: Head) -> Option<String> {
    if entry.number != before.number + 1 {
        return Some(format!("entry {} stands there", entry.number));
    }
    if entry.previous != before.hash {
        return Some(format!(
            "it does not hold the hash of entry {}: one of the two was changed",
            before.number
        ));
    }
    None
}

/// Hands each entry with its octets to `see`, oldest first, until that gives something. Damage is
/// handed over as such.
pub(crate) fn walk<T>(
    folder: &Path,
    mut see: impl FnMut(Result<(Entry, &[u8]), String>) -> Option<T>,
) -> Result<Option<T>, String> {
    let folder = Folder::new(folder);
    let text = |error: std::io::Error| format!("{}: {error}", folder.path().display());
    for segment in folder.segments().map_err(text)? {
        if let Some(found) = walk_segment(&folder, segment, &mut see)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The same for one segment.
pub(crate) fn walk_segment<T>(
    folder: &Folder,
    segment: u64,
    see: &mut impl FnMut(Result<(Entry, &[u8]), String>) -> Option<T>,
) -> Result<Option<T>, String> {
    let mut scanner = Scanner::open(folder, segment).map_err(|error| error.to_string())?;
    loop {
        let seen = match scanner.step().map_err(|error| error.to_string())? {
            Next::Record(found) => match Entry::decode(&found.meta) {
                Some(entry) => see(Ok((entry, &found.meta))),
                None => see(Err("what stands there is no entry".to_owned())),
            },
            Next::Damage { offset, .. } => {
                see(Err(format!("segment {segment} is damaged at octet {offset}")))
            }
            Next::End => return Ok(None),
        };
        if seen.is_some() {
            return Ok(seen);
        }
    }
}
