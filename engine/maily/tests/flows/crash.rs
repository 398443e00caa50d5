//! Crashes under load: the daemon killed, and the power of its disk cut.
//!
//! A kill leaves what was written to the kernel, so it hides a missing fsync. A power cut is made
//! by shutting down the file system on a loop device without writing its log: what was not synced
//! is gone, and mounting it again replays its journal, as after a real cut.

use std::fs::File;
use std::io;
use std::io::{BufRead, BufReader, IoSlice};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;

use maily::sink::behaviour::Behaviour;
use maily_core::clock::Timestamp;
use maily_journal::journal::{Disk, Journal, Options, RealDisk};
use maily_journal::record::Draft;
use maily_journal::scan::{Next, Scanner};
use maily_journal::table::Table;
use maily_plugins::kv::{Change, Kv, Write as KvWrite};
use maily_plugins::kv_sled::{Opened, SledKv};
use maily_plugins::manifest::KvPermission;

use crate::process::wait_for;
use crate::{CLIENTS, NextHop, configure, load, missing, next_hop, start};

/// Kills in one run; `MAILY_KILLS` asks for more.
const KILLS: u32 = 20;
/// Power cuts in one run; `MAILY_CUTS` asks for more.
const CUTS: u32 = 5;
/// Connections to the one site: as many deliveries can be repeated by a crash.
const IN_FLIGHT_MAX: u64 = 20;

fn asked(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).ok().map_or(otherwise, |n| n.parse().unwrap())
}

/// Waits until all has come, prints the sums, and holds the repeated against their bound.
#[expect(clippy::print_stdout, reason = "the figures are what the test is for")]
fn balance(kind: &str, rounds: u32, hop: &NextHop, acknowledged: &[u64]) {
    let mut lost = missing(&hop.ledger, acknowledged);
    for _ in 0..600 {
        if lost == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        lost = missing(&hop.ledger, acknowledged);
    }
    let again: u64 = hop.ledger.taken().values().map(|times| u64::from(times - 1)).sum();
    let sum = acknowledged.len();
    println!("{rounds} {kind}, {sum} acknowledged, {lost} lost, {again} duplicates");
    assert_eq!(lost, 0, "acknowledged and lost");
    assert!(sum > 100, "the load was too small to show anything");
    // A settlement waits a moment for company before it is written, so a little more than what was
    // on the wire can come again.
    let bound = u64::from(rounds) * IN_FLIGHT_MAX * 4;
    assert!(again <= bound, "{again} came again, more than {bound}");
}

/// Waits until the clients are at work, and then for another moment each round. Each client takes
/// a number for a message, so some messages of this round have got their 250 by then.
fn wait_for_load(round: u32, numbers: &AtomicU64) {
    let enough = numbers.load(Ordering::Relaxed) + 3 * CLIENTS;
    wait_for("messages", || numbers.load(Ordering::Relaxed) >= enough);
    std::thread::sleep(Duration::from_millis(u64::from(round * 37 % 23) * 11));
}

#[test]
fn kill_9_loses_nothing_that_got_a_250() {
    let folder = tempfile::tempdir().unwrap();
    let hop = next_hop(Behaviour::Accept);
    let address = configure(folder.path(), hop.address);
    let kills = asked("MAILY_KILLS", KILLS);
    let numbers = AtomicU64::new(0);
    let mut acknowledged = Vec::new();
    for round in 0..kills {
        let daemon = start(folder.path(), address);
        acknowledged.extend(load(address, &numbers, |_| {
            wait_for_load(round, &numbers);
            drop(daemon);
        }));
    }
    let daemon = start(folder.path(), address);
    balance("kills", kills, &hop, &acknowledged);
    drop(daemon);
}

/// A file system of its own in a file, which can lose its power.
struct Image {
    file: PathBuf,
    mounted: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Image {
    /// Makes and mounts one. Without loop devices nothing would be shown, so that is a failure.
    fn make(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("disk.img");
        // Sparse, and as small as mkfs.xfs takes.
        File::create(&file).unwrap().set_len(512 << 20).unwrap();
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&file));
        let mut image = Self { file, mounted: None, _folder: folder };
        image.mount();
        image
    }

    fn mount(&mut self) {
        let point = self.file.with_file_name("disk");
        std::fs::create_dir_all(&point).unwrap();
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.file).arg(&point));
        self.mounted = Some(point);
    }

    fn path(&self) -> &Path {
        self.mounted.as_deref().unwrap()
    }

    /// What the page cache and the file system's log hold is lost from here on.
    fn cut(&self) {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(self.path()));
        let written = std::fs::write(self.path().join("after"), "the cut");
        assert!(written.is_err(), "the file system still writes: the cut did not happen");
    }

    fn unmount(&mut self) {
        if let Some(point) = self.mounted.take() {
            run(Command::new("umount").arg(point));
        }
    }

    /// Power is back: mounting replays the file system's own journal.
    fn restore(&mut self) {
        self.unmount();
        self.mount();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Some(point) = self.mounted.take() {
            // After a failed test something may still be open there.
            let _left = Command::new("umount").arg("-l").arg(point).status();
        }
    }
}

/// Runs a tool that the test cannot do without.
fn run(command: &mut Command) {
    let need = "power cuts need root, loop devices, e2fsprogs and xfsprogs (tests/packages.txt)";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {need}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {said}; {need}");
}

#[test]
fn a_power_cut_loses_nothing_that_got_a_250() {
    let kind = std::env::var("MAILY_CUT_FS").unwrap_or_else(|_| "ext4".to_owned());
    let cuts = asked("MAILY_CUTS", CUTS);
    let mut image = Image::make(&kind);
    // Greylisting leaves mail that waits through a cut, and marks beside settlements.
    let hop = next_hop(Behaviour::Greylist(Duration::from_millis(300)));
    let address = configure(image.path(), hop.address);
    // Else a cut before the first sync takes the folder with it.
    File::open(image.path().join("maily.toml")).unwrap().sync_all().unwrap();
    File::open(image.path()).unwrap().sync_all().unwrap();
    let numbers = AtomicU64::new(0);
    let mut acknowledged = Vec::new();
    for round in 0..cuts {
        let daemon = start(image.path(), address);
        load(address, &numbers, |so_far| {
            wait_for_load(round, &numbers);
            std::thread::sleep(Duration::from_millis(300));
            // Only what got its 250 before the cut binds: after it the file system still answers
            // for a moment, where a machine without power says nothing. Ext4 then calls a sync
            // good whose blocks it could not mark as written any more.
            acknowledged.extend(so_far.lock().unwrap().iter().copied());
            image.cut();
            drop(daemon);
        });
        image.restore();
    }
    let daemon = start(image.path(), address);
    balance(&format!("power cuts of {kind}"), cuts, &hop, &acknowledged);
    drop(daemon);
}

/// A disk that says it has synced and has not.
struct Forgetful;

impl Disk for Forgetful {
    fn write(&self, file: &File, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        RealDisk.write(file, slices, offset)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, path: &Path, octets: u64) -> io::Result<File> {
        RealDisk.allocate(path, octets)
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Appends until the power goes; gives how many were acknowledged, and how many of these are gone.
fn cut_a_journal(image: &mut Image, disk: Arc<dyn Disk>) -> (usize, usize) {
    let folder = image.path().join(format!("journal-{}", Arc::strong_count(&disk)));
    let options = Options { segment_octets: 64 << 10, disk, ..Options::default() };
    let journal = Journal::open(&folder, &options).unwrap();
    let (tell, told) = mpsc::channel();
    for number in 0..500_u32 {
        let meta = Bytes::from(number.to_le_bytes().to_vec());
        let draft = Draft::new(meta, Bytes::from(vec![7; 1_000])).unwrap();
        let tell = tell.clone();
        let done = move |result: Result<_, _>| {
            if result.is_ok() {
                tell.send(number).unwrap();
            }
        };
        journal.append(draft, Box::new(done));
    }
    drop(tell);
    let mut acknowledged: Vec<_> = told.iter().take(400).collect();
    image.cut();
    acknowledged.extend(told);
    drop(journal);
    image.restore();
    let journal = Journal::open(&folder, &Options::default()).unwrap();
    let mut found = Vec::new();
    for segment in journal.segments() {
        let mut scanner = Scanner::open(journal.folder(), segment).unwrap();
        while let Next::Record(record) = scanner.step().unwrap() {
            found.push(record.meta);
        }
    }
    let gone = acknowledged.iter().filter(|n| !found.iter().any(|m| **m == n.to_le_bytes()));
    (acknowledged.len(), gone.count())
}

/// Puts rows until the power goes; gives how many were told, and how many of these are gone.
fn cut_a_table(image: &mut Image) -> (usize, usize) {
    let folder = image.path().join("table");
    // So small that checkpoints are written and segments go meanwhile.
    let options = Options { segment_octets: 8 << 10, ..Options::default() };
    let table = Table::open(&folder, &options).unwrap();
    let (tell, told) = mpsc::channel();
    let writer = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for number in 0..u32::MAX {
            let value = Bytes::from(vec![7; 100]);
            if runtime.block_on(table.put(&number.to_be_bytes(), value)).is_err() {
                return;
            }
            if tell.send(number).is_err() {
                return;
            }
        }
    });
    // What was told before the cut binds.
    let acknowledged: Vec<_> = told.iter().take(2_000).collect();
    image.cut();
    drop(told);
    writer.join().unwrap();
    image.restore();
    let table = Table::open(&folder, &options).unwrap();
    let gone = acknowledged.iter().filter(|n| !table.contains(&n.to_be_bytes())).count();
    assert_eq!(table.quarantined(), 0);
    (acknowledged.len(), gone)
}

#[test]
fn a_power_cut_takes_nothing_that_a_table_has_told() {
    let mut image = Image::make("ext4");
    let (acknowledged, gone) = cut_a_table(&mut image);
    println!("a table: {acknowledged} told, {gone} lost");
    assert_eq!((acknowledged, gone), (2_000, 0));
}

/// Where the process writes that is killed.
const KV_FOLDER: &str = "MAILY_TEST_KV_FOLDER";
const KV_NAMESPACE: &str = "MAILY_TEST_KV_NAMESPACE";

/// Not a test of its own: the process whose disk goes. Tells what it has synced.
#[test]
fn a_store_of_plugins_is_written_to() {
    let Some(folder) = std::env::var_os(KV_FOLDER) else { return };
    let (store, _) = SledKv::open(Path::new(&folder), Timestamp::EPOCH).unwrap();
    let terms = KvPermission {
        namespace: std::env::var(KV_NAMESPACE).unwrap(),
        max_bytes: 1 << 30,
        ttl: Duration::from_secs(1_000_000),
    };
    for number in 0..u32::MAX {
        let change = Change::Set(format!("\"{}\"", "v".repeat(number as usize % 900)));
        let write = KvWrite { key: format!("k{number}"), change, ttl: None };
        let written = store.commit(&terms, &[write], Timestamp::EPOCH);
        if written.and_then(|()| store.sync()).is_err() {
            return;
        }
        println!("synced {number}");
    }
}

/// Writes values as a plugin until the power goes; gives how many were safe, how many of these are
/// gone, and whether the store had to be begun anew.
fn cut_the_store_of_plugins(image: &mut Image, round: usize) -> (usize, usize, bool) {
    let folder = image.path().join("kv");
    let (store, opened) = SledKv::open(&folder, Timestamp::EPOCH).unwrap();
    // A store that was begun anew holds nothing of the rounds before.
    let fresh = opened != Opened::Whole;
    let namespace = format!("r{round}");
    drop(store);
    // In a process of its own: with its disk gone, sled may wait for ever, and what is killed can
    // be left behind.
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::a_store_of_plugins_is_written_to", "--nocapture"]);
    command.env(KV_FOLDER, &folder).env(KV_NAMESPACE, &namespace).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.filter_map(|line| line.strip_prefix("synced ")?.parse::<u32>().ok());
    let safe: Vec<_> = told.take(30 + round * 17).collect();
    image.cut();
    child.kill().unwrap();
    child.wait().unwrap();
    image.restore();
    let (store, opened) = SledKv::open(&folder, Timestamp::EPOCH).unwrap();
    let there = |n: &&u32| store.get(&namespace, &format!("k{n}"), Timestamp::EPOCH);
    let gone = safe.iter().filter(|n| !matches!(there(n), Ok(Some(_)))).count();
    (safe.len(), gone, fresh || opened != Opened::Whole)
}

#[test]
fn a_power_cut_leaves_a_store_of_plugins_that_can_be_used_and_all_that_was_synced() {
    let mut image = Image::make("ext4");
    let (mut safe, mut gone, mut anew) = (0, 0, 0);
    for round in 0..8 {
        let cut = cut_the_store_of_plugins(&mut image, round);
        safe += cut.0;
        // A store that is damaged is set aside whole, and said to be: it is expendable.
        (gone, anew) = if cut.2 { (gone, anew + 1) } else { (gone + cut.1, anew) };
    }
    println!("a store of plugins: 8 cuts, {safe} synced, {gone} lost, {anew} begun anew");
    assert_eq!(gone, 0);
    assert!(anew <= 2, "{anew} of 8 stores were damaged");
}

#[test]
fn a_power_cut_takes_what_a_disk_that_skips_its_syncs_has_promised() {
    let mut image = Image::make("ext4");
    let (acknowledged, gone) = cut_a_journal(&mut image, Arc::new(Forgetful));
    println!("without syncs: {acknowledged} acknowledged, {gone} lost");
    assert!(gone * 2 > acknowledged, "the cut does not cut: {gone} of {acknowledged} lost");
    let (acknowledged, gone) = cut_a_journal(&mut image, Arc::new(RealDisk));
    println!("with syncs: {acknowledged} acknowledged, {gone} lost");
    assert!(acknowledged >= 400, "{acknowledged}");
    assert_eq!(gone, 0);
}
