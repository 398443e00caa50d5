//! The table against what it promises: a map that is there after every end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::IoSlice;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::journal::Disk;
use crate::journal::RealDisk;

/// Names the folder to the process that is killed.
const FOLDER: &str = "MAILY_TEST_TABLE";

/// Syncs cost nothing here, so that hundreds of starts take no time.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn options() -> Options {
    Options { segment_octets: 4_096, ..Options::default() }
}

fn open(folder: &Path) -> Table {
    Table::open(folder, &options()).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn put(table: &Table, key: &str, value: &str) -> Result<(), PutError> {
    runtime().block_on(table.put(key.as_bytes(), Bytes::from(value.to_owned())))
}

fn all(table: &Table) -> BTreeMap<String, String> {
    let text = |octets: Bytes| String::from_utf8(octets.to_vec()).unwrap();
    let rows = table.scan_prefix(&[], None, usize::MAX).into_iter();
    rows.map(|(key, value)| (text(key), text(value))).collect()
}

#[test]
fn what_was_put_and_removed_holds_after_a_restart() {
    let dir = folder();
    let table = open(dir.path());
    assert!(table.is_empty());
    put(&table, "a", "1").unwrap();
    put(&table, "b", "2").unwrap();
    put(&table, "a", "3").unwrap();
    runtime().block_on(table.remove(b"b")).unwrap();
    runtime().block_on(table.remove(b"never there")).unwrap();
    let pair = |n: &str| (Bytes::from(format!("c{n}")), Bytes::from(n.to_owned()));
    runtime().block_on(table.put_all(vec![pair("1"), pair("2")])).unwrap();
    drop(table);
    let wanted = [("a", "3"), ("c1", "1"), ("c2", "2")];
    let wanted: BTreeMap<_, _> = wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    for _ in 0..3 {
        let table = open(dir.path());
        assert_eq!((all(&table), table.quarantined()), (wanted.clone(), 0));
        assert_eq!(table.get(b"c2").as_deref(), Some(b"2".as_slice()));
        assert!(table.contains(b"a") && !table.contains(b"b"));
    }
}

#[test]
fn a_prefix_is_read_page_by_page() {
    let dir = folder();
    let table = open(dir.path());
    for key in ["a/1", "a/2", "a/3", "b/1", "a"] {
        put(&table, key, "x").unwrap();
    }
    let page = |after: Option<&str>, limit| -> Vec<String> {
        let rows = table.scan_prefix(b"a/", after.map(str::as_bytes), limit).into_iter();
        rows.map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
    };
    assert_eq!(page(None, 2), ["a/1", "a/2"]);
    assert_eq!(page(Some("a/2"), 2), ["a/3"]);
    assert_eq!(page(Some("a/3"), 2), [""; 0]);
    assert_eq!(page(Some("a"), 9).len(), 3, "from before its beginning");
    assert_eq!(page(Some("b"), 9), [""; 0]);
}

#[test]
fn many_puts_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::open(dir.path(), &Options::small()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..200_u32 {
            let table = table.clone();
            tasks.spawn(async move {
                for n in 0..5_u32 {
                    let key = format!("{task}/{n}");
                    table.put(key.as_bytes(), Bytes::from_static(b"value")).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
    let syncs = table.inner.journal.counters().syncs.load(Ordering::Relaxed);
    assert_eq!(table.len(), 1_000);
    assert!(syncs < 500, "{syncs} syncs");
}

#[test]
fn space_is_given_back_by_itself_while_all_stays() {
    let dir = folder();
    let table = open(dir.path());
    let before = (0..40).map(|n| (format!("old{n}"), "x".repeat(50))).collect::<BTreeMap<_, _>>();
    before.iter().for_each(|(key, value)| put(&table, key, value).unwrap());
    let runtime = runtime();
    for n in 0..3_000 {
        runtime.block_on(table.put(b"new", Bytes::from(format!("{n}")))).unwrap();
    }
    // Else the thread that keeps it may still be at it.
    table.checkpoint().unwrap();
    table.checkpoint().unwrap();
    assert!(table.inner.journal.segments().len() < 10, "{:?}", table.inner.journal.segments());
    drop(table);
    let mut wanted = before;
    wanted.insert("new".to_owned(), "2999".to_owned());
    for _ in 0..3 {
        let table = open(dir.path());
        assert_eq!(all(&table), wanted);
        // Without a change in between, so that nothing is new.
        table.checkpoint().unwrap();
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file() && !path.ends_with("lock"));
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn put_back(folder: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>) {
    files(folder).into_keys().for_each(|path| std::fs::remove_file(path).unwrap());
    let _clean = std::fs::remove_dir_all(folder.join("quarantine"));
    whole.iter().for_each(|(path, octets)| std::fs::write(path, octets).unwrap());
}

/// 30 keys, with or without two checkpoints, of which some segments are dropped.
fn stopped(folder: &Path, checkpoints: bool) -> BTreeMap<String, String> {
    let table = open(folder);
    for n in 0..30 {
        put(&table, &format!("key{n}"), &format!("value {n} ").repeat(30)).unwrap();
        if checkpoints && n % 10 == 9 {
            table.checkpoint().unwrap();
        }
    }
    all(&table)
}

#[test]
fn a_flipped_octet_anywhere_costs_one_change_at_most_and_is_told() {
    let mut variants = 0;
    for checkpoints in [false, true] {
        let dir = folder();
        let wanted = stopped(dir.path(), checkpoints);
        let whole = files(dir.path());
        let dropped = !whole.keys().any(|path| path.ends_with("0000000000000001.seg"));
        assert_eq!(dropped, checkpoints);
        for (path, octets) in &whole {
            for at in (variants % 32..octets.len()).step_by(32) {
                put_back(dir.path(), &whole);
                let mut damaged = octets.clone();
                damaged[at] ^= 1 << (at / 32 % 8);
                std::fs::write(path, damaged).unwrap();
                variants += 1;
                let table = open(dir.path());
                let (found, name) = (all(&table), path.display());
                let missing = wanted.iter().filter(|(key, value)| found.get(*key) != Some(value));
                let missing = missing.count();
                assert!(missing <= 1, "{name} octet {at}: {missing} are missing");
                assert!(found.keys().all(|key| wanted.contains_key(key)), "{name} octet {at}");
                let told = table.quarantined() == 1;
                assert!(missing == 0 || told, "{name} octet {at}: missing and not told");
                drop(table);
                assert_eq!(all(&open(dir.path())), found, "{name} octet {at}: another start");
            }
        }
    }
    assert!(variants > 500, "{variants} variants");
}

#[test]
fn when_both_checkpoints_are_damaged_it_says_so_and_does_not_begin_anew() {
    let dir = folder();
    stopped(dir.path(), true);
    for name in ["checkpoint", "checkpoint.before"] {
        let path = dir.path().join(name);
        let mut octets = std::fs::read(&path).unwrap();
        octets[20] ^= 1;
        std::fs::write(path, octets).unwrap();
    }
    for _ in 0..2 {
        let error = Table::open(dir.path(), &options()).unwrap_err();
        assert!(matches!(error, OpenError::Lost(_)), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 2);
}

#[test]
fn a_folder_whose_segments_were_taken_away_is_not_opened() {
    let dir = folder();
    stopped(dir.path(), true);
    let segments = files(dir.path()).into_keys();
    let gone = segments.filter(|path| path.extension().is_some_and(|e| e == "seg" || e == "spare"));
    gone.for_each(|path| std::fs::remove_file(path).unwrap());
    let error = Table::open(dir.path(), &options()).unwrap_err();
    assert!(matches!(error, OpenError::Lost(_)), "{error}");
}

#[test]
fn what_a_newer_version_wrote_is_refused() {
    let dir = folder();
    let journal = Journal::open(dir.path(), &options()).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let newer = Draft::new(Bytes::from_static(&[change::FORMAT + 1, 7]), Bytes::new()).unwrap();
    journal.append(newer, Box::new(move |result| tell.send(result).unwrap()));
    told.recv().unwrap().unwrap();
    drop(journal);
    let error = Table::open(dir.path(), &options()).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_torn_end_costs_only_what_nobody_was_told_of() {
    let dir = folder();
    let table = open(dir.path());
    put(&table, "first", "1").unwrap();
    put(&table, "torn", &"2".repeat(100)).unwrap();
    drop(table);
    let whole = files(dir.path());
    let (path, octets) =
        whole.iter().find(|(path, _)| path.ends_with("0000000000000001.seg")).unwrap();
    let end = octets.iter().rposition(|octet| *octet != 0).unwrap();
    for length in end - 120..end {
        put_back(dir.path(), &whole);
        let mut torn = octets.clone();
        torn[length..].fill(0);
        // As after a kill: the segment was not left in good order.
        torn[32..52].fill(0);
        std::fs::write(path, torn).unwrap();
        let table = open(dir.path());
        assert_eq!((all(&table).len(), table.quarantined()), (1, 0), "{length} octets");
        put(&table, "later", "3").unwrap();
        drop(table);
        let keys: Vec<_> = all(&open(dir.path())).into_keys().collect();
        assert_eq!(keys, ["first", "later"], "{length} octets");
    }
}

/// A disk whose next syncs fail.
struct Failing(AtomicU32);

impl Disk for Failing {
    fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        RealDisk.write(file, slices, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() { Err(io::Error::from_raw_os_error(5)) } else { RealDisk.sync(file) }
    }

    fn allocate(&self, path: &Path, octets: u64) -> io::Result<File> {
        RealDisk.allocate(path, octets)
    }
}

#[test]
fn a_change_whose_sync_failed_is_refused_and_not_seen_and_the_next_one_is_made() {
    let dir = folder();
    let disk = Arc::new(Failing(AtomicU32::new(0)));
    let options = Options { disk: Arc::clone(&disk) as Arc<dyn Disk>, ..options() };
    let table = Table::open(dir.path(), &options).unwrap();
    put(&table, "key", "1").unwrap();
    disk.0.store(1, Ordering::SeqCst);
    assert!(matches!(put(&table, "key", "2"), Err(PutError::Failed(_))));
    assert_eq!(table.get(b"key").as_deref(), Some(b"1".as_slice()));
    put(&table, "key", "3").unwrap();
    drop(table);
    assert_eq!(all(&open(dir.path()))["key"], "3");
}

#[test]
fn each_limit_is_kept_and_one_more_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = Table::open(dir.path(), &Options::small()).unwrap();
    let octets = |n: usize| Bytes::from(vec![b'x'; n]);
    let change = |changes: Vec<Change>| runtime().block_on(table.change(changes));
    let put = |key: usize, value: usize| change(vec![Change::Put(octets(key), octets(value))]);
    assert_eq!(put(KEY_OCTETS_MAX, VALUE_OCTETS_MAX), Ok(()));
    assert_eq!(put(KEY_OCTETS_MAX + 1, 1), Err(PutError::TooLarge("a key")));
    assert_eq!(put(1, VALUE_OCTETS_MAX + 1), Err(PutError::TooLarge("a value")));
    let together = Err(PutError::TooLarge("what is changed together"));
    let removals = |n: usize| vec![Change::Remove(octets(1)); n];
    assert_eq!(change(removals(CHANGES_MAX)), Ok(()));
    assert_eq!(change(removals(CHANGES_MAX + 1)), together);
    let shared = octets(VALUE_OCTETS_MAX - 1);
    let puts = |last: usize| {
        let mut all = vec![Change::Put(octets(1), shared.clone()); 3];
        all.push(Change::Put(octets(1), octets(last)));
        all
    };
    assert_eq!(change(puts(VALUE_OCTETS_MAX)), together);
    assert_eq!(change(puts(VALUE_OCTETS_MAX - 1)), Ok(()));
    assert_eq!(change(Vec::new()), Ok(()));
    table.checkpoint().unwrap();
    drop(table);
    assert_eq!(Table::open(dir.path(), &Options::small()).unwrap().len(), 2);
}

/// Not a test by itself: the process that the next one kills. It tells of each change that it was
/// told of.
#[test]
fn a_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let table = open(Path::new(&folder));
    let before = table.len();
    for n in before.. {
        put(&table, &format!("{n:08}"), "value").unwrap();
        println!("told {n}");
    }
}

#[test]
fn kill_9_loses_nothing_that_was_told() {
    let dir = folder();
    let mut told = 0;
    for round in 0..10 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "table::tests::a_process_that_is_killed", "--nocapture"]);
        let mut child = command.env(FOLDER, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let more = told + 50 + round * 17;
        let number = |line: &str| line.split_once("told ").and_then(|(_, n)| n.parse().ok());
        while told < more {
            told = number(&lines.next().unwrap().unwrap()).unwrap_or(told);
        }
        child.kill().unwrap();
        told = lines.map_while(Result::ok).filter_map(|line| number(&line)).last().unwrap_or(told);
        child.wait().unwrap();
        let table = open(dir.path());
        assert!(table.len() > told, "round {round}: {} of {told}", table.len());
        assert_eq!(table.quarantined(), 0);
        let gap = (0..=told).find(|n| !table.contains(format!("{n:08}").as_bytes()));
        assert_eq!(gap, None, "round {round}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Any order of changes, checkpoints and restarts leaves what a plain map would.
    #[test]
    fn the_table_is_a_map_that_survives(
        steps in proptest::collection::vec((0_u8..12, 0_u8..8, 0_usize..200), 1..150)
    ) {
        let dir = folder();
        let mut table = open(dir.path());
        let mut model: BTreeMap<String, String> = BTreeMap::new();
        let runtime = runtime();
        for (step, pick, octets) in steps {
            let (key, value) = (format!("k{pick}"), format!("{octets}").repeat(octets));
            match step {
                0..=5 => {
                    let octets = Bytes::from(value.clone());
                    runtime.block_on(table.put(key.as_bytes(), octets)).unwrap();
                    model.insert(key, value);
                }
                6..=7 => {
                    runtime.block_on(table.remove(key.as_bytes())).unwrap();
                    model.remove(&key);
                }
                8 => {
                    // Together: the first is overruled by the second.
                    let put = Change::Put(Bytes::from(key.clone()), Bytes::from(value.clone()));
                    let other = Bytes::from("other");
                    let changes =
                        vec![Change::Remove(Bytes::from(key.clone())), put, Change::Remove(other)];
                    runtime.block_on(table.change(changes)).unwrap();
                    model.insert(key, value);
                }
                9 => table.checkpoint().unwrap(),
                _ => {
                    drop(table);
                    table = open(dir.path());
                }
            }
            proptest::prop_assert_eq!(table.len(), model.len());
        }
        proptest::prop_assert_eq!(&all(&table), &model);
        drop(table);
        proptest::prop_assert_eq!(all(&open(dir.path())), model);
    }
}
