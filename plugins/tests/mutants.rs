//! Scripts that are cut to pieces and put together again: whatever comes of them, the host lives
//! and ends them in time.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up must fail"
)]

mod support;

use std::fs;
use std::time::Duration;
use std::time::Instant;

use maily_plugins::fault::Code;
use maily_plugins::hashing;
use maily_plugins::workshop;
use support::House;

/// Splits a script into words and signs.
fn tokens(script: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = false;
    for c in script.chars() {
        let is_word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if is_word && word => last.push(c),
            _ => tokens.push(c.to_string()),
        }
        word = is_word;
    }
    tokens
}

fn mutant(script: &str, other: &str, seed: &str) -> String {
    let (mut mine, theirs) = (tokens(script), tokens(other));
    for round in 0..1 + hashing::bucket(seed, 4) {
        let draw = |what: &str, of: usize| {
            let key = format!("{seed} {round} {what}");
            usize::try_from(hashing::bucket(&key, of.max(1) as u64)).unwrap()
        };
        let at = draw("at", mine.len());
        match draw("how", 5) {
            0 => drop(mine.remove(at)),
            1 => mine.insert(at, theirs[draw("from", theirs.len())].clone()),
            2 => mine[at] = theirs[draw("from", theirs.len())].clone(),
            3 => {
                let end = (at + draw("length", 40)).min(mine.len());
                let piece: Vec<_> = mine[at..end].to_vec();
                mine.splice(at..at, piece);
            }
            _ => {
                mine[at] = ["0", "-1", "9223372036854775807", "()", "[]", "#{}", "\"\"", "loop"]
                    [draw("value", 8)]
                .to_owned()
            }
        }
    }
    mine.concat()
}

#[test]
fn no_mutant_harms_the_host() {
    let rounds: u32 = std::env::var("MAILY_MUTANTS").map_or(400, |text| text.parse().unwrap());
    let mut folders = Vec::new();
    for parent in ["../scripts", "tests/hostile"] {
        folders.extend(workshop::folders(&support::here().join(parent)).unwrap());
    }
    let scripts: Vec<_> = folders
        .iter()
        .map(|folder| fs::read_to_string(folder.join("main.rhai")).unwrap())
        // Scripts of many thousand characters hide what is interesting.
        .map(|script| script.chars().take(4_000).collect::<String>())
        .collect();
    let house = House::new();
    let shared = workshop::shared(house.clock.clone()).unwrap();
    let (mut ran, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let seed = format!("mutant {round}");
        let pick = |what: &str| {
            let key = format!("{seed} {what}");
            usize::try_from(hashing::bucket(&key, scripts.len() as u64)).unwrap()
        };
        let (one, other) = (pick("one"), pick("other"));
        let folder = house.folder.path().join("plugin");
        let _none = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let manifest = fs::read_to_string(folders[one].join("plugin.toml")).unwrap();
        house.write("plugin/plugin.toml", &manifest);
        house.write("plugin/main.rhai", &mutant(&scripts[one], &scripts[other], &seed));
        let begin = Instant::now();
        for tried in workshop::try_all(&shared, &folder) {
            ran += u32::from(tried.hook.is_some());
            let code = tried.fault.as_ref().map(|fault| fault.code);
            assert_ne!(code, Some(Code::Host), "{seed}: {}", tried.fault.unwrap());
        }
        slowest = slowest.max(begin.elapsed());
    }
    println!("{rounds} mutants, {ran} runs, the slowest took {slowest:?}");
    assert!(ran > rounds / 20);
}
