//! What is read back from disk: segments, and the entries and events in their records.

use std::path::Path;
use std::path::PathBuf;

use maily_journal::scan::Next;
use maily_journal::scan::Scanner;
use maily_journal::segment::Folder;

/// The number of the one segment.
const SEGMENT: u64 = 1;

/// Any octets behind a segment's header.
pub fn scan(data: &[u8]) {
    let folder = folder();
    write_segment(&folder, data);
    let Ok(mut scanner) = Scanner::open(&Folder::new(&folder), SEGMENT) else { return };
    let mut octets = 0;
    loop {
        match scanner.step().expect("the file can be read") {
            Next::Record(found) => octets += found.octets,
            Next::Damage { octets: damaged, .. } => octets += damaged,
            Next::End => break,
        }
        assert!(octets <= data.len() as u64, "more was found than there is");
    }
}

/// Records that are whole, with any octets as their meta part, as the spool reads them.
pub fn spool_entry(data: &[u8]) {
    let folder = folder();
    write_segment(&folder, &records(data));
    let listed = maily_spool::listing::read(&folder);
    assert!(listed.is_ok(), "{listed:?}");
}

/// The same, as the event log reads them.
pub fn event(data: &[u8]) {
    let folder = folder();
    write_segment(&folder, &records(data));
    let damaged = maily_events::log::read(&folder, |event| drop(format!("{event:?}")));
    assert!(damaged.is_ok(), "{damaged:?}");
}

/// The meta part of a table's record: what is understood is what was written.
pub fn table_change(data: &[u8]) {
    if let Some(changes) = maily_journal::change::decode(data) {
        assert_eq!(maily_journal::change::encode(&changes), data);
    }
}

/// A folder in memory for this process.
fn folder() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let root = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let folder = root.join(format!("maily-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

fn write_segment(folder: &Path, records: &[u8]) {
    let mut file = b"MAILYJNL".to_vec();
    file.extend(1u32.to_le_bytes());
    file.extend(SEGMENT.to_le_bytes());
    file.extend(crc32c::crc32c(&file).to_le_bytes());
    file.resize(64, 0);
    file.extend_from_slice(records);
    let path = Folder::new(folder).segment_path(SEGMENT);
    std::fs::write(path, file).expect("a file can be written");
}

/// Each piece, which begins with its length, as a record's meta part behind the format's number.
fn records(data: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), data);
    while let Some((&octets, more)) = rest.split_first() {
        let (piece, more) = more.split_at(usize::from(octets).min(more.len()));
        rest = more;
        let meta = [&[1], piece].concat();
        let mut header = b"MJR\x01".to_vec();
        header.extend((meta.len() as u32).to_le_bytes());
        header.extend(0u32.to_le_bytes());
        header.extend(SEGMENT.to_le_bytes());
        header.extend(crc32c::crc32c(&meta).to_le_bytes());
        header.extend(crc32c::crc32c(b"").to_le_bytes());
        header.extend(crc32c::crc32c(&header).to_le_bytes());
        out.extend(header);
        out.extend(meta);
    }
    out
}
