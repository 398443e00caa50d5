//! The spool on the disk of the build folder: batches of late-bound messages, each synced before it
//! counts; prints what one takes on disk.

use std::path::Path;

use bytes::Bytes;
use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Class;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::id::QueueIdSource;
use maily_spool::body::Body;
use maily_spool::hold::Claim;
use maily_spool::keyed::Key;
use maily_spool::spool::Options;
use maily_spool::spool::Spool;
use maily_spool::submission::Submission;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Recipients of one request.
const BATCH: u32 = 10_000;
const NOW: Timestamp = Timestamp::from_secs(1_795_392_378);
/// Variables of one recipient.
const VARIABLES: &[u8] = br#"{"name":"Ann Example","order":"A-1234567","link":"0123456789abcdef"}"#;

pub(crate) fn bench(criterion: &mut Criterion) {
    // Beside this program, because /tmp may be memory, where a sync costs nothing.
    let beside = std::env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new("."));
    let Ok(folder) = tempfile::tempdir_in(beside) else { return };
    let Ok(runtime) = Runtime::new() else { return };
    let (queue, mut queued) = mpsc::channel(1_024);
    let Ok(spool) = Spool::open(folder.path(), &Options::default(), queue) else { return };
    // Each is settled at once, so that the spool does not grow.
    let settling = spool.clone();
    std::thread::spawn(move || {
        while let Some(spooled) = queued.blocking_recv() {
            settling.settle(spooled.id, &[RecipientIndex(0)]);
        }
    });
    let template = Bytes::from(vec![b'x'; 50_000]);
    let Ok(kept) = runtime.block_on(spool.put_template(template)) else { return };
    let template = kept.name();
    let mut ids = QueueIdSource::new(1);
    let mut number = 0_u64;
    let mut benches = criterion.benchmark_group("spool");
    benches.sample_size(10);
    benches.throughput(Throughput::Elements(u64::from(BATCH)));
    benches.bench_function("put_batch_10000_late_bound", |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                (number, batch(&mut ids, template))
            },
            |(number, batch)| runtime.block_on(put(&spool, number, batch)),
            BatchSize::PerIteration,
        );
    });
    benches.finish();
    eprintln!("spool: {} octets a recipient on disk", octets_each(beside, &runtime));
}

fn batch(ids: &mut QueueIdSource, template: [u8; 32]) -> Vec<Submission> {
    let first = ids.block(NOW, BATCH);
    (0..BATCH).filter_map(|n| submission(first.after(n), n, template)).collect()
}

fn submission(id: QueueId, number: u32, template: [u8; 32]) -> Option<Submission> {
    let to = format!("recipient{number}@destination{}.example", number % 200);
    let to = Mailbox::parse(&to).ok()?;
    let from = ReversePath::Mailbox(Mailbox::parse("bounces@mail.shop.example").ok()?);
    Some(Submission {
        id,
        accepted_at: NOW,
        expires_at: Timestamp::MAX,
        due: None,
        envelope: Envelope::plain(from, vec![Recipient::plain(to)]),
        stream: Stream { class: Class::Bulk, tenant: "shop".into(), campaign: "spring".into() },
        body: Body::Template { template, variables: Bytes::from_static(VARIABLES) },
    })
}

async fn put(spool: &Spool, number: u64, batch: Vec<Submission>) {
    let mut key = [0; 32];
    key.iter_mut().zip(number.to_le_bytes()).for_each(|(place, octet)| *place = octet);
    let claim = spool.claim(Key { key, digest: key, at: NOW }).await;
    let Ok(Claim::New(hold)) = claim else { panic!("a new key: {claim:?}") };
    let results = spool.put_batch(Some(hold), batch).await;
    assert!(results.is_ok_and(|all| all.iter().all(Result::is_ok)), "the spool took not all");
}

/// What one recipient takes of a spool that keeps them.
fn octets_each(beside: &Path, runtime: &Runtime) -> u64 {
    let Ok(folder) = tempfile::tempdir_in(beside) else { return 0 };
    let (queue, mut queued) = mpsc::channel(1_024);
    let Ok(spool) = Spool::open(folder.path(), &Options::default(), queue) else { return 0 };
    std::thread::spawn(move || while queued.blocking_recv().is_some() {});
    let content = Bytes::from(vec![b'x'; 50_000]);
    let Ok(kept) = runtime.block_on(spool.put_template(content)) else { return 0 };
    let batch = batch(&mut QueueIdSource::new(1), kept.name());
    runtime.block_on(put(&spool, 1, batch));
    spool.stats().live_octets / u64::from(BATCH)
}
