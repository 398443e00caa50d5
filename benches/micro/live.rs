//! What it costs a session to be seen: a command and its reply told, and a session from its
//! beginning to its end.

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use criterion::Throughput;
use maily::clock::WallClock;
use maily_core::live::Phase;
use maily_core::live::said::Said;
use maily_live::sessions::Sessions;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("live");
    benches.throughput(Throughput::Elements(1));
    let sessions = Sessions::new(Arc::new(WallClock::start()));
    let live = sessions.go_out("hop.example", "main");
    let mut said = Said::default();
    benches.bench_function("command_and_reply", |bencher| {
        bencher.iter(|| {
            said.commands(black_box(b"RCPT TO:<user@d0001.test>\r\n"));
            said.replies(250, black_box(b"250 2.1.5 OK\r\n"));
            live.tell(&mut said, Phase::Envelope, 27);
        });
    });
    benches.bench_function("session", |bencher| {
        bencher.iter(|| drop(black_box(sessions.go_out("hop.example", "main"))));
    });
    benches.finish();
}
