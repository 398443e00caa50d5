//! Micro benches of what every message passes: journal, spool, renderer, scheduler, signer, both
//! SMTP sessions, and what it costs to look on at them; and of what comes back.
//! `make bench` runs them; `cargo bench -p maily-benches -- dkim` runs some.

mod bounces;
mod journal;
mod live;
mod rendering;
mod scheduler;
mod signing;
mod smtp;
mod spool;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bounces::bench(&mut criterion);
    journal::bench(&mut criterion);
    live::bench(&mut criterion);
    rendering::bench(&mut criterion);
    spool::bench(&mut criterion);
    scheduler::bench(&mut criterion);
    signing::bench(&mut criterion);
    smtp::bench(&mut criterion);
    criterion.final_summary();
}
