//! Follows the event log from any place in it, page by page, and waits for more without asking
//! again and again. Only what is on disk and synced is shown, so what was shown stays.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Event;
use maily_core::event::What;
use maily_core::mail::id::QueueId;
use maily_journal::scan::Next;
use maily_journal::scan::Position;
use maily_journal::scan::ScanError;
use maily_journal::scan::Scanner;
use maily_journal::segment::SEGMENT_HEADER_OCTETS;

use crate::cursor::Cursor;
use crate::log;
use crate::recorder::Recorder;

/// Events on one page.
pub const PAGE_EVENTS_MAX: usize = 1_000;
/// Events that are looked at for one page, wanted or not.
pub const PAGE_LOOKS_MAX: usize = 50_000;
/// An acceptance is written within this time of the making of its message's id.
const ACCEPTANCE_SLACK: Duration = Duration::from_secs(120);

/// An event, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place before it: who reads behind that reads this event first.
    pub start: Cursor,
    /// The place behind it.
    pub end: Cursor,
    /// What happened.
    pub event: Event,
}

/// Some events, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Those that were wanted.
    pub events: Vec<Found>,
    /// From where to read on.
    pub next: Cursor,
    /// There is more already: reading on need not wait.
    pub more: bool,
    /// Damaged pieces that were passed over.
    pub damaged: u64,
}

/// The log could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// What comes behind the cursor is older than what is kept, or the cursor is none of this log.
    #[error("what comes behind {0} is not in the log: it was too old, or is of another log")]
    Gone(Cursor),
    /// A segment could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

/// A reader of the log; clones share it.
#[derive(Clone, Debug)]
pub struct Feed {
    recorder: Recorder,
    durable: watch::Receiver<Cursor>,
}

impl Feed {
    /// A reader of what this recorder writes and what was there before it.
    pub fn new(recorder: &Recorder) -> Self {
        Self { recorder: recorder.clone(), durable: recorder.durable() }
    }

    /// Behind the newest event: for who wants only what comes from now on.
    pub fn newest(&self) -> Cursor {
        *self.durable.borrow()
    }

    /// Returns when there are events behind this place.
    pub async fn wait(&self, after: Cursor) {
        // An error means that the log is closed; a feed holds it open.
        let mut durable = self.durable.clone();
        let _closed = durable.wait_for(|end| *end > after).await;
    }

    /// The acceptances of these messages, as far as they are in the log; blocks. Only segments are
    /// read in which one may be: an acceptance is written when its message is taken, and a segment
    /// says when it was begun.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn acceptances(
        &self,
        wanted: &BTreeSet<QueueId>,
    ) -> Result<Vec<(QueueId, Accepted)>, FeedError> {
        let mut found = Vec::new();
        let mut left = wanted.clone();
        for segment in self.segments_of(wanted) {
            if left.is_empty() {
                break;
            }
            let opened = Scanner::open(self.recorder.journal().folder(), segment);
            let mut scanner = match opened {
                Ok(scanner) => scanner,
                // It was dropped by age meanwhile.
                Err(ScanError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            while let Some(meta) = next_meta(&mut scanner)? {
                let about = log::about(&meta).filter(|about| about.is_acceptance);
                if !about.is_some_and(|about| left.contains(&about.id)) {
                    continue;
                }
                if let Some(Event { id, what: What::Accepted(accepted), .. }) = log::decode(&meta) {
                    left.remove(&id);
                    found.push((id, *accepted));
                }
            }
        }
        Ok(found)
    }

    /// The segments that were being written when one of these messages was taken, oldest first.
    fn segments_of(&self, wanted: &BTreeSet<QueueId>) -> Vec<u64> {
        let journal = self.recorder.journal();
        let segments = journal.segments();
        // A segment begins with the time of the newest event before it; one that does not say so
        // may hold anything.
        let begun =
            |segment: &u64| journal.begun_with(*segment).ok().flatten().map(Timestamp::from_micros);
        let begun: Vec<_> = segments.iter().map(begun).collect();
        let within = |place: usize| {
            let from = begun.get(place).copied().flatten().unwrap_or(Timestamp::EPOCH);
            let to = begun.get(place + 1).copied().flatten().unwrap_or(Timestamp::MAX);
            let (from, to) = (from - ACCEPTANCE_SLACK, to + ACCEPTANCE_SLACK);
            wanted.iter().any(|id| from <= id.made_at() && id.made_at() <= to)
        };
        let places = segments.iter().enumerate().filter(|(place, _)| within(*place));
        places.map(|(_, segment)| *segment).collect()
    }

    /// The wanted events behind this place, up to `limit` of them and [`PAGE_EVENTS_MAX`]; blocks.
    /// A page may be empty though there is more, where little is wanted.
    ///
    /// # Errors
    /// The place is not in the log any more, or the log could not be read.
    pub fn read(
        &self,
        after: Cursor,
        limit: usize,
        wanted: impl FnMut(&Event) -> bool,
    ) -> Result<Page, FeedError> {
        let end = self.newest().position();
        let segments = self.recorder.journal().segments();
        let oldest = segments.first().copied().unwrap_or(end.segment);
        let from = match after {
            Cursor::OLDEST => Position { segment: oldest, offset: 0 },
            after => after.position(),
        };
        if from.segment < oldest || from > end {
            return Err(FeedError::Gone(after));
        }
        let limit = limit.min(PAGE_EVENTS_MAX);
        let page = Page { events: Vec::new(), next: Cursor::of(from), more: false, damaged: 0 };
        let mut reading = Reading { page, end, limit, looks: 0, wanted };
        for segment in segments.into_iter().filter(|segment| *segment >= from.segment) {
            let start = if segment == from.segment { from.offset } else { 0 };
            match self.segment(segment, start.max(SEGMENT_HEADER_OCTETS), &mut reading) {
                Ok(true) => {}
                Ok(false) => break,
                // It was dropped by age meanwhile: then it is older than what is kept.
                Err(ScanError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(FeedError::Gone(after));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut page = reading.page;
        if !page.more {
            // Else who waits behind the last event of an earlier run would be woken for nothing.
            page.next = page.next.max(Cursor::of(end));
        }
        Ok(page)
    }

    /// Reads one segment; false if nothing behind it is to be read.
    fn segment<W: FnMut(&Event) -> bool>(
        &self,
        segment: u64,
        offset: u64,
        reading: &mut Reading<W>,
    ) -> Result<bool, ScanError> {
        let mut scanner = Scanner::open_at(self.recorder.journal().folder(), segment, offset)?;
        loop {
            let at = scanner.position();
            if at >= reading.end {
                return Ok(false);
            }
            if reading.is_full() {
                reading.page.more = true;
                return Ok(false);
            }
            match scanner.step()? {
                Next::Record(found) => {
                    let end = found.position.offset + found.octets;
                    let end = Cursor::of(Position { segment, offset: end });
                    reading.see(Cursor::of(found.position), end, log::decode(&found.meta));
                }
                Next::Damage { offset, octets } => {
                    let start = Cursor::of(Position { segment, offset });
                    let end = Cursor::of(Position { segment, offset: offset + octets });
                    reading.see(start, end, None);
                }
                Next::End => return Ok(true),
            }
        }
    }
}

/// The meta part of the next record; damage is passed over.
fn next_meta(scanner: &mut Scanner) -> Result<Option<Bytes>, ScanError> {
    loop {
        match scanner.step()? {
            Next::Record(found) => return Ok(Some(found.meta)),
            Next::Damage { .. } => {}
            Next::End => return Ok(None),
        }
    }
}

struct Reading<W> {
    page: Page,
    end: Position,
    limit: usize,
    looks: usize,
    wanted: W,
}

impl<W: FnMut(&Event) -> bool> Reading<W> {
    const fn is_full(&self) -> bool {
        self.page.events.len() >= self.limit || self.looks >= PAGE_LOOKS_MAX
    }

    fn see(&mut self, start: Cursor, end: Cursor, event: Option<Event>) {
        self.looks += 1;
        self.page.next = end;
        match event {
            Some(event) if (self.wanted)(&event) => {
                self.page.events.push(Found { start, end, event });
            }
            Some(_) => {}
            None => self.page.damaged += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use maily_core::event::Origin;
    use maily_core::mail::envelope::ReversePath;
    use maily_core::mail::envelope::Stream;
    use maily_core::mail::id::QueueIdSource;

    use super::*;

    fn event(number: u64) -> Event {
        let what = What::Removed { reason: "test".into() };
        Event { at: Timestamp::from_secs(number), id: QueueId::from_u64(number), what }
    }

    fn open(folder: &Path) -> (Recorder, Feed) {
        let recorder = Recorder::open(folder, 4_096).unwrap();
        let feed = Feed::new(&recorder);
        (recorder, feed)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// Reads all behind a place in pages of so many; gives the numbers and the last place.
    fn all(feed: &Feed, mut after: Cursor, limit: usize) -> (Vec<u64>, Cursor) {
        let mut numbers = Vec::new();
        loop {
            let page = feed.read(after, limit, |_| true).unwrap();
            assert!(page.events.len() <= limit);
            assert!(page.events.is_sorted_by_key(|found| found.end));
            assert!(page.events.iter().all(|found| found.start < found.end));
            numbers.extend(page.events.iter().map(|found| found.event.id.as_u64()));
            after = page.next;
            if !page.more {
                return (numbers, after);
            }
        }
    }

    #[test]
    fn pages_give_each_event_once_and_cursors_hold_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let mut cursors = Vec::new();
        for start in [0, 200] {
            let (recorder, _feed) = open(dir.path());
            for number in start..start + 200 {
                cursors.push(runtime.block_on(recorder.record_synced(&event(number))).unwrap());
            }
        }
        let (_recorder, feed) = open(dir.path());
        for limit in [1, 7, 1_000] {
            assert_eq!(all(&feed, Cursor::OLDEST, limit).0, (0..400).collect::<Vec<_>>());
        }
        let first = feed.read(Cursor::OLDEST, 400, |_| true).unwrap();
        assert_eq!(first.events.iter().map(|found| found.end).collect::<Vec<_>>(), cursors);
        for found in &first.events {
            let again = feed.read(found.start, 1, |_| true).unwrap();
            assert_eq!(again.events, std::slice::from_ref(found), "it comes first");
        }
        for (number, cursor) in cursors.iter().enumerate().step_by(23) {
            let rest = (number as u64 + 1..400).collect::<Vec<_>>();
            assert_eq!(all(&feed, *cursor, 50).0, rest);
        }
        let (none, end) = all(&feed, cursors[399], 9);
        assert_eq!((none, all(&feed, end, 9).0), (vec![], vec![]));
        assert_eq!(end, feed.newest(), "who waits there is not woken for nothing");
    }

    #[test]
    fn who_waits_is_woken_when_an_event_is_on_disk_and_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, feed) = open(dir.path());
        runtime().block_on(async {
            let start = feed.newest();
            let waited = tokio::time::timeout(Duration::from_millis(50), feed.wait(start)).await;
            assert!(waited.is_err(), "there is nothing");
            let (waiting, after) = (feed.clone(), start);
            let waiter = tokio::spawn(async move {
                waiting.wait(after).await;
                waiting.read(after, 10, |_| true).unwrap()
            });
            tokio::task::yield_now().await;
            recorder.record(&event(7));
            let page = waiter.await.unwrap();
            assert_eq!(
                page.events.into_iter().map(|found| found.event).collect::<Vec<_>>(),
                [event(7)]
            );
            // What is behind the start is there at once.
            feed.wait(start).await;
        });
    }

    #[test]
    fn what_is_not_wanted_is_passed_over_and_limits_hold() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(dir.path(), 1 << 20).unwrap();
        let feed = Feed::new(&recorder);
        let count = PAGE_LOOKS_MAX as u64 + 10;
        (0..count).for_each(|number| recorder.record(&event(number)));
        runtime().block_on(recorder.record_synced(&event(count))).unwrap();
        let page = feed.read(Cursor::OLDEST, usize::MAX, |_| true).unwrap();
        assert_eq!((page.events.len(), page.more), (PAGE_EVENTS_MAX, true));
        let last = |event: &Event| event.id.as_u64() == count;
        let page = feed.read(Cursor::OLDEST, 10, last).unwrap();
        assert_eq!((page.events.len(), page.more), (0, true), "so many are looked at");
        let page = feed.read(page.next, 10, last).unwrap();
        assert_eq!((page.events.len(), page.more), (1, false));
    }

    #[test]
    fn a_place_that_is_older_than_what_is_kept_or_of_another_log_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let (recorder, feed) = open(dir.path());
        let early = runtime.block_on(recorder.record_synced(&event(1_000))).unwrap();
        for number in 1_001..1_500 {
            runtime.block_on(recorder.record_synced(&event(number))).unwrap();
        }
        assert!(recorder.expire(Timestamp::from_secs(1_400)).unwrap() > 0);
        let gone = |after: Cursor| matches!(feed.read(after, 9, |_| true), Err(FeedError::Gone(_)));
        assert!(gone(early));
        let left = all(&feed, Cursor::OLDEST, 100).0;
        assert!(left.ends_with(&[1_498, 1_499]) && !left.contains(&1_000), "{left:?}");
        assert!(gone(Cursor::from_u64(u64::MAX)) && !gone(feed.newest()));
    }

    #[test]
    fn a_damaged_event_is_passed_over_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (recorder, _) = open(dir.path());
        let runtime = runtime();
        let ends: Vec<_> = (0..9)
            .map(|number| runtime.block_on(recorder.record_synced(&event(number))).unwrap())
            .collect();
        drop(recorder);
        let path = dir.path().join("0000000000000001.seg");
        let mut octets = std::fs::read(&path).unwrap();
        octets[ends[4].position().offset as usize - 3] ^= 1;
        std::fs::write(path, octets).unwrap();
        let (_recorder, feed) = open(dir.path());
        let page = feed.read(Cursor::OLDEST, 100, |_| true).unwrap();
        assert_eq!((page.events.len(), page.damaged), (8, 1));
    }

    #[test]
    fn acceptances_are_found_wherever_they_are_and_by_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut ids = QueueIdSource::new(1);
        let mut taken = Vec::new();
        for second in (0..4_000).step_by(10) {
            let at = Timestamp::from_secs(1_795_392_378 + second);
            let (recorder, _) = open(dir.path());
            let id = ids.next(at);
            taken.push(id);
            let accepted = Accepted {
                reverse_path: ReversePath::Null,
                recipients: Vec::new(),
                message_id: id.to_string().into(),
                octets: 1,
                stream: Stream::default(),
                origin: Origin::Report(id),
            };
            recorder.record(&Event { at, id, what: What::Accepted(Box::new(accepted)) });
            let what = What::Removed { reason: "test".into() };
            recorder.record(&Event { at, id, what });
        }
        let (_recorder, feed) = open(dir.path());
        let lost = ids.next(Timestamp::from_secs(1_795_392_378 + 2_000));
        let wanted = BTreeSet::from([taken[3], taken[200], taken[399], lost]);
        let found = feed.acceptances(&wanted).unwrap();
        let seen: Vec<_> =
            found.iter().map(|(id, accepted)| (*id, &*accepted.message_id)).collect();
        let names = [taken[3], taken[200], taken[399]].map(|id| (id, id.to_string()));
        assert_eq!(seen, names.each_ref().map(|(id, name)| (*id, name.as_str())));
        let read = feed.segments_of(&BTreeSet::from([taken[200]])).len();
        assert!((1..100).contains(&read), "{read} of 400 segments were read");
    }
}
