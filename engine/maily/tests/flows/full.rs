//! Reports while the disk has no room: what is owed waits, and whom it tells of stays unsettled.

use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use maily::clock::WallClock;
use maily_core::bounce::classify::Rules;
use maily_core::bounce::fate::Fate;
use maily_core::clock::{Clock, Timestamp};
use maily_core::event::ReportKind;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::{Envelope, Recipient, RecipientIndex, Ret, ReversePath, Stream};
use maily_core::mail::id::{QueueId, QueueIdSource};
use maily_core::mail::outcome::{Diagnosis, EnhancedStatus};
use maily_delivery::counters::Counters;
use maily_delivery::reports::{Owed, Reporting, Writer};
use maily_events::recorder::Recorder;
use maily_journal::journal::{Disk, Options as JournalOptions, RealDisk};
use maily_spool::body::Body;
use maily_spool::spool::{Options, Spool};
use maily_spool::submission::{Spooled, Submission};

use crate::process::wait_for;

/// A disk that can be made full.
#[derive(Default)]
struct Filling {
    full: AtomicBool,
    refused: AtomicU64,
}

impl Disk for Filling {
    fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        RealDisk.write(file, slices, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        RealDisk.sync(file)
    }

    fn allocate(&self, path: &Path, octets: u64) -> io::Result<File> {
        if self.full.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.allocate(path, octets)
    }
}

/// A spool on such a disk with one message in it, and the task that writes reports.
struct Place {
    disk: Arc<Filling>,
    spool: Spool,
    counters: Arc<Counters>,
    queue: mpsc::Receiver<Spooled>,
    owed: mpsc::Sender<Owed>,
    writing: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

const ID: QueueId = QueueId::from_u64(1);

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Filling::default());
        let journal = JournalOptions {
            segment_octets: 64 << 10,
            disk: Arc::clone(&disk) as Arc<dyn Disk>,
            ..JournalOptions::default()
        };
        let (queue, mut queued) = mpsc::channel(100);
        let options = Options { journal, ..Options::default() };
        let spool = Spool::open(&folder.path().join("spool"), &options, queue).unwrap();
        let events = Recorder::open(&folder.path().join("events"), 1 << 20).unwrap();
        spool.put(submission()).await.unwrap();
        queued.recv().await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(WallClock::start());
        let counters = Arc::new(Counters::default());
        let reporting = Reporting {
            hostname: "mail.maily.example".into(),
            delay_notice_after: Duration::from_secs(3_600),
            expire_after: Duration::from_secs(7_200),
            ids: Arc::new(Mutex::new(QueueIdSource::new(1))),
            rules: Arc::new(Rules::shipped().unwrap()),
        };
        let (spool_too, counters_too) = (spool.clone(), Arc::clone(&counters));
        let (_decided, reporting) = tokio::sync::watch::channel(reporting);
        let writer = Writer { spool: spool_too, events, clock, counters: counters_too, reporting };
        let (owed, owing) = mpsc::channel(10);
        let writing = tokio::spawn(writer.run(owing));
        Self { disk, spool, counters, queue: queued, owed, writing, _folder: folder }
    }

    fn fill(&self, full: bool) {
        self.disk.full.store(full, Ordering::SeqCst);
    }

    async fn owe(&self, kind: ReportKind) {
        let fate = Fate {
            recipient: RecipientIndex(0),
            kind,
            expired: false,
            diagnosis: Diagnosis::reply(550, EnhancedStatus::new(5, 1, 1), "no such user"),
            remote: None,
            at: Timestamp::from_secs(2),
        };
        self.owed.send(Owed { id: ID, fates: vec![fate], between_attempts: false }).await.unwrap();
    }

    fn reported(&self) -> u64 {
        self.counters.reported.load(Ordering::SeqCst)
    }
}

/// Large enough that a report with it does not fit beside it into a segment.
fn submission() -> Submission {
    let mailbox = |text| Mailbox::parse(text).unwrap();
    let from = ReversePath::Mailbox(mailbox("sender@home.example"));
    let to = vec![Recipient::plain(mailbox("gone@hop.example"))];
    Submission {
        id: ID,
        accepted_at: Timestamp::from_secs(1),
        expires_at: Timestamp::MAX,
        due: None,
        envelope: Envelope { ret: Some(Ret::Full), ..Envelope::plain(from, to) },
        stream: Stream::default(),
        body: Body::Stored(Bytes::from("Subject: x\r\n\r\n".to_owned() + &*"x\r\n".repeat(12_000))),
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_report_for_which_there_is_no_room_is_written_when_there_is() {
    run(async {
        let mut place = Place::new().await;
        place.fill(true);
        place.owe(ReportKind::Failed).await;
        wait_for("a refusal", || place.disk.refused.load(Ordering::SeqCst) > 0);
        assert!(place.spool.contains(ID), "unsettled as long as nobody was told");
        assert_eq!(place.reported(), 0);
        place.fill(false);
        let report = place.queue.recv().await.unwrap();
        let stored = place.spool.get(report.id).unwrap();
        assert_eq!(stored.submission.envelope.reverse_path, ReversePath::Null);
        wait_for("the settlement", || !place.spool.contains(ID));
        assert_eq!(place.reported(), 1);
        // The same again, as after a crash, has nobody left to tell of.
        place.owe(ReportKind::Failed).await;
        drop(place.owed);
        place.writing.await.unwrap();
        assert_eq!(place.counters.reported.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn at_the_end_what_could_not_be_written_stays_unsettled() {
    run(async {
        let place = Place::new().await;
        place.fill(true);
        place.owe(ReportKind::Failed).await;
        drop(place.owed);
        place.writing.await.unwrap();
        assert!(place.spool.contains(ID), "tried and reported after the next start");
    });
}

#[test]
fn a_success_that_cannot_be_told_is_not_delivered_twice_for_it() {
    run(async {
        let place = Place::new().await;
        place.fill(true);
        // Its report holds no more than the header, so the segment is filled up first.
        let filler = "Subject: x\r\n\r\n".to_owned() + &*"x\r\n".repeat(8_900);
        let body = Body::Stored(Bytes::from(filler));
        let mut more = 2;
        while place.disk.refused.load(Ordering::SeqCst) == 0 {
            let id = QueueId::from_u64(more);
            let body = if more == 2 { body.clone() } else { Body::Stored(Bytes::new()) };
            // The last one is refused: that is what it is for.
            let _refused = place.spool.put(Submission { id, body, ..submission() }).await;
            more += 1;
        }
        place.owe(ReportKind::Relayed).await;
        wait_for("the settlement", || !place.spool.contains(ID));
        assert_eq!(place.counters.reports_lost.load(Ordering::SeqCst), 1);
        assert_eq!(place.reported(), 0);
    });
}
