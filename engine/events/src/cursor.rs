//! A place between two events of the log, as a number that readers keep: it holds over restarts.

use std::fmt;
use std::str::FromStr;

use maily_journal::scan::Position;

/// The octets of a segment that a cursor can tell apart: more than a segment has.
const OFFSET_BITS: u32 = 32;

/// A place between two events. Cursors rise as the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(u64);

impl Cursor {
    /// Before the oldest event that there is.
    pub const OLDEST: Self = Self(0);

    /// The cursor with this number, as [`Cursor::as_u64`] gave it.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The cursor as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) fn of(position: Position) -> Self {
        // A journal keeps offsets within 32 bits, and lives to see no more segments.
        let narrow = |wide: u64| u64::from(u32::try_from(wide).unwrap_or(u32::MAX));
        Self(narrow(position.segment) << OFFSET_BITS | narrow(position.offset))
    }

    pub(crate) const fn position(self) -> Position {
        let offset = self.0 & ((1 << OFFSET_BITS) - 1);
        Position { segment: self.0 >> OFFSET_BITS, offset }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_rise_like_positions_and_are_read_back() {
        let places = [(1, 64), (1, 65), (2, 0), (9, u64::from(u32::MAX))];
        let cursors = places.map(|(segment, offset)| Cursor::of(Position { segment, offset }));
        assert!(cursors.is_sorted_by(|one, next| one < next) && Cursor::OLDEST < cursors[0]);
        for (cursor, (segment, offset)) in cursors.into_iter().zip(places) {
            assert_eq!(cursor.position(), Position { segment, offset });
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}
