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

    pub(crate) fn into_submission(self, body: Bytes) -> Submission {
        Submission {
            id: self.id,
            accepted_at: self.accepted_at,
            expires_at: self.expires_at,
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
