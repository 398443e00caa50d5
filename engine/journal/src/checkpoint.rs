//! A checkpoint: what an owner has folded from its journal, in one file beside the segments, so
//! that a restart reads this and the segments behind it.
//!
//! It is used only if every octet of it is as it was written; one that is torn, damaged or of a
//! newer format counts as none. It can be made again from the journal, or, where the owner drops
//! what it covers, from the one before it, which then is kept beside it.
//!
//! ```text
//! frame: octets 4 | crc 4 | kind 1 | …        kinds: head, then rows, then end with their count
//! head:  magic 8 | format 4 | the owner's     row: octets 4 | the owner's
//! ```

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;

use crate::segment::Folder;

const MAGIC: &[u8; 8] = b"MAILYCKP";
/// The format that this version writes; another counts as no checkpoint.
const FORMAT: u32 = 1;
const HEAD: u8 = 0;
const ROWS: u8 = 1;
const END: u8 = 2;
/// A frame of rows that has grown to this size is written.
const FRAME_OCTETS: usize = 64 << 10;
/// A frame of more octets is none that we wrote.
const FRAME_OCTETS_MAX: usize = 64 << 20;
/// So many octets are written between two syncs: a flood of dirty pages would make the journal's
/// own syncs wait.
const SYNC_OCTETS: usize = 8 << 20;

fn path_in(folder: &Folder) -> PathBuf {
    folder.path().join("checkpoint")
}

fn path_before(folder: &Folder) -> PathBuf {
    path_in(folder).with_extension("before")
}

/// Writes a checkpoint; the old one stays until [`CheckpointWriter::finish`].
#[derive(Debug)]
pub struct CheckpointWriter {
    folder: Folder,
    new: PathBuf,
    file: File,
    frame: Vec<u8>,
    rows: u64,
    unsynced: usize,
}

impl CheckpointWriter {
    /// Begins one with what the owner says of the whole.
    pub fn create(folder: &Folder, head: &[u8]) -> io::Result<Self> {
        let new = path_in(folder).with_extension("new");
        let file = File::create(&new)?;
        let folder = folder.clone();
        let mut this = Self { folder, new, file, frame: vec![HEAD], rows: 0, unsynced: 0 };
        this.frame.extend_from_slice(MAGIC);
        this.frame.extend_from_slice(&FORMAT.to_le_bytes());
        this.frame.extend_from_slice(head);
        this.write_frame()?;
        Ok(this)
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[u8]) -> io::Result<()> {
        if row.len() > FRAME_OCTETS_MAX / 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the row is too long"));
        }
        if self.frame.is_empty() {
            self.frame.push(ROWS);
        }
        self.frame.extend_from_slice(&(row.len() as u32).to_le_bytes());
        self.frame.extend_from_slice(row);
        self.rows += 1;
        if self.frame.len() >= FRAME_OCTETS { self.write_frame() } else { Ok(()) }
    }

    /// Makes it durable, and puts it in the place of the old one.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_end()?;
        std::fs::rename(&self.new, path_in(&self.folder))?;
        self.folder.sync()
    }

    /// The same, but the old one stays as the one before, if there is an old one.
    pub fn finish_beside(mut self) -> io::Result<()> {
        self.write_end()?;
        match std::fs::rename(path_in(&self.folder), path_before(&self.folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::rename(&self.new, path_in(&self.folder))?;
        self.folder.sync()
    }

    fn write_end(&mut self) -> io::Result<()> {
        if !self.frame.is_empty() {
            self.write_frame()?;
        }
        self.frame.push(END);
        self.frame.extend_from_slice(&self.rows.to_le_bytes());
        self.write_frame()?;
        self.file.sync_all()
    }

    fn write_frame(&mut self) -> io::Result<()> {
        self.file.write_all(&(self.frame.len() as u32).to_le_bytes())?;
        self.file.write_all(&crc32c::crc32c(&self.frame).to_le_bytes())?;
        self.file.write_all(&self.frame)?;
        self.unsynced += self.frame.len();
        self.frame.clear();
        if self.unsynced >= SYNC_OCTETS {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // Gone already if it was finished; if it is left, the next one is written over it.
        let _left = std::fs::remove_file(&self.new);
    }
}

/// Which of two checkpoints that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The one that was written last.
    Last,
    /// The one before it.
    Before,
}

impl Generation {
    /// Where its file is.
    pub fn path_in(self, folder: &Folder) -> PathBuf {
        match self {
            Self::Last => path_in(folder),
            Self::Before => path_before(folder),
        }
    }
}

/// A checkpoint that was found whole.
#[derive(Debug)]
pub struct Checkpoint {
    /// What the owner said of the whole.
    pub head: Vec<u8>,
    /// How many rows it has.
    pub rows: u64,
    path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint in this folder, every octet proved; none if there is none that can be used.
    pub fn open(folder: &Folder) -> Option<Self> {
        match Self::proved(path_in(folder)) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "the checkpoint is not used: the journal is read instead");
                None
            }
        }
    }

    /// The checkpoint in this folder, or else the one before it.
    ///
    /// # Errors
    /// `NotFound` if there is none, `InvalidData` if it is not whole.
    pub fn of(folder: &Folder, generation: Generation) -> io::Result<Self> {
        Self::proved(generation.path_in(folder))
    }

    fn proved(path: PathBuf) -> io::Result<Self> {
        let (head, rows) = prove(&path)?;
        Ok(Self { head, rows, path })
    }

    /// Removes it: it does not belong to what is in the folder.
    pub fn discard(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Hands out each row until `see` has had enough.
    pub fn each(&self, mut see: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        let mut frames = Frames::open(&self.path)?;
        while let Some(kind) = frames.step()? {
            if kind == ROWS && !rows_in(frames.payload(), &mut see)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Walks the rows of a frame; false if `see` has had enough.
fn rows_in(mut rows: &[u8], see: &mut impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
    while let Some((octets, rest)) = rows.split_first_chunk::<4>() {
        let octets = u32::from_le_bytes(*octets) as usize;
        let (row, rest) = rest.split_at_checked(octets).ok_or_else(|| invalid("a torn row"))?;
        if !see(row) {
            return Ok(false);
        }
        rows = rest;
    }
    Ok(true)
}

fn prove(path: &std::path::Path) -> io::Result<(Vec<u8>, u64)> {
    let mut frames = Frames::open(path)?;
    if frames.step()? != Some(HEAD) {
        return Err(invalid("no head"));
    }
    let head = frames.payload().strip_prefix(MAGIC).ok_or_else(|| invalid("no checkpoint"))?;
    let head = head.strip_prefix(&FORMAT.to_le_bytes()).ok_or_else(|| invalid("another format"))?;
    let head = head.to_vec();
    let mut rows = 0_u64;
    loop {
        match frames.step()? {
            Some(ROWS) => {
                rows_in(frames.payload(), &mut |_| {
                    rows += 1;
                    true
                })?;
            }
            Some(END) if frames.payload() == rows.to_le_bytes() => break,
            _ => return Err(invalid("the end is missing")),
        }
    }
    if frames.step()?.is_some() { Err(invalid("more than the end")) } else { Ok((head, rows)) }
}

/// Reads frame by frame.
struct Frames {
    file: BufReader<File>,
    frame: Vec<u8>,
}

impl Frames {
    fn open(path: &std::path::Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(1 << 20, File::open(path)?);
        Ok(Self { file, frame: Vec::new() })
    }

    /// Reads the next frame; gives its kind, none at the end of the file.
    fn step(&mut self) -> io::Result<Option<u8>> {
        let mut head = [0; 8];
        let mut filled = 0;
        while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest)? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(invalid("a torn frame")),
                read => filled += read,
            }
        }
        let [a, b, c, d, crc @ ..] = head;
        let octets = u32::from_le_bytes([a, b, c, d]) as usize;
        if octets == 0 || octets > FRAME_OCTETS_MAX {
            return Err(invalid("a frame's length"));
        }
        self.frame.resize(octets, 0);
        self.file.read_exact(&mut self.frame)?;
        if crc32c::crc32c(&self.frame) != u32::from_le_bytes(crc) {
            return Err(invalid("a frame's checksum"));
        }
        Ok(self.frame.first().copied())
    }

    fn payload(&self) -> &[u8] {
        self.frame.get(1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Folder, rows: usize) {
        let mut writer = CheckpointWriter::create(folder, b"head").unwrap();
        for row in 0..rows {
            writer.push(&vec![row as u8; row % 300]).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn what_was_written_is_read_back_and_the_last_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        assert!(Checkpoint::open(&folder).is_none());
        write(&folder, 10);
        write(&folder, 3_000);
        drop(CheckpointWriter::create(&folder, b"given up").unwrap());
        let checkpoint = Checkpoint::open(&folder).unwrap();
        assert_eq!((checkpoint.head.as_slice(), checkpoint.rows), (b"head".as_slice(), 3_000));
        let mut seen = 0;
        checkpoint
            .each(|row| {
                assert_eq!(row, vec![seen as u8; seen % 300]);
                seen += 1;
                true
            })
            .unwrap();
        assert_eq!(seen, 3_000);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_one_before_is_kept_for_who_asks_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let rows = |which| Checkpoint::of(&folder, which).map(|checkpoint| checkpoint.rows).ok();
        for count in 1..=3 {
            let mut writer = CheckpointWriter::create(&folder, b"head").unwrap();
            (0..count).for_each(|_| writer.push(b"row").unwrap());
            writer.finish_beside().unwrap();
            let before = (count > 1).then(|| count - 1);
            assert_eq!((rows(Generation::Last), rows(Generation::Before)), (Some(count), before));
        }
        std::fs::remove_file(path_in(&folder)).unwrap();
        CheckpointWriter::create(&folder, b"head").unwrap().finish_beside().unwrap();
        assert_eq!((rows(Generation::Last), rows(Generation::Before)), (Some(0), Some(2)));
    }

    #[test]
    fn one_that_is_torn_or_has_a_flipped_bit_anywhere_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        write(&folder, 9);
        let whole = std::fs::read(path_in(&folder)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            std::fs::write(path_in(&folder), &damaged).unwrap();
            assert!(Checkpoint::open(&folder).is_none(), "octet {at}");
            std::fs::write(path_in(&folder), &whole[..at]).unwrap();
            assert!(Checkpoint::open(&folder).is_none(), "{at} octets");
        }
        std::fs::write(path_in(&folder), &whole).unwrap();
        assert!(Checkpoint::open(&folder).is_some());
    }
}
