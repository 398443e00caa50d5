//! The file that says how far somebody has come who follows the event log.

use std::path::Path;

use crate::event_id::EventId;

/// The place that a file holds, if it holds one.
pub(crate) fn read(path: &Path) -> Option<EventId> {
    EventId::parse(std::fs::read_to_string(path).ok()?.trim())
}

/// Whole or not at all. It need not be synced: what is told again does no harm.
pub(crate) fn write(path: &Path, place: EventId) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, place.to_string())?;
    std::fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use maily_events::cursor::Cursor;

    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("place");
        assert_eq!(read(&path), None);
        for place in [EventId::of(Cursor::from_u64(700), 3), EventId::before(Cursor::from_u64(9))] {
            write(&path, place).unwrap();
            assert_eq!(read(&path), Some(place));
        }
        std::fs::write(&path, "7x").unwrap();
        assert_eq!(read(&path), None);
    }
}
