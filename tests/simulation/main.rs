//! The queue in a world of its own: fake peers, fake DNS, fake time, and a seed that decides all.
//!
//! Each run is one seed. It prints the seed when it fails; `MAILY_SEED=n` runs that one alone,
//! `MAILY_SEEDS=n` so many instead of the number below. `make simulation` runs many.
#![expect(clippy::unwrap_used, reason = "a test that is surprised must fail")]
#![expect(clippy::expect_used, reason = "a test that is surprised must fail")]
#![expect(clippy::indexing_slicing, reason = "a test that is surprised must fail")]

mod chance;
mod judge;
mod peers;
mod setup;
mod sums;
mod world;

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::panic::resume_unwind;

use crate::sums::Sums;
use crate::world::World;

/// Seeds of one run of the tests.
const SEEDS: u64 = 400;

fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_the_world_does_every_recipient_ends_once_and_all_limits_hold() {
    let seeds = match asked("MAILY_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=asked("MAILY_SEEDS").unwrap_or(SEEDS),
    };
    let mut all = Sums::default();
    for seed in seeds.clone() {
        match catch_unwind(AssertUnwindSafe(|| World::new(seed).run())) {
            Ok(sums) => all.add(&sums),
            Err(panic) => {
                println!("failed with MAILY_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    println!("{} seeds: {all:?}", seeds.count());
    if asked("MAILY_SEED").is_none() {
        all.show_that_all_was_tried();
    }
}
