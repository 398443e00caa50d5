//! What is kept, for how long, and what becomes of a damaged store.

use super::*;
use crate::kv::MemoryKv;
use std::time::Duration;

fn terms(max_bytes: u64) -> KvPermission {
    KvPermission { namespace: "a".to_owned(), max_bytes, ttl: Duration::from_secs(100) }
}

fn write(key: &str, change: Change) -> Write {
    Write { key: key.to_owned(), change, ttl: None }
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn set(text: &str) -> Change {
    Change::Set(text.to_owned())
}

#[test]
fn both_stores_keep_and_forget_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (on_disk, opened) = SledKv::open(folder.path(), at(0)).unwrap();
    assert_eq!(opened, Opened::Whole);
    let stores: [&dyn Kv; 2] = [&on_disk, &MemoryKv::default()];
    for store in stores {
        let both =
            [write("n", Change::Add(2)), write("n", Change::Add(3)), write("t", set("\"x\""))];
        store.commit(&terms(1_000), &both, at(0)).unwrap();
        assert_eq!(store.get("a", "n", at(99)).unwrap().as_deref(), Some("5"));
        assert_eq!(store.get("a", "n", at(100)).unwrap(), None, "its time is over");
        assert_eq!(store.get("b", "n", at(0)).unwrap(), None, "another name space");
        store.commit(&terms(1_000), &[write("n", Change::Add(1))], at(200)).unwrap();
        assert_eq!(store.get("a", "n", at(200)).unwrap().as_deref(), Some("1"));
        let short = Write { ttl: Some(Duration::from_secs(5)), ..write("s", set("1")) };
        store.commit(&terms(1_000), &[short, write("t", Change::Remove)], at(200)).unwrap();
        assert_eq!(store.get("a", "s", at(205)).unwrap(), None);
        assert_eq!(store.get("a", "t", at(0)).unwrap(), None);
        let full = store.commit(&terms(50), &[write("x", set(&"x".repeat(60)))], at(300));
        assert_eq!(full, Err(KvError::Full("a".to_owned())));
        assert_eq!(store.get("a", "x", at(300)).unwrap(), None, "all or nothing");
    }
}

#[test]
fn a_full_name_space_has_room_again_when_values_end() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = SledKv::open(folder.path(), at(0)).unwrap();
    let large = set(&"x".repeat(60));
    store.commit(&terms(100), &[write("x", large.clone())], at(0)).unwrap();
    assert!(store.commit(&terms(100), &[write("y", large.clone())], at(200)).is_err());
    assert_eq!(store.sweep(at(200)), Ok(1));
    store.commit(&terms(100), &[write("y", large)], at(200)).unwrap();
}

#[test]
fn what_was_synced_is_there_again_and_its_size_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = SledKv::open(folder.path(), at(0)).unwrap();
    for n in 0..40 {
        let value = set(&"v".repeat(12_000));
        store.commit(&terms(1 << 30), &[write(&format!("k{n}"), value)], at(0)).unwrap();
    }
    store.sync().unwrap();
    let used = store.used.lock().clone();
    drop(store);
    let (store, opened) = SledKv::open(folder.path(), at(0)).unwrap();
    assert_eq!(opened, Opened::Whole);
    assert_eq!(*store.used.lock(), used);
    assert_eq!(store.get("a", "k39", at(0)).unwrap().unwrap().len(), 12_000);
}

#[test]
fn a_damaged_store_is_set_aside_and_never_fatal() {
    let folder = tempfile::tempdir().unwrap();
    let mut aside = 0;
    for round in 0..12_usize {
        let (store, opened) = SledKv::open(folder.path(), at(round as u64 + 1)).unwrap();
        aside += usize::from(opened != Opened::Whole);
        for n in 0..200 {
            let value = set(&format!("{round} {n}"));
            store.commit(&terms(1 << 30), &[write(&format!("k{n}"), value)], at(0)).unwrap();
        }
        store.sync().unwrap();
        drop(store);
        // Octets are flipped in one of sled's files after the other.
        let all =
            fs::read_dir(folder.path().join("kv")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = all.filter(|path| path.is_file()).collect();
        files.sort();
        let path = &files[round % files.len()];
        let mut octets = fs::read(path).unwrap();
        for octet in octets.iter_mut().skip(round).step_by(51) {
            *octet ^= 0x55;
        }
        fs::write(path, octets).unwrap();
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert!(aside > 0, "no damage was ever seen");
    assert!(left <= ASIDE_MAX + 1, "{left} folders are left");
}
