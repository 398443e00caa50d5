//! How long a start takes, and how much memory it needs, with millions of messages waiting.
//!
//! `make bench-restart MESSAGES=5000000` fills a spool, then opens it again in processes of their
//! own: after an orderly end, and as a kill leaves it. The scheduler is filled beside it, as the
//! dispatcher does. Prints one JSON object a run.
#![expect(clippy::unwrap_used, reason = "a bench that cannot do its part must fail")]
#![expect(clippy::print_stdout, reason = "the figures are what the bench is for")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::{Class, Envelope, Recipient, RecipientIndex, ReversePath, Stream};
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::{Blame, Diagnosis, EnhancedStatus};
use maily_core::queue::action::NewEntry;
use maily_core::queue::policy::Policy;
use maily_core::queue::scheduler::Scheduler;
use maily_spool::body::Body;
use maily_spool::spool::{Options, Spool};
use maily_spool::submission::{Mark, Spooled, Submission};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Domains that the messages are for.
const DOMAINS: u64 = 10_000;
/// One message in so many was tried once and waits for its next time.
const TRIED: u64 = 2;
/// The first message's id.
const FIRST: u64 = 1_000_000_000_000;
/// What comes after a restart is numbered from here.
const NEW: u64 = 9_000_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let asked = std::env::var("MAILY_MESSAGES").ok().map_or(100_000, |n| n.parse().unwrap());
    if let [how, folder] = arguments.as_slice() {
        let folder = Path::new(folder);
        return if how == "fill" { fill(folder, asked) } else { open(how, folder, asked) };
    }
    let folder = std::env::var_os("MAILY_FOLDER").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    for how in ["fill", "killed", "orderly", "again"] {
        let this = std::env::current_exe().unwrap();
        let status = Command::new(this).arg(how).arg(folder.path()).status().unwrap();
        assert!(status.success());
    }
}

fn submission(number: u64) -> Submission {
    let to = Mailbox::parse(&format!("r{number}@d{}.example", number % DOMAINS)).unwrap();
    let from = Mailbox::parse("news@sender.example").unwrap();
    let campaign = format!("c{}", number % 10).into();
    let octets = format!("Subject: {number}\r\nMessage-ID: <{number}@bench>\r\n\r\nA line.\r\n");
    Submission {
        id: QueueId::from_u64(FIRST + number),
        accepted_at: Timestamp::from_secs(begins()),
        expires_at: Timestamp::from_secs(begins() + 400_000),
        due: None,
        envelope: Envelope::plain(ReversePath::Mailbox(from), vec![Recipient::plain(to)]),
        stream: Stream { class: Class::Bulk, tenant: "shop".into(), campaign },
        body: Body::Stored(Bytes::from(octets)),
    }
}

/// When the messages came, in seconds since 1970; a daemon that is to find them waiting wants a
/// time of today: `MAILY_BEGINS=$(date +%s) MAILY_MESSAGES=5000000 … fill FOLDER`.
fn begins() -> u64 {
    std::env::var("MAILY_BEGINS").ok().map_or(1_795_000_000, |text| text.parse().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn fill(folder: &Path, messages: u64) {
    let started = Instant::now();
    let (tx, mut rx) = mpsc::channel(100_000);
    let spool = Spool::open(folder, &Options::default(), tx).unwrap();
    let marking = spool.clone();
    let drain = std::thread::spawn(move || {
        for _ in 0..messages {
            let spooled = rx.blocking_recv().unwrap();
            if spooled.id.as_u64().is_multiple_of(TRIED) {
                marking.mark(Mark {
                    id: spooled.id,
                    recipients: vec![RecipientIndex(0)],
                    attempts: 1,
                    due: Timestamp::from_secs(begins() + 100_000),
                    diagnosis: Diagnosis::ours(
                        EnhancedStatus::new(4, 4, 1),
                        Blame::Network,
                        "no answer",
                    ),
                });
            }
        }
    });
    let runtime = runtime();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..4_000 {
            let spool = spool.clone();
            tasks.spawn(async move {
                for number in (task + 1..=messages).step_by(4_000) {
                    spool.put(submission(number)).await.unwrap();
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    drain.join().unwrap();
    runtime.block_on(spool.flush()).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let waiting = spool.stats().waiting;
    println!("{{\"run\":\"fill\",\"waiting\":{waiting},\"seconds\":{seconds:.1}}}");
}

/// Opens the spool, hands in one message at once, and takes all into a scheduler.
fn open(how: &str, folder: &Path, messages: u64) {
    let before = memory();
    let started = Instant::now();
    let (tx, mut rx) = mpsc::channel(1_024);
    let spool = Spool::open(folder, &Options::default(), tx).unwrap();
    let opened = started.elapsed();
    let runtime = runtime();
    let (accepting, new) = (spool.clone(), u64::from(how == "orderly") + u64::from(how == "again"));
    let accepted = runtime.spawn(async move {
        accepting.put(submission(NEW + new)).await.unwrap();
        started.elapsed()
    });
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let now = Timestamp::from_secs(begins() + 10);
    let mut first = Duration::ZERO;
    let mut known = 0;
    let expected = messages + 1 + new;
    while known < expected {
        let spooled = rx.blocking_recv().unwrap();
        if first.is_zero() && spooled.id.as_u64() < FIRST + NEW {
            first = started.elapsed();
        }
        insert(&mut scheduler, now, &spooled);
        known += 1;
    }
    let all = started.elapsed();
    let accepted = runtime.block_on(accepted).unwrap();
    let both = memory().saturating_sub(before);
    drop(scheduler);
    let spool_only = memory().saturating_sub(before);
    println!(
        "{{\"run\":\"{how}\",\"waiting\":{expected},\"opened_s\":{:.3},\"accepting_s\":{:.3},\
         \"first_s\":{:.3},\"all_known_s\":{:.2},\"octets_each\":{},\"octets_each_spool\":{}}}",
        opened.as_secs_f64(),
        accepted.as_secs_f64(),
        first.as_secs_f64(),
        all.as_secs_f64(),
        both / expected,
        spool_only / expected,
    );
    while spool.stats().recovering {
        std::thread::sleep(Duration::from_millis(10));
    }
    if how != "again" {
        let started = Instant::now();
        spool.checkpoint().unwrap();
        println!("{{\"run\":\"checkpoint\",\"seconds\":{:.2}}}", started.elapsed().as_secs_f64());
    }
}

fn insert(scheduler: &mut Scheduler, now: Timestamp, spooled: &Spooled) {
    for waiting in &spooled.destinations {
        let new = NewEntry {
            id: spooled.id,
            domain: &waiting.domain,
            stream: &spooled.stream,
            expires_at: spooled.expires_at,
            attempts: waiting.attempts,
            due: waiting.due,
            recipients: waiting.recipients,
        };
        scheduler.insert(now, &new);
    }
}

/// Octets of this process in memory that are no file's.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}
