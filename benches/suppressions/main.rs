//! Ten million suppressions: how fast they come in, what they take, how fast they are looked up,
//! and how long a start takes. `make bench-suppressions`; `MAILY_SUPPRESSIONS` says how many,
//! `MAILY_FOLDER` where.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use maily_core::clock::Timestamp;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;
use maily_events::suppression::Suppressions;
use maily_journal::journal::Options;

/// Put at the same time, as a request does.
const TOGETHER: u64 = 10_000;
const LOOKUPS: u64 = 1_000_000;
const NOW: Timestamp = Timestamp::from_secs(1_795_392_378);

fn main() -> anyhow::Result<()> {
    // `cargo test --benches` runs it too: then a few are enough.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::var("MAILY_SUPPRESSIONS").ok().and_then(|text| text.parse().ok());
    let count = asked.unwrap_or(if bench { 10_000_000 } else { 20_000 });
    let below = std::env::var_os("MAILY_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(below)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut out = std::io::stdout().lock();
    let suppressions = Suppressions::open(folder.path(), &Options::small())?;
    let begun = Instant::now();
    for first in (0..count).step_by(TOGETHER as usize) {
        let some: Vec<_> = (first..(first + TOGETHER).min(count)).map(subject).collect();
        let said = Said { at: NOW, reason: SuppressionReason::Bounced, message: None, until: None };
        runtime.block_on(suppressions.suppress_all(&some, said))?;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    writeln!(out, "import: {rate:.0}/s, each synced, {TOGETHER} at a time")?;
    let begun = Instant::now();
    suppressions.checkpoint()?;
    writeln!(out, "checkpoint: {:.2} s", begun.elapsed().as_secs_f64())?;
    drop(suppressions);
    let begun = Instant::now();
    let suppressions = Suppressions::open(folder.path(), &Options::small())?;
    writeln!(out, "start from the checkpoint: {:.2} s", begun.elapsed().as_secs_f64())?;
    let octets = suppressions.packed_octets() as f64 / suppressions.len() as f64;
    writeln!(out, "{} of them, {octets:.1} octets each", suppressions.len())?;
    for (name, offset) in [("that are there", 0), ("that are not", count)] {
        let mut times = look_up(&suppressions, count, offset);
        times.sort_unstable();
        let share = |part: usize| times.get(times.len() * part / 1_000).copied();
        let (half, most) = (share(500).unwrap_or_default(), share(990).unwrap_or_default());
        writeln!(out, "look-ups of mailboxes {name}: p50 {half:?}, p99 {most:?}")?;
    }
    let mut empty: Vec<_> =
        (0..LOOKUPS).map(|_| std::hint::black_box(Instant::now()).elapsed()).collect();
    empty.sort_unstable();
    let share = |part: usize| empty.get(empty.len() * part / 1_000).copied().unwrap_or_default();
    let (half, most) = (share(500), share(990));
    writeln!(out, "the clock alone, in all of these: p50 {half:?}, p99 {most:?}")?;
    Ok(())
}

/// How long each of many look-ups took: of the list, the project and everybody's.
fn look_up(suppressions: &Suppressions, count: u64, offset: u64) -> Vec<Duration> {
    let picked = (0..LOOKUPS).map(|n| offset + n * 7_919 % count.max(1));
    let mailboxes = picked.filter_map(|number| Mailbox::parse(&address(number)).ok());
    let timed = mailboxes.map(|mailbox| {
        let begun = Instant::now();
        let found = suppressions.is_suppressed(NOW, "shop", "news", &mailbox);
        let took = begun.elapsed();
        assert_eq!(found.is_some(), offset == 0, "{mailbox}");
        took
    });
    timed.collect()
}

/// Spread over names and domains, as addresses are.
fn address(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
    format!("first.last{}@mail{}.example", mixed % 100_000_000 + number, number % 977)
}

fn subject(number: u64) -> Subject {
    match Mailbox::parse(&address(number)) {
        Ok(mailbox) => Subject::new("shop", "news", &mailbox),
        Err(error) => panic!("{error}"),
    }
}
