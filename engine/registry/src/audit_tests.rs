//! Tests of the audit log: it grows, survives, and shows whoever meddles with it.

use maily_journal::journal::RealDisk;

use super::*;
use crate::audit_entry::tests::deed;
use crate::audit_walk::Verdict;
use crate::audit_walk::verify;

async fn fill(folder: &Path, numbers: std::ops::RangeInclusive<u64>) -> Head {
    let audit = Audit::open(folder).unwrap();
    let mut head = audit.head();
    for number in numbers {
        head = audit.append(deed(number)).await.unwrap();
    }
    head
}

/// All entries as they lie on disk.
fn octets(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    audit_walk::walk(folder, |place| -> Option<()> {
        found.push(place.unwrap().1.to_vec());
        None
    })
    .unwrap();
    found
}

/// Writes a log of these octets, with checksums that are right: what somebody does who knows how.
fn forge(folder: &Path, entries: &[Vec<u8>]) {
    let options = Options { disk: Arc::new(RealDisk), ..Options::small() };
    let journal = Journal::open(folder, &options).unwrap();
    for entry in entries {
        let draft = Draft::new(Bytes::from(entry.clone()), Bytes::new()).unwrap();
        journal.append_soon(draft, None);
    }
}

fn broken(folder: &Path, known: Option<Head>) -> (u64, String) {
    match verify(folder, known).unwrap() {
        Verdict::Broken(broken) => (broken.number, broken.why),
        Verdict::Whole(head) => panic!("whole up to {head:?}"),
    }
}

#[tokio::test]
async fn a_log_is_whole_over_restarts_and_read_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Audit::open(dir.path()).unwrap().head(), Head::default());
    fill(dir.path(), 1..=5).await;
    let head = fill(dir.path(), 6..=9).await;
    assert_eq!(verify(dir.path(), None), Ok(Verdict::Whole(head)));
    assert_eq!(head.number, 9);
    let audit = Audit::open(dir.path()).unwrap();
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = audit.page(None, after, 2).unwrap();
        seen.extend(page.entries.iter().map(|(entry, _)| entry.number));
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    let last = audit.page(None, 8, 10).unwrap();
    assert_eq!(last.entries[0].1, head.hash);
    let other = "other".parse().unwrap();
    assert_eq!(audit.page(Some(&other), 0, 10).unwrap().entries, []);
    assert_eq!(audit.page(Some(&"shop".parse().unwrap()), 0, 10).unwrap().entries.len(), 9);
    assert!(audit.page(None, u64::MAX - 1, 10).unwrap().entries.is_empty());
}

#[tokio::test]
async fn entries_written_at_once_stand_in_the_order_of_their_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..200 {
        let audit = audit.clone();
        writing.spawn(async move { audit.append(deed(number)).await.unwrap() });
    }
    while writing.join_next().await.is_some() {}
    let head = audit.head();
    assert_eq!((head.number, verify(dir.path(), None)), (200, Ok(Verdict::Whole(head))));
}

#[tokio::test]
async fn a_flipped_octet_anywhere_names_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let head = fill(dir.path(), 1..=5).await;
    let whole = octets(dir.path());
    for at in 0..whole[2].len() {
        let mut entries = whole.clone();
        entries[2][at] ^= 1;
        let forged = tempfile::tempdir().unwrap();
        forge(forged.path(), &entries);
        let (number, why) = broken(forged.path(), Some(head));
        // What is said in the third is proved by the fourth.
        assert!([3, 4].contains(&number), "octet {at}: {number} {why}");
    }
    // The last one is proved by what somebody wrote down.
    let mut entries = whole;
    *entries[4].last_mut().unwrap() ^= 1;
    let forged = tempfile::tempdir().unwrap();
    forge(forged.path(), &entries);
    assert_eq!(broken(forged.path(), Some(head)).0, 5);
}

#[tokio::test]
async fn damage_on_disk_names_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 1..=5).await;
    let third = octets(dir.path())[2].clone();
    let path = Folder::new(dir.path()).segment_path(1);
    let mut file = std::fs::read(&path).unwrap();
    let at = file.windows(third.len()).position(|window| window == third).unwrap();
    file[at + 40] ^= 1;
    std::fs::write(&path, file).unwrap();
    let (number, why) = broken(dir.path(), None);
    assert_eq!(number, 3, "{why}");
    assert!(why.contains("damaged"), "{why}");
}

#[tokio::test]
async fn an_entry_that_was_taken_out_put_in_or_moved_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let head = fill(dir.path(), 1..=5).await;
    let whole = octets(dir.path());
    let forged = |entries: &[Vec<u8>]| {
        let dir = tempfile::tempdir().unwrap();
        forge(dir.path(), entries);
        broken(dir.path(), Some(head)).0
    };
    for taken in 0..5 {
        let mut entries = whole.clone();
        entries.remove(taken);
        assert_eq!(forged(&entries), taken as u64 + 1);
    }
    let mut twice = whole.clone();
    twice.insert(2, whole[1].clone());
    assert_eq!(forged(&twice), 3);
    let mut moved = whole.clone();
    moved.swap(1, 2);
    assert_eq!(forged(&moved), 2);
    assert_eq!(forged(&[]), 1);
}

#[tokio::test]
async fn a_log_written_anew_is_seen_by_whoever_knows_a_hash() {
    let dir = tempfile::tempdir().unwrap();
    let head = fill(dir.path(), 1..=5).await;
    let anew = tempfile::tempdir().unwrap();
    fill(anew.path(), 11..=15).await;
    assert!(matches!(verify(anew.path(), None), Ok(Verdict::Whole(_))));
    assert_eq!(broken(anew.path(), Some(head)).0, 5);
    fill(dir.path(), 6..=6).await;
    assert!(matches!(verify(dir.path(), Some(head)), Ok(Verdict::Whole(_))), "it has grown");
}

/// A disk whose syncs fail while it is told so.
#[derive(Default)]
struct Failing(std::sync::atomic::AtomicBool);

impl maily_journal::journal::Disk for Failing {
    fn write(
        &self,
        file: &std::fs::File,
        slices: &[std::io::IoSlice<'_>],
        offset: u64,
    ) -> std::io::Result<usize> {
        RealDisk.write(file, slices, offset)
    }

    fn sync(&self, file: &std::fs::File) -> std::io::Result<()> {
        if self.0.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(std::io::Error::other("told to"));
        }
        RealDisk.sync(file)
    }

    fn allocate(&self, path: &Path, octets: u64) -> std::io::Result<std::fs::File> {
        RealDisk.allocate(path, octets)
    }
}

#[tokio::test]
async fn after_a_failed_sync_the_chain_goes_on_from_what_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Failing::default());
    let options = Options { disk: Arc::clone(&disk) as _, ..Options::small() };
    let audit = Audit::open_with(dir.path(), &options).unwrap();
    audit.append(deed(1)).await.unwrap();
    disk.0.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(audit.append(deed(2)).await.is_err());
    disk.0.store(false, std::sync::atomic::Ordering::SeqCst);
    let head = audit.append(deed(3)).await.unwrap();
    assert_eq!(verify(dir.path(), None), Ok(Verdict::Whole(head)));
}

#[tokio::test]
async fn an_entry_that_nobody_waits_for_is_written_and_the_next_one_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    for number in 0..50 {
        let mut gone = Box::pin(audit.append(deed(number)));
        // Handed to the writer, then let go.
        std::future::poll_fn(|context| {
            let _pending = gone.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
    }
    let head = audit.append(deed(99)).await.unwrap();
    assert!(head.number > 1);
    assert_eq!(verify(dir.path(), None), Ok(Verdict::Whole(head)));
}
