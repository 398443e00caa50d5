//! Reads the entries of a segment in order.

use std::io;

use maily_journal::scan::Found;
use maily_journal::scan::Next;
use maily_journal::scan::ScanError;
use maily_journal::scan::Scanner;
use maily_journal::segment::Folder;

use crate::entry;
use crate::entry::Entry;

/// Hands each entry of a segment to `see`, and what is none to `spoilt`.
pub(crate) fn walk(
    folder: &Folder,
    segment: u64,
    see: &mut impl FnMut(Found, Entry),
    spoilt: &mut impl FnMut(&Scanner, u64, u64) -> io::Result<()>,
) -> Result<(), ScanError> {
    let mut scanner = Scanner::open(folder, segment)?;
    loop {
        let (offset, octets) = match scanner.step()? {
            Next::Record(found) => match entry::decode(&found.meta) {
                Ok(entry) => {
                    see(found, entry);
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, segment, "an entry was not understood");
                    (found.position.offset, found.octets)
                }
            },
            Next::Damage { offset, octets } => (offset, octets),
            Next::End => return Ok(()),
        };
        spoilt(&scanner, offset, octets).map_err(|error| ScanError::Io { segment, error })?;
    }
}
