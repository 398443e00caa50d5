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
use crate::segment::read_header;
use crate::segment::sealed_end;

/// Octets read ahead: a header and, nearly always, all of the meta part.
const READ_AHEAD_OCTETS: usize = 512;
/// Octets read at once where records are small.
const WINDOW_OCTETS: usize = 64 << 10;
/// Records smaller than this are small.
const SMALL_OCTETS: u64 = 4 << 10;
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
    /// Where it ends, if the writer left it in good order.
    end: Option<u64>,
    headless: bool,
    /// What was read last, and from where.
    window: Bytes,
    window_at: u64,
    /// The last record was small: more of its kind are likely.
    small: bool,
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
        let end = sealed_end(&file, segment).map_err(wrap)?;
        Ok(Self {
            file,
            segment,
            offset: SEGMENT_HEADER_OCTETS,
            end,
            headless,
            window: Bytes::new(),
            window_at: 0,
            small: true,
        })
    }

    /// Starts at this offset, where a record ended that was read before; from anywhere else the
    /// next record is looked for.
    pub fn open_at(folder: &Folder, segment: u64, offset: u64) -> Result<Self, ScanError> {
        let mut this = Self::open(folder, segment)?;
        if offset > SEGMENT_HEADER_OCTETS {
            (this.offset, this.headless) = (offset, false);
        }
        Ok(this)
    }

    /// Where the next step looks.
    pub const fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.offset }
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
        if self.end.is_some_and(|end| self.offset >= end) {
            self.offset = u64::MAX;
            return Ok(Next::End);
        }
        if let Some(found) = self.record_at(self.offset)? {
            self.offset += found.octets;
            self.small = found.octets < SMALL_OCTETS;
            return Ok(Next::Record(found));
        }
        // A writer may have been at it when the window was read.
        self.window = Bytes::new();
        let damaged_from = self.offset;
        let next = self.search(damaged_from)?;
        self.offset = next.or(self.end).unwrap_or(u64::MAX);
        match self.offset {
            u64::MAX => Ok(Next::End),
            offset if offset == damaged_from => self.try_step(),
            offset => Ok(Next::Damage { offset: damaged_from, octets: offset - damaged_from }),
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
    fn record_at(&mut self, offset: u64) -> io::Result<Option<Found>> {
        let ahead = self.fetch(offset, READ_AHEAD_OCTETS)?;
        let Some(header) = Header::decode(&ahead, self.segment) else { return Ok(None) };
        let prove_body = self.end.is_none();
        let whole = HEADER_OCTETS + header.meta_octets as usize;
        let needed = if prove_body { header.octets() as usize } else { whole };
        let read = if ahead.len() >= needed {
            ahead
        } else {
            // A length that lies must not cost memory.
            if offset + needed as u64 > self.file.metadata()?.len() {
                return Ok(None);
            }
            self.fetch(offset, needed)?
        };
        let Some(meta) = (read.len() >= whole).then(|| read.slice(HEADER_OCTETS..whole)) else {
            return Ok(None);
        };
        if crc32c::crc32c(&meta) != header.meta_crc {
            return Ok(None);
        }
        if prove_body {
            let body = read.get(whole..needed);
            if body.is_none_or(|body| crc32c::crc32c(body) != header.body_crc) {
                return Ok(None);
            }
        }
        let position = Position { segment: self.segment, offset };
        Ok(Some(Found { position, octets: header.octets(), meta }))
    }

    /// These octets, or as many as there are.
    fn fetch(&mut self, offset: u64, octets: usize) -> io::Result<Bytes> {
        let from = usize::try_from(offset.wrapping_sub(self.window_at)).unwrap_or(usize::MAX);
        let inside = from.checked_add(octets).filter(|end| *end <= self.window.len());
        if let Some(end) = inside {
            return Ok(self.window.slice(from..end));
        }
        let ahead = if self.small { WINDOW_OCTETS } else { READ_AHEAD_OCTETS };
        self.window = Bytes::from(read_up_to(&self.file, offset, octets.max(ahead))?);
        self.window_at = offset;
        Ok(self.window.slice(..octets.min(self.window.len())))
    }

    /// The offset of the next whole record of this segment from here on.
    fn search(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut from = from;
        loop {
            if self.end.is_some_and(|end| from >= end) {
                return Ok(None);
            }
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

/// Reads the meta part of a record and proves it.
///
/// # Errors
/// `InvalidData` if it is damaged.
pub fn read_meta(file: &File, position: Position) -> io::Result<Bytes> {
    let ahead = Bytes::from(read_up_to(file, position.offset, READ_AHEAD_OCTETS)?);
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let header = Header::decode(&ahead, position.segment).ok_or_else(|| damaged("header"))?;
    let whole = HEADER_OCTETS + header.meta_octets as usize;
    let read = if ahead.len() >= whole {
        ahead
    } else {
        Bytes::from(read_up_to(file, position.offset, whole)?)
    };
    if read.len() < whole || crc32c::crc32c(&read.slice(HEADER_OCTETS..whole)) != header.meta_crc {
        return Err(damaged("meta part"));
    }
    Ok(read.slice(HEADER_OCTETS..whole))
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
