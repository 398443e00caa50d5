//! The spool against what it promises: what was put is there, exactly, until it is settled.

use std::collections::BTreeMap;
use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;

use super::*;
use crate::body::Body;
use crate::listing;

fn options(segment_octets: u64) -> Options {
    let journal = JournalOptions { segment_octets, ..JournalOptions::default() };
    Options { journal, ..Options::default() }
}

fn submission(number: u64, recipients: &[&str], body: &str) -> Submission {
    let mailbox = |text: &&str| Recipient::plain(Mailbox::parse(text).unwrap());
    Submission {
        id: QueueId::from_u64(number),
        accepted_at: Timestamp::from_secs(number),
        expires_at: Timestamp::from_secs(number + 1_000),
        due: None,
        envelope: Envelope::plain(ReversePath::Null, recipients.iter().map(mailbox).collect()),
        stream: Stream::default(),
        body: Body::Stored(Bytes::from(body.to_owned())),
    }
}

fn mark(number: u64, recipients: &[u32], attempts: u32) -> Mark {
    Mark {
        id: QueueId::from_u64(number),
        recipients: recipients.iter().copied().map(RecipientIndex).collect(),
        attempts,
        due: Timestamp::from_secs(90_000 + u64::from(attempts)),
        diagnosis: Diagnosis::ours(EnhancedStatus::new(4, 4, 1), Blame::Network, "no answer"),
    }
}

fn drain(queue: &mut mpsc::Receiver<Spooled>, expected: usize) -> Vec<Spooled> {
    (0..expected).map(|_| queue.blocking_recv().unwrap()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn a_hundred_recipients_are_one_body_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, _rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    let names: Vec<_> = (0..100).map(|n| format!("r{n}@d{}.example", n % 3)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let body = "x".repeat(50_000);
    runtime().block_on(spool.put(submission(1, &names, &body))).unwrap();
    assert!(spool.stats().live_octets < 60_000, "{}", spool.stats().live_octets);
    let stored = spool.get(QueueId::from_u64(1)).unwrap();
    assert_eq!(stored.submission, submission(1, &names, &body));
    assert_eq!(stored.unsettled.len(), 100);
}

#[test]
fn a_restart_gives_back_what_was_not_settled_with_its_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    let names = ["a@one.example", "b@one.example", "c@two.example"];
    let runtime = runtime();
    runtime.block_on(spool.put(submission(1, &names, "first"))).unwrap();
    runtime.block_on(spool.put(submission(2, &names, "second"))).unwrap();
    assert_eq!(drain(&mut rx, 2)[0].destinations.len(), 2);
    spool.settle(QueueId::from_u64(1), &[0, 1, 2].map(RecipientIndex));
    spool.mark(mark(2, &[0, 1], 3));
    spool.settle(QueueId::from_u64(2), &[RecipientIndex(1)]);
    runtime.block_on(spool.flush()).unwrap();
    let listed = listing::read(dir.path()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].recipients[0].attempts, 3);
    drop(spool);

    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    let waiting = drain(&mut rx, 1).remove(0);
    assert_eq!(waiting.id, QueueId::from_u64(2));
    let due = Timestamp::from_secs(90_003);
    let seen: Vec<_> =
        waiting.destinations.iter().map(|w| (w.domain.as_str(), w.attempts, w.due)).collect();
    assert_eq!(seen, [("one.example", 3, due), ("two.example", 0, Timestamp::from_secs(2))]);
    let stored = spool.get(QueueId::from_u64(2)).unwrap();
    assert_eq!(stored.unsettled, [RecipientIndex(0), RecipientIndex(2)]);
    assert_eq!(spool.get(QueueId::from_u64(1)), Err(GetError::Unknown));
}

#[test]
fn a_caller_that_stops_waiting_does_not_lose_the_message() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    runtime().block_on(async {
        let put = spool.put(submission(1, &["a@b.example"], "body"));
        // Polled once, so that it is on its way, and dropped.
        let _gone = tokio::time::timeout(Duration::ZERO, put).await;
    });
    assert_eq!(drain(&mut rx, 1)[0].id, QueueId::from_u64(1));
    assert!(spool.contains(QueueId::from_u64(1)));
}

#[test]
fn many_puts_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(10_000);
    let spool = Spool::open(dir.path(), &options(8 << 20), tx).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..64 {
            let spool = spool.clone();
            tasks.spawn(async move {
                for n in 0..20 {
                    spool.put(submission(task * 100 + n, &["a@b.example"], "body")).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
    let stats = spool.stats();
    assert_eq!((stats.waiting, stats.appends), (1_280, 1_280));
    assert!(stats.syncs < 640, "{} syncs", stats.syncs);
    drain(&mut rx, 1_280);
}

#[test]
fn a_damaged_message_goes_to_quarantine_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    for n in 1..=3 {
        let body = format!("body of message {n}");
        runtime().block_on(spool.put(submission(n, &["a@b.example"], &body))).unwrap();
    }
    drain(&mut rx, 3);
    drop(spool);
    let file = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.extension().is_some_and(|e| e == "seg")).unwrap();
    let mut octets = std::fs::read(&file).unwrap();
    let at = octets.windows(17).position(|window| window == b"body of message 2").unwrap();
    octets[at + 5] ^= 1;
    std::fs::write(&file, octets).unwrap();

    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    // A segment left in good order is not read to the last octet at a start, but nothing damaged
    // is ever handed out.
    let waiting: Vec<_> = drain(&mut rx, 3).iter().map(|spooled| spooled.id.as_u64()).collect();
    assert_eq!(waiting, [1, 2, 3]);
    assert!(matches!(spool.get(QueueId::from_u64(2)), Err(GetError::Damaged(_))));
    assert_eq!(spool.get(QueueId::from_u64(2)), Err(GetError::Unknown));
    assert!(spool.get(QueueId::from_u64(1)).is_ok() && spool.get(QueueId::from_u64(3)).is_ok());
    assert_eq!(spool.stats().quarantined, 1);
}

#[test]
fn space_is_given_back_and_an_old_message_outlives_its_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(1_000);
    let spool = Spool::open(dir.path(), &options(16 << 10), tx).unwrap();
    let runtime = runtime();
    let body = "y".repeat(1_000);
    let names = ["old@b.example", "new@b.example"];
    runtime.block_on(spool.put(submission(1, &names, &body))).unwrap();
    spool.mark(mark(1, &[0, 1], 2));
    spool.notice(QueueId::from_u64(1), &[RecipientIndex(0)]);
    spool.settle(QueueId::from_u64(1), &[RecipientIndex(1)]);
    for n in 2..400 {
        runtime.block_on(spool.put(submission(n, &["a@b.example"], &body))).unwrap();
        spool.settle(QueueId::from_u64(n), &[RecipientIndex(0)]);
    }
    drain(&mut rx, 399);
    while spool.stats().segments > 5 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let stored = spool.get(QueueId::from_u64(1)).unwrap();
    assert_eq!(stored.unsettled, [RecipientIndex(0)]);
    drop(spool);
    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(16 << 10), tx).unwrap();
    let waiting = drain(&mut rx, 1);
    assert_eq!((waiting[0].id.as_u64(), waiting[0].destinations[0].attempts), (1, 2));
    assert_eq!(spool.noticed(waiting[0].id), [RecipientIndex(0)], "told, and not told again");
}

#[test]
fn whose_delay_was_told_is_known_after_a_restart_and_what_was_heard_last() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(10);
    let id = QueueId::from_u64(1);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    let names = ["a@b.example", "b@b.example", "c@c.example"];
    runtime().block_on(spool.put(submission(1, &names, "body"))).unwrap();
    drain(&mut rx, 1);
    assert_eq!((spool.noticed(id), spool.heard(id, RecipientIndex(0))), (Vec::new(), None));
    spool.mark(mark(1, &[0, 1], 2));
    spool.notice(id, &[RecipientIndex(1)]);
    spool.mark(mark(1, &[0, 1], 3));
    spool.notice(id, &[RecipientIndex(0), RecipientIndex(1)]);
    spool.notice(QueueId::from_u64(2), &[RecipientIndex(0)]);
    runtime().block_on(spool.flush()).unwrap();
    drop(spool);
    let (tx, mut rx) = mpsc::channel(10);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    drain(&mut rx, 1);
    assert_eq!(spool.noticed(id), [RecipientIndex(1), RecipientIndex(0)]);
    let heard = spool.heard(id, RecipientIndex(1)).map(|diagnosis| diagnosis.text().to_owned());
    assert_eq!(heard.as_deref(), Some("no answer"));
    assert_eq!(spool.heard(id, RecipientIndex(2)), None);
}

fn recovered(spool: &Spool) {
    while spool.stats().recovering {
        std::thread::yield_now();
    }
}

#[test]
fn a_restart_from_a_checkpoint_knows_what_a_restart_from_the_journal_knows() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(1_000);
    let spool = Spool::open(dir.path(), &options(4_096), tx).unwrap();
    let runtime = runtime();
    let names = ["a@one.example", "b@one.example", "c@two.example"];
    for n in 1..=60 {
        runtime.block_on(spool.put(submission(n, &names[..1 + n as usize % 3], "text"))).unwrap();
    }
    drain(&mut rx, 60);
    let change = |from: u64| {
        for n in (from..60).step_by(7) {
            spool.mark(mark(n, &[0], 3 + from as u32));
            spool.notice(QueueId::from_u64(n), &[RecipientIndex(0)]);
            spool.settle(QueueId::from_u64(n + 1), &[RecipientIndex(0)]);
        }
    };
    change(1);
    recovered(&spool);
    spool.checkpoint().unwrap();
    change(2);
    for n in 61..=70 {
        runtime.block_on(spool.put(submission(n, &names[..1], "text"))).unwrap();
    }
    runtime.block_on(spool.flush()).unwrap();
    drain(&mut rx, 10);
    let waiting = spool.stats().waiting as usize;
    drop(spool);
    let open = || {
        let (tx, mut rx) = mpsc::channel(1_000);
        let spool = Spool::open(dir.path(), &options(4_096), tx).unwrap();
        let mut seen = drain(&mut rx, waiting);
        seen.sort_by_key(|spooled| spooled.id);
        recovered(&spool);
        let heard = |s: &Spooled| (spool.noticed(s.id), spool.heard(s.id, RecipientIndex(0)));
        let more: Vec<_> = seen.iter().map(heard).collect();
        assert!(rx.try_recv().is_err(), "each is handed out once");
        assert_eq!(spool.newest(), Some(QueueId::from_u64(70)));
        assert_eq!((spool.stats().waiting as usize, spool.stats().quarantined), (waiting, 0));
        (seen, more)
    };
    let from_checkpoint = open();
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let from_journal = open();
    assert_eq!(from_checkpoint, from_journal);
    assert!(from_journal.1.iter().any(|(_, heard)| heard.is_some()));
}

#[test]
fn a_damaged_checkpoint_is_made_again_and_one_of_another_journal_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let path = dir.path().join("checkpoint");
    let fill = |from: u64| {
        let (tx, _rx) = mpsc::channel(100);
        let spool = Spool::open(dir.path(), &options(4_096), tx).unwrap();
        for n in from..from + 80 {
            runtime.block_on(spool.put(submission(n, &["a@b.example"], "text"))).unwrap();
        }
        recovered(&spool);
        spool.checkpoint().unwrap();
    };
    let count = |wanted: usize| {
        let (tx, mut rx) = mpsc::channel(100);
        let _spool = Spool::open(dir.path(), &options(4_096), tx).unwrap();
        let seen: std::collections::BTreeSet<_> =
            drain(&mut rx, wanted).iter().map(|s| s.id).collect();
        assert_eq!(seen.len(), wanted);
    };
    fill(1);
    let whole = std::fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(333) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        std::fs::write(&path, damaged).unwrap();
        count(80);
    }
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some() {
            std::fs::remove_file(path).unwrap();
        }
    }
    std::fs::write(&path, whole).unwrap();
    let (tx, mut rx) = mpsc::channel(100);
    let spool = Spool::open(dir.path(), &options(1 << 20), tx).unwrap();
    runtime.block_on(spool.put(submission(100, &["a@b.example"], "text"))).unwrap();
    drain(&mut rx, 1);
    drop(spool);
    count(1);
    assert!(!path.exists());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Any order of puts, marks, settlements and restarts leaves what a plain map would.
    #[test]
    fn the_spool_is_a_map_that_survives(
        steps in proptest::collection::vec((0_u8..11, 0_u64..12, 0_u32..3), 1..120)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let mut model: BTreeMap<u64, BTreeMap<u32, u32>> = BTreeMap::new();
        let mut used = 0_u64;
        let names = ["a@a.example", "b@b.example", "c@c.example"];
        let open = || {
            let (tx, rx) = mpsc::channel(10_000);
            (Spool::open(dir.path(), &options(4_096), tx).unwrap(), rx)
        };
        let (mut spool, mut rx) = open();
        for (step, pick, recipient) in steps {
            let known: Vec<u64> = model.keys().copied().collect();
            let id = known.get(pick as usize % known.len().max(1)).copied();
            match (step, id) {
                (0..=3, _) => {
                    used += 1;
                    runtime.block_on(spool.put(submission(used, &names, "z"))).unwrap();
                    model.insert(used, (0..3).map(|r| (r, 0)).collect());
                }
                (4..=5, Some(id)) => {
                    let left = model.get_mut(&id).unwrap();
                    if let Some(attempts) = left.get_mut(&recipient) {
                        *attempts += 1;
                        spool.mark(mark(id, &[recipient], *attempts));
                    }
                }
                (6..=8, Some(id)) => {
                    spool.settle(QueueId::from_u64(id), &[RecipientIndex(recipient)]);
                    let left = model.get_mut(&id).unwrap();
                    left.remove(&recipient);
                    if left.is_empty() {
                        model.remove(&id);
                    }
                }
                (9..=10, _) => {
                    if step == 10 {
                        recovered(&spool);
                        spool.checkpoint().unwrap();
                    }
                    if recipient > 0 {
                        continue;
                    }
                    drop((spool, rx));
                    (spool, rx) = open();
                    let seen: BTreeMap<_, _> = drain(&mut rx, model.len())
                        .into_iter()
                        .map(|s| {
                            let attempts: Vec<_> =
                                s.destinations.iter().map(|waiting| waiting.attempts).collect();
                            (s.id.as_u64(), attempts)
                        })
                        .collect();
                    let wanted: BTreeMap<_, Vec<_>> =
                        model.iter().map(|(id, m)| (*id, m.values().copied().collect())).collect();
                    proptest::prop_assert_eq!(seen, wanted);
                }
                _ => {}
            }
        }
        for (id, left) in &model {
            let stored = spool.get(QueueId::from_u64(*id)).unwrap();
            let unsettled: Vec<_> = stored.unsettled.iter().map(|r| r.0).collect();
            proptest::prop_assert_eq!(unsettled, left.keys().copied().collect::<Vec<_>>());
        }
    }
}
