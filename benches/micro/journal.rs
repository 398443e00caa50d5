//! The journal on the disk of the build folder: groups of appends, each synced before it counts.

use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::Throughput;
use maily_journal::journal::Journal;
use maily_journal::journal::Options;
use maily_journal::record::Draft;

/// Appends that wait for their sync at once: so many sessions send at the same time.
const GROUP: usize = 64;

pub(crate) fn bench(criterion: &mut Criterion) {
    // Beside this program, because /tmp may be memory, where a sync costs nothing.
    let beside = std::env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new("."));
    let Ok(folder) = tempfile::tempdir_in(beside) else { return };
    let Ok(journal) = Journal::open(folder.path(), &Options::default()) else { return };
    let mut benches = criterion.benchmark_group("journal");
    benches.sample_size(20);
    for octets in [1_024, 10_240] {
        let body = Bytes::from(vec![b'x'; octets]);
        benches.throughput(Throughput::Elements(GROUP as u64));
        benches.bench_with_input(BenchmarkId::new("append_64", octets), &body, |bencher, body| {
            bencher.iter(|| append_group(&journal, body));
        });
    }
    benches.finish();
}

/// Returns when all are on disk.
fn append_group(journal: &Journal, body: &Bytes) {
    let (tell, told) = mpsc::channel();
    for _ in 0..GROUP {
        let Ok(draft) = Draft::new(Bytes::from_static(b"meta"), body.clone()) else { return };
        let tell = tell.clone();
        journal.append(
            draft,
            Box::new(move |result| {
                // The receiver waits for all of them.
                let _gone = tell.send(result.is_ok());
            }),
        );
    }
    drop(tell);
    let written = told.iter().filter(|written| *written).count();
    assert_eq!(black_box(written), GROUP, "the journal could not be written");
    let active = journal.active();
    for segment in journal.segments() {
        if segment + 1 < active {
            // What is not dropped only takes space.
            let _left = journal.drop_segment(segment);
        }
    }
}
