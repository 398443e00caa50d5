//! The store of plugins after a kill: what was synced is there.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_plugins::kv::Change;
use maily_plugins::kv::Kv;
use maily_plugins::kv::Write as KvWrite;
use maily_plugins::kv_sled::Opened;
use maily_plugins::kv_sled::SledKv;
use maily_plugins::manifest::KvPermission;

const FOLDER: &str = "MAILY_TEST_KV_FOLDER";
const FIRST: &str = "MAILY_TEST_KV_FIRST";

fn terms() -> KvPermission {
    let ttl = Duration::from_secs(1_000_000);
    KvPermission { namespace: "a".to_owned(), max_bytes: 1 << 30, ttl }
}

/// What the child does: writes and syncs, and says what is safe, until it is killed.
#[expect(clippy::print_stdout, reason = "the test listens")]
fn child(folder: &Path, first: u64) {
    let (store, opened) = SledKv::open(folder, Timestamp::EPOCH).unwrap();
    println!("opened {opened:?}");
    for n in first.. {
        let change =
            Change::Set(format!("\"{}\"", "v".repeat(usize::try_from(n % 9_000).unwrap())));
        let write = KvWrite { key: format!("k{n}"), change, ttl: None };
        store.commit(&terms(), &[write], Timestamp::EPOCH).unwrap();
        if n % 7 == 0 {
            store.sync().unwrap();
            println!("safe {n}");
            std::io::stdout().flush().unwrap();
        }
    }
}

#[test]
fn what_was_synced_survives_kill_9() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let first = std::env::var(FIRST).unwrap().parse().unwrap();
        child(Path::new(&folder), first);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut next = 0;
    for round in 0..8_u64 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_was_synced_survives_kill_9", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FIRST, next.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut safe = None;
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            assert!(!line.contains("SetAside"), "{line}");
            if let Some(n) = line.strip_prefix("safe ") {
                safe = Some(n.parse::<u64>().unwrap());
            }
            if safe.is_some_and(|safe| safe > next + 20 + round * 13) {
                process.kill().unwrap();
                break;
            }
        }
        process.wait().unwrap();
        let safe = safe.unwrap();
        let (store, opened) = SledKv::open(folder.path(), Timestamp::EPOCH).unwrap();
        assert_eq!(opened, Opened::Whole);
        for n in 0..=safe {
            let value = store.get("a", &format!("k{n}"), Timestamp::EPOCH).unwrap();
            let octets = usize::try_from(n % 9_000).unwrap() + 2;
            assert_eq!(value.map(|value| value.len()), Some(octets), "k{n} of {safe}");
        }
        next = safe + 1;
    }
    println!("{next} values over 8 kills, none lost");
}
