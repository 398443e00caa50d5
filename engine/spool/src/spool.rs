//! The spool: every accepted message until its last recipient is settled.
//!
//! Sketch of the door; the journal beneath it is in the works.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::{Envelope, RecipientIndex, Stream};
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;

use crate::body::Body;

/// A message for us to take responsibility for.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its name from now on.
    pub id: QueueId,
    /// When the client handed it in.
    pub accepted_at: Timestamp,
    /// When we give up on it.
    pub expires_at: Timestamp,
    /// Who to whom.
    pub envelope: Envelope,
    /// Whose it is.
    pub stream: Stream,
    /// What it says.
    pub body: Body,
}

/// A message on disk, as the queue needs to know it: no addresses, no body.
#[derive(Clone, Debug)]
pub struct Spooled {
    /// Its name.
    pub id: QueueId,
    /// When we took it.
    pub accepted_at: Timestamp,
    /// When we give up on it.
    pub expires_at: Timestamp,
    /// Whose it is.
    pub stream: Stream,
    /// Where it still has to go, one entry a domain.
    pub destinations: Vec<Waiting>,
}

/// One domain with recipients that are not settled.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The domain.
    pub domain: Domain,
    /// Attempts so far.
    pub attempts: u32,
    /// When to try next.
    pub due: Timestamp,
}

/// A message read back.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As it was put.
    pub submission: Submission,
    /// The recipients that are not settled, in rising order.
    pub unsettled: Vec<RecipientIndex>,
}

/// What an attempt left to do: written so that a restart does not guess.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Which message.
    pub id: QueueId,
    /// Which of its recipients, all of one domain.
    pub recipients: Vec<RecipientIndex>,
    /// Attempts so far.
    pub attempts: u32,
    /// When to try next.
    pub due: Timestamp,
    /// What the last attempt heard.
    pub diagnosis: Diagnosis,
}

/// Why a message was not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PutError {
    /// The disk has no room beside the reserve for settling what is there.
    #[error("the spool's disk is full")]
    Full,
    /// A write or sync failed; the segment is closed, nothing of it was acknowledged.
    #[error("the spool could not be written: {0}")]
    Failed(String),
}

/// Why a message could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GetError {
    /// There is no such message, or all of it is settled.
    #[error("no such message in the spool")]
    Unknown,
    /// Its record is damaged: it is in quarantine.
    #[error("the record is damaged and was quarantined: {0}")]
    Damaged(String),
    /// It could not be read.
    #[error("the spool could not be read: {0}")]
    Failed(String),
}

/// The spool could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// A handle to the spool; clones share it.
#[derive(Clone, Debug)]
pub struct Spool {}

impl Spool {
    /// Opens the spool in this folder, which is made if missing. All that waits, and from then on
    /// each message that is put, comes out of `queue` once, after it is on disk.
    pub fn open(_folder: &Path, _queue: mpsc::Sender<Spooled>) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// Takes responsibility: returns when the message is on disk and synced, and not before.
    ///
    /// If the caller stops waiting, the message may still be taken.
    pub async fn put(&self, _submission: Submission) -> Result<(), PutError> {
        unimplemented!()
    }

    /// The message, if it is still in memory from being put; never touches the disk.
    pub fn hot(&self, _id: QueueId) -> Option<Arc<Stored>> {
        unimplemented!()
    }

    /// Reads the message from disk; blocks.
    pub fn get(&self, _id: QueueId) -> Result<Arc<Stored>, GetError> {
        unimplemented!()
    }

    /// Notes an attempt. Returns at once; written and synced with the next group.
    pub fn mark(&self, _mark: Mark) {
        unimplemented!()
    }

    /// These recipients are done with. Returns at once; written and synced with the next group.
    pub fn settle(&self, _id: QueueId, _recipients: &[RecipientIndex]) {
        unimplemented!()
    }

    /// Returns when all that was marked and settled before is on disk.
    pub async fn flush(&self) {
        unimplemented!()
    }
}
