//! Batches and idempotency keys against what they promise: all of a request, once, whatever ends
//! in the middle of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;

use super::*;
use crate::error::ClaimError;
use crate::hold::Claim;
use crate::hold::Hold;
use crate::keyed::KEY_LIFE;
use crate::keyed::KEY_MESSAGES_MAX;
use crate::keyed::Key;
use crate::keyed::KeyState;

/// Names the folder to the process that is killed.
const FOLDER: &str = "MAILY_TEST_SPOOL";
const NOW: Timestamp = Timestamp::from_secs(1_795_392_378);

/// Syncs cost nothing here, so that hundreds of starts take no time.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn options(segment_octets: u64) -> Options {
    let journal = JournalOptions { segment_octets, ..JournalOptions::default() };
    Options { journal, ..Options::default() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// The first id of the request with this number.
fn first(request: u32) -> QueueId {
    QueueId::from_u64(1 << 22).after(request * 1_000)
}

fn submission(id: QueueId) -> Submission {
    let to = Recipient::plain(Mailbox::parse(&format!("r{id}@b.example")).unwrap());
    Submission {
        id,
        accepted_at: NOW,
        expires_at: NOW + KEY_LIFE,
        due: None,
        envelope: Envelope::plain(ReversePath::Null, vec![to]),
        stream: Stream::default(),
        body: Body::Stored(Bytes::from(format!("message {id}"))),
    }
}

fn request(number: u32, numbers: impl IntoIterator<Item = u32>) -> Vec<Submission> {
    numbers.into_iter().map(|n| submission(first(number).after(n))).collect()
}

fn key(number: u32) -> Key {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&number.to_le_bytes());
    Key { key, digest: [number as u8; 32], at: NOW }
}

/// A spool, and a thread that takes from its queue what it hands out.
struct Place {
    spool: Spool,
    handed: std::thread::JoinHandle<Vec<QueueId>>,
}

impl Place {
    fn open(folder: &Path, segment_octets: u64) -> Self {
        let (queue, mut queued) = mpsc::channel(16);
        let spool = Spool::open(folder, &options(segment_octets), queue).unwrap();
        let handed = std::thread::spawn(move || {
            std::iter::from_fn(|| queued.blocking_recv()).map(|spooled| spooled.id).collect()
        });
        Self { spool, handed }
    }

    /// Closes it; gives what it handed out.
    fn close(self) -> Vec<QueueId> {
        runtime().block_on(self.spool.flush()).unwrap();
        drop(self.spool);
        self.handed.join().unwrap()
    }

    fn recovered(&self) {
        while self.spool.stats().recovering {
            std::thread::yield_now();
        }
    }

    fn claim(&self, key: Key) -> Result<Claim, ClaimError> {
        runtime().block_on(self.spool.claim(key))
    }

    fn put(&self, hold: Option<Hold>, all: Vec<Submission>) -> Result<Vec<bool>, PutError> {
        let results = runtime().block_on(self.spool.put_batch(hold, all))?;
        Ok(results.into_iter().map(|result| result.is_ok()).collect())
    }

    /// Does what is left of a request of so many messages; gives how many that was.
    fn finish(&self, number: u32, count: u32) -> usize {
        let (hold, missing) = match self.claim(key(number)).unwrap() {
            Claim::New(hold) => (hold, (0..count).collect()),
            Claim::Partly(hold, state) => {
                assert_eq!((state.first, state.count), (first(number), count));
                (hold, state.missing)
            }
            Claim::Complete(state) => {
                assert_eq!((state.first, state.count), (first(number), count));
                return 0;
            }
        };
        let taken = self.put(Some(hold), request(number, missing)).unwrap();
        assert!(taken.iter().all(|taken| *taken));
        taken.len()
    }
}

fn complete(number: u32, count: u32) -> KeyState {
    let digest = key(number).digest;
    KeyState { digest, first: first(number), count, missing: Vec::new(), in_progress: false }
}

#[test]
fn a_batch_is_on_disk_with_few_syncs_and_comes_out_of_a_small_queue() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), 8 << 20);
    let taken = place.put(None, request(1, 0..1_000)).unwrap();
    assert_eq!(taken, [true; 1_000]);
    let stats = place.spool.stats();
    assert_eq!((stats.waiting, stats.appends), (1_000, 1_000));
    assert!(stats.syncs < 200, "{} syncs", stats.syncs);
    assert_eq!(place.put(None, Vec::new()).unwrap(), [true; 0]);
    let wanted: Vec<_> = (0..1_000).map(|n| first(1).after(n)).collect();
    assert_eq!(place.close(), wanted);
    let place = Place::open(dir.path(), 8 << 20);
    place.recovered();
    assert_eq!(place.spool.get(wanted[7]).unwrap().submission, submission(wanted[7]));
    assert_eq!(place.close(), wanted);
}

#[test]
fn a_message_without_its_template_is_refused_alone() {
    let dir = folder();
    let place = Place::open(dir.path(), 1 << 20);
    let mut all = request(1, 0..3);
    all[1].body = Body::Template { template: [1; 32], variables: Bytes::new() };
    let results = runtime().block_on(place.spool.put_batch(None, all)).unwrap();
    assert_eq!(results, [Ok(()), Err(PutError::UnknownTemplate), Ok(())]);
}

#[test]
fn a_key_is_held_by_one_then_known_and_told_from_another_request() {
    let dir = folder();
    let place = Place::open(dir.path(), 1 << 20);
    let Ok(Claim::New(hold)) = place.claim(key(1)) else { panic!("it is new") };
    assert_eq!(place.claim(key(1)).unwrap_err(), ClaimError::InProgress);
    assert_eq!(place.spool.keyed(&key(1).key), None);
    drop(hold);
    let Ok(Claim::New(hold)) = place.claim(key(1)) else { panic!("nothing was put") };
    assert_eq!(place.put(Some(hold), request(1, 0..3)).unwrap(), [true; 3]);
    assert_eq!(place.spool.keyed(&key(1).key), Some(complete(1, 3)));
    let other = Key { digest: [99; 32], ..key(1) };
    assert_eq!(place.claim(other).unwrap_err(), ClaimError::OtherRequest);
    assert_eq!(place.finish(1, 3), 0);
    assert_eq!(place.close().len(), 3);
}

#[test]
fn one_key_more_than_may_be_known_is_refused_until_the_time_of_another_is_over() {
    let dir = folder();
    let options = Options { keys_max: 2, ..options(1 << 20) };
    let (queue, _queued) = mpsc::channel(16);
    let spool = Spool::open(dir.path(), &options, queue).unwrap();
    let runtime = runtime();
    for number in 1..=2 {
        let Ok(Claim::New(hold)) = runtime.block_on(spool.claim(key(number))) else { panic!() };
        runtime.block_on(spool.put_batch(Some(hold), request(number, 0..1))).unwrap();
    }
    let refused = runtime.block_on(spool.claim(key(3)));
    assert_eq!(refused.unwrap_err(), ClaimError::TooMany);
    let later = Key { at: NOW + KEY_LIFE, ..key(3) };
    assert!(matches!(runtime.block_on(spool.claim(later)), Ok(Claim::New(_))));
}

#[test]
fn ids_that_are_not_the_keys_are_refused_and_nothing_is_put() {
    let dir = folder();
    let place = Place::open(dir.path(), 1 << 20);
    for numbers in [vec![0, 2], vec![1, 0], vec![0, 0]] {
        let Ok(Claim::New(hold)) = place.claim(key(1)) else { panic!("nothing was put") };
        let refused = place.put(Some(hold), request(1, numbers));
        assert_eq!(refused, Err(PutError::NotOfKey));
    }
    let Ok(Claim::New(hold)) = place.claim(key(1)) else { panic!("nothing was put") };
    let many = (0..=KEY_MESSAGES_MAX as u32).map(|n| submission(first(1).after(n)));
    assert_eq!(place.put(Some(hold), many.collect()), Err(PutError::NotOfKey));
    assert_eq!(place.close(), []);
}

#[test]
fn a_key_outlives_its_mail_its_segments_and_restarts_for_its_time() {
    let dir = folder();
    let oldest = dir.path().join("0000000000000001.seg");
    let place = Place::open(dir.path(), 4_096);
    assert_eq!(place.finish(1, 5), 5);
    (0..5).for_each(|n| place.spool.settle(first(1).after(n), &[RecipientIndex(0)]));
    place.recovered();
    let mut number = 1_000;
    while oldest.exists() {
        number += 1;
        let id = QueueId::from_u64(number << 40);
        runtime().block_on(place.spool.put(submission(id))).unwrap();
        place.spool.settle(id, &[RecipientIndex(0)]);
    }
    assert_eq!(place.spool.keyed(&key(1).key), Some(complete(1, 5)), "moved");
    place.close();
    for checkpoint in [false, true, true] {
        let place = Place::open(dir.path(), 4_096);
        assert_eq!(place.finish(1, 5), 0);
        place.recovered();
        if checkpoint {
            place.spool.checkpoint().unwrap();
        }
        place.close();
    }
    let place = Place::open(dir.path(), 4_096);
    let late = |seconds| Key { at: NOW + KEY_LIFE + Duration::from_secs(seconds), ..key(2) };
    drop(place.claim(Key { at: NOW + KEY_LIFE - Duration::from_secs(1), ..key(2) }).unwrap());
    assert_eq!(place.spool.keyed(&key(1).key), Some(complete(1, 5)));
    drop(place.claim(late(0)).unwrap());
    assert_eq!(place.spool.keyed(&key(1).key), None, "its time is over");
    assert!(matches!(place.claim(key(1)), Ok(Claim::New(_))));
    assert_eq!(place.spool.stats().live_octets, 0);
}

/// The octets of the newest segment with records, and where they end.
fn newest(folder: &Path) -> (std::path::PathBuf, Vec<u8>, usize) {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "seg"));
    let path = segments.max().unwrap();
    let octets = std::fs::read(&path).unwrap();
    let end = octets.iter().rposition(|octet| *octet != 0).unwrap() + 1;
    (path, octets, end)
}

#[test]
fn wherever_a_crash_tears_a_request_another_try_puts_what_is_missing_and_each_is_there_once() {
    let dir = folder();
    let place = Place::open(dir.path(), 1 << 20);
    let before = place.put(None, request(9, 0..2)).unwrap();
    assert_eq!((before.len(), place.finish(1, 6)), (2, 6));
    place.close();
    let (path, whole, end) = newest(dir.path());
    let (mut partly, mut anew) = (0, 0);
    for torn in (400..=end).step_by(11) {
        for file in std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some() {
                std::fs::remove_file(file).unwrap();
            }
        }
        let mut octets = whole.clone();
        octets[torn..].fill(0);
        // As after a kill: the segment was not left in good order.
        octets[32..52].fill(0);
        std::fs::write(&path, octets).unwrap();
        let place = Place::open(dir.path(), 1 << 20);
        match place.finish(1, 6) {
            // Only what was written for the flush is torn.
            0 => assert!(torn > end - 60, "torn at {torn} of {end}"),
            6 => anew += 1,
            _ => partly += 1,
        }
        let again = place.finish(1, 6);
        let handed = place.close();
        let own = handed.iter().filter(|id| id.behind(first(1)).is_some_and(|n| n < 1_000));
        let own: Vec<_> = own.collect();
        let once: BTreeSet<_> = own.iter().collect();
        assert_eq!((again, own.len(), once.len()), (0, 6, 6), "torn at {torn}");
    }
    assert!(partly > 20 && anew > 5, "{partly} partly, {anew} anew");
}

/// Not a test by itself: the process that the next one kills. It does one request after another,
/// what was begun first, and tells of each that was answered.
#[test]
fn a_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let place = Place::open(Path::new(&folder), 256 << 10);
    for number in 0.. {
        place.finish(number, 40 + number % 60);
        println!("told {number}");
    }
}

#[test]
fn kill_9_in_the_middle_of_requests_leaves_each_message_of_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut begun = 0;
    for round in 0..8 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "spool::batches::a_process_that_is_killed", "--nocapture"]);
        let mut child = command.env(FOLDER, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let number = |line: &str| line.split_once("told ").and_then(|(_, n)| n.parse().ok());
        let mut told = 0_u32;
        while told < begun + 5 {
            told = number(&lines.next().unwrap().unwrap()).unwrap_or(told);
        }
        std::thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        told = lines.map_while(Result::ok).filter_map(|line| number(&line)).last().unwrap_or(told);
        child.wait().unwrap();
        begun = told + 1;
        let place = Place::open(dir.path(), 256 << 10);
        place.recovered();
        (0..=told).for_each(|n| assert_eq!(place.finish(n, 40 + n % 60), 0, "{n} was answered"));
        // What was under way when it was killed.
        place.finish(begun, 40 + begun % 60);
        begun += 1;
        let wanted: usize = (0..begun).map(|n| 40 + n as usize % 60).sum();
        let handed = place.close();
        let once: BTreeSet<_> = handed.iter().collect();
        assert_eq!((handed.len(), once.len()), (wanted, wanted), "round {round}");
    }
}

#[test]
fn what_is_to_wait_waits_after_restarts_too_from_journal_and_checkpoint() {
    let dir = folder();
    let due = Timestamp::from_secs(2_000_000_000);
    let names = ["a@one.example", "b@one.example", "c@two.example"];
    let recipients = |count: usize| {
        names[..count].iter().map(|n| Recipient::plain(Mailbox::parse(n).unwrap())).collect()
    };
    let late = |number: u64, count| Submission {
        due: Some(due),
        envelope: Envelope::plain(ReversePath::Null, recipients(count)),
        ..submission(QueueId::from_u64(number))
    };
    let (queue, mut queued) = mpsc::channel(16);
    let spool = Spool::open(dir.path(), &options(1 << 20), queue).unwrap();
    runtime().block_on(spool.put(late(1, 1))).unwrap();
    runtime().block_on(spool.put_batch(None, vec![late(2, 3)])).unwrap();
    let mut wanted = vec![queued.blocking_recv().unwrap(), queued.blocking_recv().unwrap()];
    assert!(wanted.iter().flat_map(|s| &s.destinations).all(|w| (w.attempts, w.due) == (0, due)));
    assert_eq!(spool.hot(QueueId::from_u64(1)), None, "it need not be in memory for so long");
    drop(spool);
    for checkpoint in [false, true, true, false] {
        let (queue, mut queued) = mpsc::channel(16);
        let spool = Spool::open(dir.path(), &options(1 << 20), queue).unwrap();
        while spool.stats().recovering {
            std::thread::yield_now();
        }
        let mut seen = vec![queued.blocking_recv().unwrap(), queued.blocking_recv().unwrap()];
        seen.sort_by_key(|spooled| spooled.id);
        wanted.sort_by_key(|spooled| spooled.id);
        assert_eq!(seen, wanted);
        assert_eq!(spool.get(QueueId::from_u64(2)).unwrap().submission, late(2, 3));
        let ready_at = spool.get(QueueId::from_u64(1)).unwrap().submission.ready_at();
        assert_eq!(ready_at, due, "its age is not counted while it has to wait");
        assert_eq!(spool.heard(QueueId::from_u64(1), RecipientIndex(0)), None);
        if checkpoint {
            spool.checkpoint().unwrap();
        }
    }
    let listed = crate::listing::read(dir.path()).unwrap();
    assert!(listed.iter().flat_map(|one| &one.recipients).all(|one| one.due == due));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Any order of requests, tries again, settlements, other mail that makes segments go,
    /// checkpoints, restarts and the passing of time leaves each request done once.
    #[test]
    fn each_request_is_done_once(
        steps in proptest::collection::vec((0_u8..12, 0_u32..12, 1_u32..9), 1..80)
    ) {
        let dir = folder();
        let mut place = Place::open(dir.path(), 4_096);
        // When each came, how many it has, and which of them are not settled.
        let mut model: BTreeMap<u32, (u32, BTreeSet<QueueId>)> = BTreeMap::new();
        let mut other = 1_u64 << 50;
        for (step, number, count) in steps {
            match step {
                0..=4 => match model.get(&number) {
                    Some((count, _)) => {
                        let state = place.spool.keyed(&key(number).key);
                        if !place.spool.stats().recovering {
                            proptest::prop_assert_eq!(state, Some(complete(number, *count)));
                        }
                        proptest::prop_assert_eq!(place.finish(number, *count), 0);
                    }
                    None => {
                        proptest::prop_assert_eq!(place.finish(number, count), count as usize);
                        let ids = (0..count).map(|n| first(number).after(n));
                        model.insert(number, (count, ids.collect()));
                    }
                },
                5..=6 => {
                    // Only what came out of the queue is settled.
                    place.recovered();
                    if let Some((_, waiting)) = model.get_mut(&number) {
                        for id in waiting.iter().take(count as usize) {
                            place.spool.settle(*id, &[RecipientIndex(0)]);
                        }
                        *waiting = waiting.iter().skip(count as usize).copied().collect();
                    }
                }
                7..=8 => {
                    for _ in 0..count * 4 {
                        other += 1;
                        let id = QueueId::from_u64(other);
                        runtime().block_on(place.spool.put(submission(id))).unwrap();
                        place.spool.settle(id, &[RecipientIndex(0)]);
                    }
                }
                9 => {
                    place.recovered();
                    place.spool.checkpoint().unwrap();
                }
                _ => {
                    place.close();
                    place = Place::open(dir.path(), 4_096);
                }
            }
        }
        for (number, (count, waiting)) in &model {
            proptest::prop_assert_eq!(place.finish(*number, *count), 0);
            place.recovered();
            for n in 0..*count {
                let id = first(*number).after(n);
                proptest::prop_assert_eq!(place.spool.contains(id), waiting.contains(&id));
            }
        }
        place.close();
    }
}
