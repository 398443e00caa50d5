//! Reads the event log, also from beside a running daemon.

use std::path::Path;

use maily_core::event::Event;
use maily_journal::scan::Next;
use maily_journal::scan::Scanner;
use maily_journal::segment::Folder;

use crate::recorder::FORMAT;

/// Hands each event in this folder to `see`, oldest first. What is damaged is passed over and
/// counted in the result.
///
/// # Errors
/// The folder or a segment could not be read.
pub fn read(path: &Path, mut see: impl FnMut(Event)) -> Result<u64, String> {
    let folder = Folder::new(path);
    let segments = folder.segments().map_err(|error| format!("{}: {error}", path.display()))?;
    let mut damaged = 0;
    for segment in segments {
        // Dropped by age since the folder was read.
        let Ok(mut scanner) = Scanner::open(&folder, segment) else { continue };
        loop {
            match scanner.step().map_err(|error| error.to_string())? {
                Next::Record(found) => match decode(&found.meta) {
                    Some(event) => see(event),
                    None => damaged += 1,
                },
                Next::Damage { .. } => damaged += 1,
                Next::End => break,
            }
        }
    }
    Ok(damaged)
}

fn decode(meta: &[u8]) -> Option<Event> {
    let (format, rest) = meta.split_first()?;
    if *format != FORMAT {
        return None;
    }
    postcard::from_bytes(rest).ok()
}

#[cfg(test)]
mod tests {
    use maily_core::clock::Timestamp;
    use maily_core::event::What;
    use maily_core::mail::id::QueueId;

    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn what_was_recorded_is_read_in_order_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let event = |number: u64| Event {
            at: Timestamp::from_secs(number),
            id: QueueId::from_u64(number),
            what: What::Removed { reason: "test".into() },
        };
        for half in 0..2 {
            let recorder = Recorder::open(dir.path(), 4_096).unwrap();
            (0..100).for_each(|n| recorder.record(&event(half * 100 + n)));
        }
        let mut seen = Vec::new();
        assert_eq!(read(dir.path(), |event| seen.push(event)), Ok(0));
        assert_eq!(seen, (0..200).map(event).collect::<Vec<_>>());
    }
}
