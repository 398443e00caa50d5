//! The scheduler, pure: a message goes in, comes out, is reported; among as many others as a large
//! sender has waiting.

use criterion::BatchSize;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::queue::action::Action;
use maily_core::queue::action::NewEntry;
use maily_core::queue::policy::Policy;
use maily_core::queue::scheduler::Scheduler;
use std::time::Duration;

const START: Timestamp = Timestamp::from_secs(1_000);
const EXPIRY: Timestamp = Timestamp::from_secs(400_000);
const VALID: Duration = Duration::from_secs(1_000_000);

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("scheduler");
    benches.sample_size(10);
    for (messages, domains) in [(10_000, 100), (1_000_000, 100_000)] {
        let names: Vec<_> =
            (0..domains).filter_map(|n| Domain::parse(&format!("d{n}.example")).ok()).collect();
        benches.throughput(Throughput::Elements(messages));
        let name = BenchmarkId::new("insert_poll_report", format!("{messages}_in_{domains}"));
        benches.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Scheduler::new(Policy::default(), 1),
                |scheduler| drain(scheduler, messages, &names),
                BatchSize::PerIteration,
            );
        });
    }
    benches.finish();
}

/// All messages in, then each out and delivered.
fn drain(mut scheduler: Scheduler, messages: u64, domains: &[Domain]) -> Scheduler {
    let stream = Stream::default();
    for (number, domain) in (0..messages).zip(domains.iter().cycle()) {
        let id = QueueId::from_u64(number);
        let (expires_at, attempts, due, recipients) = (EXPIRY, 0, START, 1);
        let stream = &stream;
        let new = NewEntry { id, domain, stream, expires_at, attempts, due, recipients };
        scheduler.insert(START, &new);
    }
    let status = EnhancedStatus::new(2, 0, 0);
    let delivered = Outcome::Delivered(Diagnosis::ours(status, Blame::Peer, "taken"));
    let mut under_way = Vec::new();
    let mut left = messages;
    while left > 0 {
        while let Some(action) = scheduler.poll(START) {
            match action {
                Action::Resolve(id, domain) => {
                    scheduler.on_resolved(START, id, Ok(domain.as_str()), VALID);
                }
                Action::Attempt(attempt) => under_way.push((attempt.ticket, attempt.lane)),
                Action::Close(lane) => scheduler.on_closed(lane),
                Action::Expired(..) | Action::Unroutable(..) | Action::Forgotten(_) => {}
            }
        }
        // A poll that has done enough for one turn wants another.
        let again = scheduler.poll_timeout().is_some_and(|at| at <= START);
        assert!(again || !under_way.is_empty(), "{left} messages are stuck");
        for (ticket, lane) in under_way.drain(..) {
            scheduler.report(START, ticket, [&delivered]);
            scheduler.on_free(lane);
            left -= 1;
        }
    }
    scheduler
}
