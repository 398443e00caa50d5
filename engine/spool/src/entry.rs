//! What the spool's journal records say. The meta part of a record is a format number and one
//! [`Entry`]; the body part is the message's octets, or a template's variables.
//!
//! The set only grows: a variant or field is never removed or reordered, because spools outlive
//! versions.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;

use crate::body::Body;
use crate::submission::Submission;

/// The format of entries that this version writes; it reads none that is newer.
const FORMAT: u8 = 1;

/// One record's meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A message was taken.
    Accept(Accept),
    /// An attempt left something to do.
    Mark(MarkEntry),
    /// These recipients are done with.
    Settle {
        /// Of which message.
        id: QueueId,
        /// Which.
        recipients: Vec<RecipientIndex>,
    },
    /// A message was moved here from an old segment, with all that had become of it.
    Moved {
        /// As it was accepted.
        accept: Accept,
        /// Recipients that are done with.
        settled: Vec<RecipientIndex>,
        /// What attempts left to do.
        marks: Vec<MarkEntry>,
    },
    /// The sender was told that these recipients' mail is late.
    Noticed {
        /// Of which message.
        id: QueueId,
        /// Which.
        recipients: Vec<RecipientIndex>,
    },
    /// The body part is the template with this SHA-256.
    Template([u8; 32]),
    /// A request with an idempotency key is taken: what it puts follows.
    Keyed(Keyed),
}

/// What is known of a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keyed {
    /// The hash of the key and of whose it is.
    pub(crate) key: [u8; 32],
    /// The request's digest.
    pub(crate) digest: [u8; 32],
    /// The first of the ids that it has.
    pub(crate) first: QueueId,
    /// How many ids it has.
    pub(crate) count: u32,
    /// When it came.
    pub(crate) at: Timestamp,
    /// All of these are on disk.
    pub(crate) complete: bool,
    /// If not, a bit for each that was on disk when this was written.
    pub(crate) accepted: Vec<u64>,
}

/// A message without its content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Accept {
    pub(crate) id: QueueId,
    pub(crate) accepted_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) envelope: Envelope,
    pub(crate) stream: Stream,
    pub(crate) content: Content,
}

/// What the body part is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// The message's octets.
    Stored,
    /// Variables for the template with this SHA-256.
    Template([u8; 32]),
}

/// One attempt's remainder for recipients of one domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MarkEntry {
    pub(crate) id: QueueId,
    pub(crate) recipients: Vec<RecipientIndex>,
    pub(crate) attempts: u32,
    pub(crate) due: Timestamp,
    pub(crate) diagnosis: Option<Diagnosis>,
}

impl Keyed {
    /// The last of the ids that it has.
    pub(crate) const fn last(&self) -> QueueId {
        self.first.after(self.count.saturating_sub(1))
    }
}

impl Entry {
    /// The entry of a new message. One that has to wait is written as if it had been moved after no
    /// attempt, so that its time comes with it.
    pub(crate) fn of(submission: &Submission) -> Self {
        let accept = Accept::of(submission);
        let Some(due) = submission.due else { return Self::Accept(accept) };
        let recipients = submission.everyone();
        let (id, attempts, diagnosis) = (accept.id, 0, None);
        let marks = vec![MarkEntry { id, recipients, attempts, due, diagnosis }];
        Self::Moved { accept, settled: Vec::new(), marks }
    }
}

impl Accept {
    pub(crate) fn of(submission: &Submission) -> Self {
        Self {
            id: submission.id,
            accepted_at: submission.accepted_at,
            expires_at: submission.expires_at,
            envelope: submission.envelope.clone(),
            stream: submission.stream.clone(),
            content: match submission.body {
                Body::Stored(_) => Content::Stored,
                Body::Template { template, .. } => Content::Template(template),
            },
        }
    }

    /// The template that it is rendered from.
    pub(crate) const fn template(&self) -> Option<[u8; 32]> {
        match self.content {
            Content::Stored => None,
            Content::Template(template) => Some(template),
        }
    }

    /// The message as it was put; `due` is kept beside it.
    pub(crate) fn into_submission(self, body: Bytes, due: Option<Timestamp>) -> Submission {
        Submission {
            id: self.id,
            accepted_at: self.accepted_at,
            expires_at: self.expires_at,
            due,
            envelope: self.envelope,
            stream: self.stream,
            body: match self.content {
                Content::Stored => Body::Stored(body),
                Content::Template(template) => Body::Template { template, variables: body },
            },
        }
    }
}

/// Why an entry was not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("entry of format {0}, newer than this version reads")]
    Newer(u8),
    #[error("entry not understood: {0}")]
    Damaged(String),
}

/// The entry as a record's meta part.
pub(crate) fn encode(entry: &Entry) -> Result<Bytes, postcard::Error> {
    postcard::to_extend(entry, vec![FORMAT]).map(Bytes::from)
}

/// The entry in a record's meta part.
pub(crate) fn decode(meta: &[u8]) -> Result<Entry, DecodeError> {
    match meta.split_first() {
        Some((&FORMAT, rest)) => {
            postcard::from_bytes(rest).map_err(|error| DecodeError::Damaged(error.to_string()))
        }
        Some((&format, _)) if format > FORMAT => Err(DecodeError::Newer(format)),
        _ => Err(DecodeError::Damaged("empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_by_the_first_version_that_had_keys() {
        // A seed of the fuzzers: an entry behind its length.
        let seed: &[u8] = include_bytes!("../../../fuzz/seeds/spool_entry/2");
        let wanted = Entry::Keyed(Keyed {
            key: [0xaa; 32],
            digest: [0xbb; 32],
            first: QueueId::from_u64(1 << 22),
            count: 70,
            at: Timestamp::from_secs(1_795_392_378),
            complete: false,
            accepted: vec![u64::MAX, 5],
        });
        let octets = [&[FORMAT], &seed[1..]].concat();
        assert_eq!(decode(&octets).unwrap(), wanted);
        assert_eq!(encode(&wanted).unwrap(), octets);
    }
}
