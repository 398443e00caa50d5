//! Failures that say little when they come once: a full mailbox, one that is closed for now. Who
//! fails so again and again, over days and with nothing delivered in between, is not written to for
//! a while.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_journal::journal::Options;
use maily_journal::table::OpenError;
use maily_journal::table::PutError;
use maily_journal::table::Table;

use crate::suppression::Subject;
use crate::suppression::SuppressError;

/// The format of rows that this version writes.
const FORMAT: u8 = 1;
/// So many of them are enough,
pub const STRIKES: u32 = 4;
/// if the first and the last are so far apart at least: a mailbox that is full on one day is not
/// given up, however often it was tried.
pub const APART_MIN: Duration = Duration::from_secs(3 * 86_400);
/// One that is so old counts no more.
pub const OLD: Duration = Duration::from_secs(60 * 86_400);

/// The failures of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    count: u32,
    first: Timestamp,
    last: Timestamp,
}

/// All that are counted; clones share them.
#[derive(Clone, Debug)]
pub struct Strikes {
    table: Table,
}

impl Strikes {
    /// Opens those in this folder, which is made if missing and holds nothing else; blocks.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        Ok(Self { table: Table::open(folder, options)? })
    }

    /// Counts a failure of a project's recipient at this time; true if that is enough, and then the
    /// count begins anew. What is told twice counts once.
    ///
    /// # Errors
    /// It was not written.
    pub async fn strike(&self, subject: &Subject, at: Timestamp) -> Result<bool, SuppressError> {
        let key = subject.key()?;
        let known = self.table.get(&key).and_then(|row| decode(&row));
        let known = known.filter(|row| at.since(row.last) < OLD);
        if known.is_some_and(|row| at <= row.last) {
            return Ok(false);
        }
        let row = match known {
            Some(Row { count, first, .. }) => Row { count: count + 1, first, last: at },
            None => Row { count: 1, first: at, last: at },
        };
        if row.count >= STRIKES && at.since(row.first) >= APART_MIN {
            self.table.remove(&key).await?;
            return Ok(true);
        }
        self.table.put(&key, encode(&row)?).await?;
        Ok(false)
    }

    /// Something was delivered: what failed before counts no more.
    ///
    /// # Errors
    /// It was not written.
    pub async fn clear(&self, subject: &Subject) -> Result<(), SuppressError> {
        let key = subject.key()?;
        if self.table.contains(&key) {
            self.table.remove(&key).await?;
        }
        Ok(())
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

fn encode(row: &Row) -> Result<Bytes, PutError> {
    let encoded = postcard::to_extend(row, vec![FORMAT]).map(Bytes::from);
    encoded.map_err(|error| PutError::Failed(error.to_string()))
}

fn decode(row: &[u8]) -> Option<Row> {
    let rest = row.strip_prefix(&[FORMAT])?;
    postcard::from_bytes(rest).ok()
}

#[cfg(test)]
mod tests {
    use maily_core::mail::address::Mailbox;

    use super::*;

    const BEGIN: Timestamp = Timestamp::from_secs(1_795_392_378);

    fn subject() -> Subject {
        Subject::new("shop", "", &Mailbox::parse("ann@x.example").unwrap())
    }

    fn day(days: u64) -> Timestamp {
        BEGIN + Duration::from_secs(days * 86_400)
    }

    #[tokio::test]
    async fn only_who_fails_over_days_and_gets_nothing_between_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let strikes = Strikes::open(folder.path(), &Options::small()).unwrap();
        let strike = async |at| strikes.strike(&subject(), at).await.unwrap();
        // All on one day: however many.
        for second in 0..10 {
            assert!(!strike(BEGIN + Duration::from_secs(second)).await);
        }
        assert!(!strike(day(2)).await);
        assert!(!strike(day(2)).await, "told twice");
        drop(strikes);
        // The count is on disk.
        let strikes = Strikes::open(folder.path(), &Options::small()).unwrap();
        let strike = async |at| strikes.strike(&subject(), at).await.unwrap();
        assert!(strike(day(3)).await);
        for (days, enough) in [(4, false), (5, false), (6, false), (7, true)] {
            assert_eq!(strike(day(days)).await, enough, "day {days}");
        }
        for days in [8, 9, 10] {
            assert!(!strike(day(days)).await);
        }
        strikes.clear(&subject()).await.unwrap();
        assert!(strikes.is_empty() && !strike(day(12)).await);
        // What is old counts no more.
        for days in [13, 14] {
            assert!(!strike(day(days)).await);
        }
        assert!(!strike(day(80)).await);
    }
}
