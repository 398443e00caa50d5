//! The id of an event, which is a cursor, too: where its record begins in the log, and which of the
//! record's events it is. A record tells of one event for each recipient. It is the same whenever
//! it is read, also after a restart.

use std::fmt;

use maily_events::cursor::Cursor;

/// A place behind an event; or, without a number, before a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// Where the record begins.
    pub start: Cursor,
    /// Which of its events, from 0.
    pub number: Option<u32>,
}

impl EventId {
    /// Before the oldest event that there is.
    pub const OLDEST: Self = Self::before(Cursor::OLDEST);

    /// Before the record that begins here.
    pub const fn before(start: Cursor) -> Self {
        Self { start, number: None }
    }

    /// This event of the record that begins here.
    pub const fn of(start: Cursor, number: u32) -> Self {
        Self { start, number: Some(number) }
    }

    /// Reads it as it was written, and in no other form.
    pub fn parse(text: &str) -> Option<Self> {
        let (start, number) = match text.split_once('-') {
            Some((start, number)) => (start, Some(number.parse().ok()?)),
            None => (text, None),
        };
        let id = Self { start: start.parse().ok()?, number };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "{}-{number}", self.start),
            None => self.start.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_in_no_other_form() {
        let start = Cursor::from_u64(1 << 40 | 64);
        for id in [EventId::OLDEST, EventId::before(start), EventId::of(start, 0)] {
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        for bad in ["", "-", "1-", "-1", "+1", "01", "1-01", "1-2-3", "1-4294967296", "x", "1 "] {
            assert_eq!(EventId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_rise_as_the_log_is_written() {
        let (one, next) = (Cursor::from_u64(100), Cursor::from_u64(200));
        let ids = [EventId::before(one), EventId::of(one, 0), EventId::of(one, 1)];
        assert!(ids.is_sorted_by(|a, b| a < b) && ids[2] < EventId::before(next));
    }
}
