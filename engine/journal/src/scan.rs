//! Reads segments from beginning to end: at start, by compaction, and from beside a running writer.
//!
//! A record that is not whole is either the torn end of what was being written when the machine
//! stopped, which nobody was promised, or damage in the middle. The two are told apart by what
//! follows: behind damage there is another record of the same segment.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::record::HEADER_OCTETS;
use crate::record::Header;
use crate::record::MAGIC;
use crate::segment::Folder;
use crate::segment::HeaderState;
use crate::segment::SEGMENT_HEADER_OCTETS;
use crate::segment::is_sealed;
use crate::segment::read_header;

/// Octets read ahead: a header and, nearly always, all of the meta part.
const READ_AHEAD_OCTETS: usize = 512;
/// Octets searched at once for the next record after damage.
const SEARCH_OCTETS: usize = 1 << 20;

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the segment.
    pub segment: u64,
    /// Octets from the beginning of its file.
    pub offset: u64,
}

/// A record without its body.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where.
    pub position: Position,
    /// The whole record's octets.
    pub octets: u64,
    /// The meta part, its checksum proved.
    pub meta: Bytes,
}

/// What came next in a segment.
#[derive(Debug)]
pub enum Next {
    /// A record.
    Record(Found),
    /// Octets that are no record, with a record behind them.
    Damage {
        /// From here.
        offset: u64,
        /// So many.
        octets: u64,
    },
    /// The end of what was written.
    End,
}

/// A segment could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A newer Maily wrote it.
    #[error(
        "segment {segment:016x} has format {format}, and this version reads up to {}: \
         run the newer version that wrote it",
        crate::segment::FORMAT
    )]
    Newer {
        /// The segment.
        segment: u64,
        /// Its format.
        format: u32,
    },
    /// The file system said no.
    #[error("segment {segment:016x}: {error}")]
    Io {
        /// The segment.
        segment: u64,
        /// What it said.
        error: io::Error,
    },
}

/// Reads one segment in order.
#[derive(Debug)]
pub struct Scanner {
    file: File,
    segment: u64,
    offset: u64,
    prove_bodies: bool,
    headless: bool,
}

impl Scanner {
    /// Starts at the first record. Where the writer did not leave the segment in good order, bodies
    /// are proved too, because one may be torn; elsewhere they are not read.
    pub fn open(folder: &Folder, segment: u64) -> Result<Self, ScanError> {
        let wrap = |error| ScanError::Io { segment, error };
        let file = File::open(folder.segment_path(segment)).map_err(wrap)?;
        let headless = match read_header(&file, segment).map_err(wrap)? {
            HeaderState::Ready => false,
            HeaderState::Empty => true,
            HeaderState::Newer(format) => return Err(ScanError::Newer { segment, format }),
        };
        let prove_bodies = !is_sealed(&file).map_err(wrap)?;
        Ok(Self { file, segment, offset: SEGMENT_HEADER_OCTETS, prove_bodies, headless })
    }

    /// The next record, damage, or the end.
    pub fn step(&mut self) -> Result<Next, ScanError> {
        let segment = self.segment;
        self.try_step().map_err(|error| ScanError::Io { segment, error })
    }

    /// Reads octets of the segment as they are.
    pub fn raw(&self, offset: u64, octets: u64) -> io::Result<Vec<u8>> {
        read_up_to(&self.file, offset, octets as usize)
    }

    fn try_step(&mut self) -> io::Result<Next> {
        if self.offset == u64::MAX {
            return Ok(Next::End);
        }
        if std::mem::take(&mut self.headless) {
            return self.find_first();
        }
        if let Some(found) = self.record_at(self.offset)? {
            self.offset += found.octets;
            return Ok(Next::Record(found));
        }
        let damaged_from = self.offset;
        match self.search(damaged_from + 1)? {
            Some(offset) => {
                self.offset = offset;
                Ok(Next::Damage { offset: damaged_from, octets: offset - damaged_from })
            }
            None => {
                self.offset = u64::MAX;
                Ok(Next::End)
            }
        }
    }

    /// The segment's header is not its own: either it was never written, and nothing counts, or it
    /// is damaged, and records that carry the segment's number follow.
    fn find_first(&mut self) -> io::Result<Next> {
        match self.search(self.offset)? {
            Some(offset) => {
                self.offset = offset;
                Ok(Next::Damage { offset: 0, octets: offset })
            }
            None => {
                self.offset = u64::MAX;
                Ok(Next::End)
            }
        }
    }

    /// The record at this offset, if a whole one begins there.
    fn record_at(&self, offset: u64) -> io::Result<Option<Found>> {
        let ahead = read_up_to(&self.file, offset, READ_AHEAD_OCTETS)?;
        let Some(header) = Header::decode(&ahead, self.segment) else { return Ok(None) };
        let meta_octets = header.meta_octets as usize;
        let meta = match ahead.get(HEADER_OCTETS..HEADER_OCTETS + meta_octets) {
            Some(meta) => Bytes::copy_from_slice(meta),
            None => {
                let start = offset + HEADER_OCTETS as u64;
                let size = self.file.metadata()?.len();
                if start + u64::from(header.meta_octets) > size {
                    return Ok(None);
                }
                Bytes::from(read_up_to(&self.file, start, meta_octets)?)
            }
        };
        if meta.len() != meta_octets || crc32c::crc32c(&meta) != header.meta_crc {
            return Ok(None);
        }
        if self.prove_bodies && !self.body_is_whole(offset, &header)? {
            return Ok(None);
        }
        let position = Position { segment: self.segment, offset };
        Ok(Some(Found { position, octets: header.octets(), meta }))
    }

    fn body_is_whole(&self, offset: u64, header: &Header) -> io::Result<bool> {
        let start = offset + HEADER_OCTETS as u64 + u64::from(header.meta_octets);
        if start + u64::from(header.body_octets) > self.file.metadata()?.len() {
            return Ok(false);
        }
        let body = read_up_to(&self.file, start, header.body_octets as usize)?;
        Ok(body.len() == header.body_octets as usize && crc32c::crc32c(&body) == header.body_crc)
    }

    /// The offset of the next whole record of this segment from here on.
    fn search(&self, from: u64) -> io::Result<Option<u64>> {
        let mut from = from;
        loop {
            let window = read_up_to(&self.file, from, SEARCH_OCTETS + MAGIC.len() - 1)?;
            for at in memchr::memmem::find_iter(&window, &MAGIC) {
                let offset = from + at as u64;
                if self.record_at(offset)?.is_some() {
                    return Ok(Some(offset));
                }
            }
            if window.len() < SEARCH_OCTETS {
                return Ok(None);
            }
            from += SEARCH_OCTETS as u64;
        }
    }
}

/// Reads a whole record and proves both parts.
///
/// # Errors
/// `InvalidData` if the record is damaged.
pub fn read_record(file: &File, position: Position, octets: u64) -> io::Result<(Bytes, Bytes)> {
    let whole = Bytes::from(read_up_to(file, position.offset, octets as usize)?);
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let header = Header::decode(&whole, position.segment).ok_or_else(|| damaged("header"))?;
    if header.octets() != whole.len() as u64 {
        return Err(damaged("length"));
    }
    let mut meta = whole.slice(HEADER_OCTETS..);
    let body = meta.split_off(header.meta_octets as usize);
    if crc32c::crc32c(&meta) != header.meta_crc {
        return Err(damaged("meta part"));
    }
    if crc32c::crc32c(&body) != header.body_crc {
        return Err(damaged("body"));
    }
    Ok((meta, body))
}

fn read_up_to(file: &File, offset: u64, octets: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; octets];
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}
