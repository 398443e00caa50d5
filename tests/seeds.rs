//! Runs every fuzz target over the seeds in `fuzz/seeds`, so that what the fuzzers found stays
//! found. `make fuzz` runs the fuzzers themselves. Beside it, the bounces of `tests/corpora`.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a target panics when what must hold does not; the fuzzers' crate shows it to all"
)]

use std::path::Path;

#[path = "corpora/corpus.rs"]
mod corpus;
#[path = "../fuzz/src/targets.rs"]
mod targets;

#[test]
fn no_target_falls_over_its_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    for (name, target) in targets::TARGETS {
        let folder = std::fs::read_dir(seeds.join(name)).expect("every target has seeds");
        let mut files: Vec<_> = folder.map(|entry| entry.expect("a seed").path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            println!("{}", file.display());
            let octets = std::fs::read(&file).expect("a seed can be read");
            target(&octets);
            // What is cut off anywhere is input too.
            for end in 0..octets.len().min(200) {
                target(octets.get(..end).unwrap_or_default());
            }
        }
    }
}
