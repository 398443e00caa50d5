//! The listing beside a spool that is at work.

use bytes::Bytes;
use tokio::sync::mpsc;

use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_journal::journal::Options as JournalOptions;

use super::*;
use crate::body::Body;
use crate::spool::Options;
use crate::spool::Spool;
use crate::submission::Submission;

fn submission(number: u64) -> Submission {
    let to = Recipient::plain(Mailbox::parse("a@b.example").unwrap());
    Submission {
        id: QueueId::from_u64(number),
        accepted_at: Timestamp::from_secs(number),
        expires_at: Timestamp::from_secs(number + 1_000),
        due: None,
        envelope: Envelope::plain(ReversePath::Null, vec![to]),
        stream: Stream::default(),
        body: Body::Stored(Bytes::from("y".repeat(1_000))),
    }
}

#[test]
fn a_message_that_is_moved_while_the_listing_reads_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (tx, mut rx) = mpsc::channel(2_000);
    let journal = JournalOptions { segment_octets: 16 << 10, ..JournalOptions::default() };
    let options = Options { journal, ..Options::default() };
    let spool = Spool::open(dir.path(), &options, tx).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let put = |number: u64| runtime.block_on(spool.put(submission(number))).unwrap();
    put(1);
    let mut number = 1;
    let oldest = dir.path().join("0000000000000001.seg");
    let listed = read_with(dir.path(), |segment| {
        // Its segment goes after the folder was read and before it is opened.
        while segment == 1 && oldest.exists() {
            number += 1;
            put(number);
            spool.settle(QueueId::from_u64(number), &[RecipientIndex(0)]);
            rx.try_recv().unwrap();
        }
    });
    let listed: Vec<_> = listed.unwrap().iter().map(|message| message.id.as_u64()).collect();
    assert!(number > 10, "the oldest segment went after {number} messages");
    assert!(listed.contains(&1), "{listed:?}");
}
