//! Reads the event log, also from beside a running daemon.

use std::fs::File;
use std::path::Path;

use maily_core::clock::Timestamp;
use maily_core::event::Event;
use maily_core::mail::id::QueueId;
use maily_journal::scan::Next;
use maily_journal::scan::Scanner;
use maily_journal::segment::Folder;
use maily_journal::segment::read_stamp;

use crate::recorder::FORMAT;

/// Hands each event in this folder to `see`, oldest first. What is damaged is passed over and
/// counted in the result.
///
/// # Errors
/// The folder or a segment could not be read.
pub fn read(path: &Path, see: impl FnMut(Event)) -> Result<u64, String> {
    search(path, Timestamp::EPOCH, |_| true, see)
}

/// What an event is about, before all of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Which message.
    pub id: QueueId,
    /// It is the message's acceptance.
    pub is_acceptance: bool,
}

/// Like [`read`], but only what is `wanted` is read in full, and segments are passed over in which
/// all is older than `since`. Holds one event at a time, however large the log.
///
/// # Errors
/// The folder or a segment could not be read.
pub fn search(
    path: &Path,
    since: Timestamp,
    mut wanted: impl FnMut(About) -> bool,
    mut see: impl FnMut(Event),
) -> Result<u64, String> {
    let folder = Folder::new(path);
    let segments = folder.segments().map_err(|error| format!("{}: {error}", path.display()))?;
    let mut damaged = 0;
    for segment in from(&folder, &segments, since) {
        // Dropped by age since the folder was read.
        let Ok(mut scanner) = Scanner::open(&folder, *segment) else { continue };
        loop {
            match scanner.step().map_err(|error| error.to_string())? {
                Next::Record(found) => match about(&found.meta) {
                    Some(about) if !wanted(about) => {}
                    Some(_) => match decode(&found.meta) {
                        Some(event) => see(event),
                        None => damaged += 1,
                    },
                    None => damaged += 1,
                },
                Next::Damage { .. } => damaged += 1,
                Next::End => break,
            }
        }
    }
    Ok(damaged)
}

/// The segments without those in which all is older than `since`: each says with the time of which
/// event before it, it was begun.
fn from<'a>(folder: &Folder, segments: &'a [u64], since: Timestamp) -> &'a [u64] {
    let begun_before = |segment: u64| {
        let stamp =
            File::open(folder.segment_path(segment)).and_then(|file| read_stamp(&file, segment));
        matches!(stamp, Ok(Some(before)) if before < since.as_micros())
    };
    let first = segments.iter().rposition(|segment| begun_before(*segment)).unwrap_or_default();
    segments.get(first..).unwrap_or_default()
}

/// An event begins with its time, its message and its kind.
pub(crate) fn about(meta: &[u8]) -> Option<About> {
    let (format, rest) = meta.split_first()?;
    let ((_, id, kind), _) = postcard::take_from_bytes::<(Timestamp, QueueId, u32)>(rest).ok()?;
    (*format == FORMAT).then_some(About { id, is_acceptance: kind == 0 })
}

pub(crate) fn decode(meta: &[u8]) -> Option<Event> {
    let (format, rest) = meta.split_first()?;
    if *format != FORMAT {
        return None;
    }
    postcard::from_bytes(rest).ok()
}

#[cfg(test)]
mod tests {
    use maily_core::event::Accepted;
    use maily_core::event::Hit;
    use maily_core::event::Origin;
    use maily_core::event::SuppressionReason;
    use maily_core::event::Tagged;
    use maily_core::event::Unsubscribed;
    use maily_core::event::UnsubscribedBy;
    use maily_core::event::Verdict;
    use maily_core::event::What;
    use maily_core::mail::address::Mailbox;
    use maily_core::mail::envelope::RecipientIndex;
    use maily_core::mail::envelope::ReversePath;
    use maily_core::mail::envelope::Stream;

    use super::*;
    use crate::recorder::Recorder;

    fn event(number: u64) -> Event {
        Event {
            at: Timestamp::from_secs(number),
            id: QueueId::from_u64(number),
            what: What::Removed { reason: "test".into() },
        }
    }

    /// Events of these seconds, a hundred to a segment or two.
    fn fill(folder: &Path, seconds: std::ops::Range<u64>) -> Recorder {
        for start in seconds.clone().step_by(100) {
            let recorder = Recorder::open(folder, 4_096).unwrap();
            (start..seconds.end.min(start + 100)).for_each(|n| recorder.record(&event(n)));
        }
        Recorder::open(folder, 4_096).unwrap()
    }

    fn numbers(folder: &Path) -> Vec<u64> {
        let mut seen = Vec::new();
        assert_eq!(read(folder, |event| seen.push(event.id.as_u64())), Ok(0));
        seen
    }

    #[test]
    fn what_was_recorded_is_read_in_order_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        for half in 0..2 {
            drop(fill(dir.path(), half * 100..half * 100 + 100));
        }
        let mut seen = Vec::new();
        assert_eq!(read(dir.path(), |event| seen.push(event)), Ok(0));
        assert_eq!(seen, (0..200).map(event).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_older_than_the_limit_goes_by_whole_segments_and_nothing_younger_goes() {
        let dir = tempfile::tempdir().unwrap();
        drop(fill(dir.path(), 1_000..1_600));
        let recorder = fill(dir.path(), 1_600..2_000);
        assert_eq!(recorder.expire(Timestamp::from_secs(1_000)).unwrap(), 0);
        assert!(recorder.expire(Timestamp::from_secs(1_500)).unwrap() > 0);
        let left = numbers(dir.path());
        assert!(left.contains(&1_500) && left.contains(&1_999), "{left:?}");
        assert!(!left.contains(&1_000));
        recorder.expire(Timestamp::MAX).unwrap();
        let left = numbers(dir.path());
        assert!(!left.contains(&1_500), "{left:?}");
        drop(recorder);
        assert_eq!(numbers(dir.path()), left, "what is being written stays");
    }

    #[test]
    fn a_search_reads_only_from_the_time_asked_for_and_only_what_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = fill(dir.path(), 1_000..2_000);
        let accepted = Accepted {
            reverse_path: ReversePath::Null,
            recipients: Vec::new(),
            message_id: "a@b".into(),
            octets: 1,
            stream: Stream::default(),
            origin: Origin::Report(QueueId::from_u64(1)),
        };
        let what = What::Accepted(Box::new(accepted));
        recorder.record(&Event { what, ..event(1_950) });
        drop(recorder);
        let (mut asked, mut acceptances, mut seen) = (0, 0, Vec::new());
        let wanted = |about: About| {
            asked += 1;
            acceptances += u32::from(about.is_acceptance);
            about.id == QueueId::from_u64(1_950)
        };
        let since = Timestamp::from_secs(1_900);
        assert_eq!(search(dir.path(), since, wanted, |event| seen.push(event)), Ok(0));
        assert_eq!((seen.len(), acceptances), (2, 1));
        assert!((101..500).contains(&asked), "{asked} of 1,001 events were looked at");
    }

    /// The events in a seed of the fuzzers, each behind its length: what an earlier version wrote.
    fn written_before(seed: &[u8]) -> Vec<Event> {
        let (mut events, mut rest) = (Vec::new(), seed);
        while let Some((&octets, more)) = rest.split_first() {
            let (piece, more) = more.split_at(usize::from(octets));
            events.push(decode(&[&[FORMAT], piece].concat()).unwrap());
            rest = more;
        }
        events
    }

    #[test]
    fn what_recipients_did_is_read_as_it_was_written_by_the_first_version_that_told_it() {
        let events = written_before(include_bytes!("../../../fuzz/seeds/event/8"));
        let [opened, clicked, unsubscribed, suppressed] = &*events else { panic!("{events:?}") };
        let hit = Hit {
            recipient: RecipientIndex(0),
            method: "GET".into(),
            user_agent: "Mozilla/5.0".into(),
            network: [192, 0, 2, 0].into(),
            age: 60,
            before_delivered: false,
            verdict: Verdict::Machine,
            reasons: vec!["early".into()],
        };
        assert_eq!(opened.what, What::Opened(Box::new(hit.clone())));
        let url = "https://example.net/".into();
        assert_eq!(clicked.what, What::Clicked { hit: Box::new(hit), link: 3, url });
        let told = Unsubscribed {
            project: "shop".into(),
            list: "news".into(),
            mailbox: Mailbox::parse("ann@example.net").unwrap(),
            how: UnsubscribedBy::OneClick,
        };
        assert_eq!(unsubscribed.what, What::Unsubscribed(Box::new(told)));
        let (recipient, reason) = (RecipientIndex(1), SuppressionReason::Bounced);
        assert_eq!(suppressed.what, What::Suppressed { recipient, reason });
        assert!(events.iter().all(|event| event.id == QueueId::from_u64(77)));
    }

    #[test]
    fn what_plugins_said_is_read_as_it_was_written_by_the_first_version_that_told_it() {
        let events = written_before(include_bytes!("../../../fuzz/seeds/event/9"));
        let told = Tagged {
            project: "shop".into(),
            mailbox: Mailbox::parse("ann@example.net").unwrap(),
            about: "message.bounced".into(),
            tags: vec!["doubted".into()],
            suppress: Some(false),
            by: vec!["doubter@1.0.0".into()],
        };
        assert_eq!(events[0].what, What::Tagged(Box::new(told)));
    }
}
