//! Segment files: their names, their header, and the folder they live in.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, SeekFrom};

/// The first octets of each segment.
const MAGIC: [u8; 8] = *b"MAILYJNL";
/// The format that this version writes. It reads no newer one.
pub const FORMAT: u32 = 1;
/// Octets before the first record.
pub const SEGMENT_HEADER_OCTETS: u64 = 64;

/// Where a segment says that it was left in good order, and where it then ends.
const SEAL_OFFSET: u64 = 32;
/// How it says so.
const SEAL: [u8; 8] = *b"IN ORDER";
/// Where the segment keeps the owner's stamp.
const STAMP_OFFSET: u64 = 52;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderState {
    /// It belongs to this segment: records may follow.
    Ready,
    /// The file was taken into use but its header never reached the disk: nothing in it counts.
    Empty,
    /// A newer version of Maily wrote it.
    Newer(u32),
}

/// The folder of one journal.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// This folder, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Makes the folder and its `quarantine` if they are missing.
    pub fn create(&self) -> io::Result<()> {
        std::fs::create_dir_all(self.path.join("quarantine"))?;
        self.sync()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Octets that an ordinary user may still write on the folder's file system.
    pub fn free_octets(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// The numbers of all segments, rising.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
            if let Some(number) = number.and_then(|text| u64::from_str_radix(text, 16).ok()) {
                found.push(number);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The spare files: allocated, no longer or not yet a segment.
    pub fn spares(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "spare") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The highest number that any file here has had. A new segment takes a higher one, so that
    /// what a reused file still holds can never count again.
    pub fn highest(&self) -> io::Result<u64> {
        let spares = self.spares()?;
        let numbers = spares.iter().filter_map(|path| path.file_stem()?.to_str());
        let spare = numbers.filter_map(|text| u64::from_str_radix(text, 16).ok()).max();
        Ok(self.segments()?.last().copied().max(spare).unwrap_or(0))
    }

    /// The file of a segment.
    pub fn segment_path(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:016x}.seg"))
    }

    /// The file that a dropped segment becomes.
    pub fn spare_path(&self, segment: u64) -> PathBuf {
        self.path.join(format!("{segment:016x}.spare"))
    }

    /// Makes names durable: a file that was made, renamed or removed stays so after a power cut.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Keeps octets that could not be read, so that nothing is deleted unseen. False if they were
    /// kept before.
    pub fn quarantine(&self, segment: u64, offset: u64, octets: &[u8]) -> io::Result<bool> {
        let folder = self.path.join("quarantine");
        let path = folder.join(format!("{segment:016x}-{offset:08x}.bad"));
        if path.exists() {
            return Ok(false);
        }
        std::fs::write(&path, octets)?;
        File::open(&path)?.sync_all()?;
        File::open(&folder)?.sync_all()?;
        Ok(true)
    }

    /// Damaged pieces kept so far.
    pub fn quarantined(&self) -> io::Result<u64> {
        Ok(std::fs::read_dir(self.path.join("quarantine"))?.count() as u64)
    }
}

/// Allocates a file of this size without writing it.
pub fn allocate(path: &Path, octets: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, octets) {
        Ok(()) => Ok(file),
        // A file system without fallocate: the file grows as it is written.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(file),
        Err(error) => {
            drop(file);
            std::fs::remove_file(path)?;
            Err(error.into())
        }
    }
}

/// Gives back what was allocated for this file from here on and never written. Its length stays,
/// and so does every octet that a reader sees: where nothing was written there are zeros before and
/// after. So a process that is started again and again, and takes a new segment each time, does not
/// fill the disk.
pub fn trim(file: &File, from: u64) -> io::Result<()> {
    let octets = file.metadata()?.len();
    let unwritten = match rustix::fs::seek(file, SeekFrom::Hole(from)) {
        Ok(hole) => hole,
        // No file system of ours: it is left as it is.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NXIO) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match rustix::fs::seek(file, SeekFrom::Data(unwritten)) {
        Err(rustix::io::Errno::NXIO) if unwritten < octets => {}
        // All of it was written, or octets of an earlier life lie behind it.
        Ok(_) | Err(rustix::io::Errno::NXIO) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match rustix::fs::fallocate(file, flags, unwritten, octets - unwritten) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Allocates again what was trimmed.
pub fn fill(file: &File) -> io::Result<()> {
    let octets = file.metadata()?.len();
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, octets) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A segment's header. The stamp is the owner's: a number that never falls.
pub fn header(segment: u64, stamp: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(SEGMENT_HEADER_OCTETS as usize);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&FORMAT.to_le_bytes());
    header.extend_from_slice(&segment.to_le_bytes());
    let crc = crc32c::crc32c(&header);
    header.extend_from_slice(&crc.to_le_bytes());
    header.resize(STAMP_OFFSET as usize, 0);
    header.extend_from_slice(&proved(segment, stamp));
    header
}

/// A number with a checksum that only holds in this segment.
fn proved(segment: u64, number: u64) -> [u8; 12] {
    let [segment, number] = [segment, number].map(u64::to_le_bytes);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&segment), &number).to_le_bytes();
    let mut octets = [0; 12];
    octets.iter_mut().zip(number.into_iter().chain(crc)).for_each(|(place, octet)| *place = octet);
    octets
}

/// The number that [`proved`] made; none if these are other octets.
fn number_in(segment: u64, octets: &[u8]) -> Option<u64> {
    let number = octets.first_chunk::<8>().map(|number| u64::from_le_bytes(*number))?;
    (proved(segment, number) == *octets).then_some(number)
}

/// The stamp that the segment was begun with; none if it is damaged.
pub fn read_stamp(file: &File, segment: u64) -> io::Result<Option<u64>> {
    let mut octets = [0; 12];
    match file.read_exact_at(&mut octets, STAMP_OFFSET) {
        Ok(()) => Ok(number_in(segment, &octets)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a segment's header.
pub fn read_header(file: &File, segment: u64) -> io::Result<HeaderState> {
    let mut header = [0; 24];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Ok(HeaderState::Empty);
        }
        Err(error) => return Err(error),
    }
    let Some((head, crc)) = header.split_last_chunk::<4>() else { return Ok(HeaderState::Empty) };
    let sound = head.starts_with(&MAGIC) && crc32c::crc32c(head) == u32::from_le_bytes(*crc);
    let Some(fields) = head.get(8..).filter(|_| sound) else { return Ok(HeaderState::Empty) };
    let Some((format, number)) = fields.split_first_chunk::<4>() else {
        return Ok(HeaderState::Empty);
    };
    let format = u32::from_le_bytes(*format);
    if format > FORMAT {
        return Ok(HeaderState::Newer(format));
    }
    let own = number == segment.to_le_bytes();
    Ok(if own { HeaderState::Ready } else { HeaderState::Empty })
}

/// Notes that the writer left this segment in good order: all up to `end` was synced. A segment
/// without the note may hold a record whose body is torn.
pub fn seal(file: &File, segment: u64, end: u64) -> io::Result<()> {
    let note = [SEAL.as_slice(), &proved(segment, end)].concat();
    file.write_all_at(&note, SEAL_OFFSET)
}

/// Where the segment ends, if it was left in good order.
pub fn sealed_end(file: &File, segment: u64) -> io::Result<Option<u64>> {
    let mut found = [0; SEAL.len() + 12];
    match file.read_exact_at(&mut found, SEAL_OFFSET) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(found.strip_prefix(&SEAL).and_then(|end| number_in(segment, end)))
}
