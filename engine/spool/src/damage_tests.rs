//! The spool on disks that fail and with files that were damaged, and its templates.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_journal::journal::Disk;
use maily_journal::journal::RealDisk;

use super::*;

/// Syncs cost nothing here, so that a thousand starts take seconds.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn options(segment_octets: u64) -> Options {
    let journal = JournalOptions { segment_octets, ..JournalOptions::default() };
    Options { journal, hot_octets_max: 0, ..Options::default() }
}

fn submission(number: u64) -> Submission {
    let to = Recipient::plain(Mailbox::parse(&format!("r{number}@b.example")).unwrap());
    let body = format!("message {number} ").repeat(1 + number as usize % 20);
    Submission {
        id: QueueId::from_u64(number),
        accepted_at: Timestamp::from_secs(number),
        expires_at: Timestamp::from_secs(number + 1_000),
        due: None,
        envelope: Envelope::plain(ReversePath::Null, vec![to]),
        stream: Stream::default(),
        body: Body::Stored(Bytes::from(body)),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn put(spool: &Spool, submission: Submission) -> Result<(), PutError> {
    runtime().block_on(spool.put(submission))
}

fn recovered(spool: &Spool) {
    while spool.stats().recovering {
        std::thread::yield_now();
    }
}

/// A stopped spool: 24 messages, of which a third is settled, with or without a checkpoint.
fn stopped(folder: &Path, checkpoint: bool) {
    let (tx, _rx) = mpsc::channel(100);
    let spool = Spool::open(folder, &options(4_096), tx).unwrap();
    for number in 1..=24 {
        put(&spool, submission(number)).unwrap();
        if number % 3 == 0 {
            spool.settle(QueueId::from_u64(number), &[RecipientIndex(0)]);
        }
        if checkpoint && number == 20 {
            recovered(&spool);
            spool.checkpoint().unwrap();
        }
    }
    runtime().block_on(spool.flush()).unwrap();
}

/// Starts a spool whose file had this octet flipped: nothing altered comes out, and what is missing
/// is in quarantine.
fn survives(folder: &Path, file: &Path, at: usize) {
    let (tx, mut rx) = mpsc::channel(100);
    let spool = Spool::open(folder, &options(4_096), tx).unwrap();
    recovered(&spool);
    let mut whole = 0;
    while let Ok(spooled) = rx.try_recv() {
        let number = spooled.id.as_u64();
        match spool.get(spooled.id) {
            Ok(stored) => {
                assert_eq!(stored.submission, submission(number), "{} octet {at}", file.display());
                whole += u32::from(number % 3 != 0);
            }
            Err(error) => assert!(matches!(error, GetError::Damaged(_)), "{error}"),
        }
    }
    let kept = spool.stats().quarantined;
    let name = file.display();
    assert!(whole >= 15, "{name} octet {at}: {whole} of 16 messages");
    assert!(whole == 16 || kept == 1, "{name} octet {at}: {whole} of 16, {kept} in quarantine");
}

#[test]
fn a_flipped_octet_anywhere_alters_no_mail_and_loses_none_unseen() {
    let mut variants = 0;
    for checkpoint in [false, true] {
        let dir = folder();
        stopped(dir.path(), checkpoint);
        let files = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
            let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let files = paths.filter(|path| path.is_file() && !path.ends_with("lock"));
            files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
        };
        let whole = files(dir.path());
        assert_eq!(whole.keys().any(|path| path.ends_with("checkpoint")), checkpoint);
        for (path, octets) in &whole {
            // Another octet of each 64 for each file, so that headers are hit at all their places.
            for at in (variants % 64..octets.len()).step_by(64) {
                for path in files(dir.path()).into_keys() {
                    std::fs::remove_file(path).unwrap();
                }
                let _clean = std::fs::remove_dir_all(dir.path().join("quarantine"));
                whole.iter().for_each(|(path, octets)| std::fs::write(path, octets).unwrap());
                let mut damaged = octets.clone();
                damaged[at] ^= 1 << (at / 64 % 8);
                std::fs::write(path, damaged).unwrap();
                survives(dir.path(), path, at);
                variants += 1;
            }
        }
    }
    assert!(variants > 300, "{variants} variants");
}

#[test]
fn a_record_that_is_whole_but_says_nothing_known_goes_to_quarantine() {
    let dir = folder();
    stopped(dir.path(), false);
    let journal = Journal::open(dir.path(), &options(4_096).journal).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let strange = maily_journal::record::Draft::new(Bytes::from_static(&[1, 99, 7]), Bytes::new());
    journal.append(strange.unwrap(), Box::new(move |result| tell.send(result).unwrap()));
    told.recv().unwrap().unwrap();
    drop(journal);
    let (tx, _rx) = mpsc::channel(100);
    let spool = Spool::open(dir.path(), &options(4_096), tx).unwrap();
    recovered(&spool);
    assert_eq!((spool.stats().waiting, spool.stats().quarantined), (16, 1));
    drop(spool);
    let (tx, _rx) = mpsc::channel(100);
    let spool = Spool::open(dir.path(), &options(4_096), tx).unwrap();
    recovered(&spool);
    assert_eq!(spool.stats().quarantined, 1, "counted once");
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

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync_folder(path)
    }
}

#[test]
fn a_failed_sync_refuses_the_message_and_the_next_one_is_taken_in_another_segment() {
    let dir = folder();
    let disk = Arc::new(Failing(AtomicU32::new(0)));
    let mut options = options(1 << 20);
    options.journal.disk = Arc::clone(&disk) as Arc<dyn Disk>;
    let (tx, mut rx) = mpsc::channel(100);
    let spool = Spool::open(dir.path(), &options, tx).unwrap();
    put(&spool, submission(1)).unwrap();
    disk.0.store(1, Ordering::SeqCst);
    assert!(matches!(put(&spool, submission(2)), Err(PutError::Failed(_))));
    assert_eq!(spool.stats().failures, 1);
    put(&spool, submission(3)).unwrap();
    // A settlement is written again until it is on disk.
    disk.0.store(3, Ordering::SeqCst);
    spool.settle(QueueId::from_u64(1), &[RecipientIndex(0)]);
    while spool.stats().failures < 4 {
        std::thread::yield_now();
    }
    runtime().block_on(spool.flush()).unwrap();
    assert_eq!(spool.get(QueueId::from_u64(2)), Err(GetError::Unknown));
    let handed: Vec<_> = std::iter::from_fn(|| rx.try_recv().ok()).map(|s| s.id.as_u64()).collect();
    assert_eq!(handed, [1, 3]);
    drop(spool);
    let (tx, _rx) = mpsc::channel(100);
    let spool = Spool::open(dir.path(), &options, tx).unwrap();
    recovered(&spool);
    assert!(spool.contains(QueueId::from_u64(3)) && !spool.contains(QueueId::from_u64(1)));
}

fn late_bound(number: u64, template: [u8; 32]) -> Submission {
    let variables = Bytes::from(format!("name=n{number}"));
    Submission { body: Body::Template { template, variables }, ..submission(number) }
}

#[test]
fn a_template_is_kept_once_for_all_mail_that_is_rendered_from_it_and_goes_after_it() {
    let dir = folder();
    let content = Bytes::from("Dear {{name}},\r\n".repeat(100));
    let open = || {
        let (tx, rx) = mpsc::channel(10_000);
        (Spool::open(dir.path(), &options(8_192), tx).unwrap(), rx)
    };
    let (spool, mut rx) = open();
    let unknown = put(&spool, late_bound(1, [7; 32]));
    assert_eq!(unknown, Err(PutError::UnknownTemplate));
    let kept = runtime().block_on(spool.put_template(content.clone())).unwrap();
    let name = kept.name();
    assert_eq!(runtime().block_on(spool.put_template(content.clone())).unwrap().name(), name);
    for number in 1..=50 {
        put(&spool, late_bound(number, name)).unwrap();
    }
    assert!(spool.stats().live_octets < 12_000, "{} octets", spool.stats().live_octets);
    let stored = spool.get(QueueId::from_u64(9)).unwrap();
    assert_eq!(stored.submission, late_bound(9, name));
    recovered(&spool);
    spool.checkpoint().unwrap();
    drop(kept);
    (2..=50).for_each(|n| spool.settle(QueueId::from_u64(n), &[RecipientIndex(0)]));
    // Other mail makes the journal go on, so that the template's segment is given back.
    let oldest = dir.path().join("0000000000000001.seg");
    let mut number = 1_000;
    let mut go_on = |spool: &Spool, rx: &mut mpsc::Receiver<Spooled>, enough: &dyn Fn() -> bool| {
        while !enough() {
            number += 1;
            put(spool, submission(number)).unwrap();
            spool.settle(QueueId::from_u64(number), &[RecipientIndex(0)]);
            while rx.try_recv().is_ok() {}
        }
    };
    go_on(&spool, &mut rx, &|| !oldest.exists());
    assert_eq!(spool.template(&name), Ok(content.clone()), "moved, because mail needs it");
    drop(spool);
    for checkpoint in [true, false] {
        let (spool, _rx) = open();
        recovered(&spool);
        assert_eq!(spool.stats().waiting, 1);
        assert_eq!(spool.template(&name), Ok(content.clone()));
        if checkpoint {
            spool.checkpoint().unwrap();
        }
    }
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let (spool, mut rx) = open();
    recovered(&spool);
    assert_eq!(spool.template(&name), Ok(content));
    assert_eq!(spool.get(QueueId::from_u64(1)).unwrap().submission, late_bound(1, name));
    spool.settle(QueueId::from_u64(1), &[RecipientIndex(0)]);
    go_on(&spool, &mut rx, &|| spool.template(&name).is_err());
    assert_eq!(spool.template(&name), Err(GetError::Unknown));
    assert_eq!(put(&spool, late_bound(60, name)), Err(PutError::UnknownTemplate));
}

#[test]
fn a_template_that_is_held_stays_though_no_mail_needs_it_and_goes_when_it_is_let_go() {
    let dir = folder();
    let (queue, mut queued) = mpsc::channel(100);
    let spool = Spool::open(dir.path(), &options(4_096), queue).unwrap();
    let content = Bytes::from("Dear {{name}}");
    let kept = runtime().block_on(spool.put_template(content.clone())).unwrap();
    recovered(&spool);
    let mut number = 0;
    let mut go_on = |until: &dyn Fn() -> bool| {
        while !until() {
            number += 1;
            put(&spool, submission(number)).unwrap();
            spool.settle(QueueId::from_u64(number), &[RecipientIndex(0)]);
            while queued.try_recv().is_ok() {}
        }
    };
    // Its segment goes, and it does not.
    let oldest = dir.path().join("0000000000000001.seg");
    go_on(&|| !oldest.exists());
    assert_eq!(spool.template(&kept.name()), Ok(content));
    let name = kept.name();
    put(&spool, late_bound(100_000, name)).unwrap();
    spool.settle(QueueId::from_u64(100_000), &[RecipientIndex(0)]);
    drop(kept);
    go_on(&|| spool.template(&name).is_err());
}
