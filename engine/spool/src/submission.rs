//! The values that go into the spool and come out of it.

use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;

use crate::body::Body;

/// A message for us to take responsibility for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its name from now on.
    pub id: QueueId,
    /// When the client handed it in.
    pub accepted_at: Timestamp,
    /// When we give up on it.
    pub expires_at: Timestamp,
    /// It is not tried before this time; at once if there is none.
    pub due: Option<Timestamp>,
    /// Who to whom.
    pub envelope: Envelope,
    /// Whose it is.
    pub stream: Stream,
    /// What it says.
    pub body: Body,
}

/// A message on disk, as the queue needs to know it: no addresses, no body.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The domain.
    pub domain: Domain,
    /// Attempts so far.
    pub attempts: u32,
    /// When to try next.
    pub due: Timestamp,
    /// Recipients there that are not settled.
    pub recipients: u32,
}

/// A message read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// As it was put.
    pub submission: Submission,
    /// The recipients that are not settled, in rising order.
    pub unsettled: Vec<RecipientIndex>,
}

/// What an attempt left to do: written so that a restart does not guess.
#[derive(Clone, Debug, PartialEq, Eq)]
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

impl Submission {
    /// When it could first be tried: its age is counted from here.
    pub fn ready_at(&self) -> Timestamp {
        self.due.map_or(self.accepted_at, |due| due.max(self.accepted_at))
    }

    /// All its recipients.
    pub(crate) fn everyone(&self) -> Vec<RecipientIndex> {
        (0..self.envelope.recipients.len() as u32).map(RecipientIndex).collect()
    }

    /// What the queue needs to know of it, before any attempt.
    pub fn spooled(&self) -> Spooled {
        let mut destinations: Vec<Waiting> = Vec::new();
        for recipient in &self.envelope.recipients {
            let domain = recipient.forward_path.0.domain();
            match destinations.iter_mut().find(|waiting| waiting.domain == *domain) {
                Some(waiting) => waiting.recipients += 1,
                None => destinations.push(Waiting {
                    domain: domain.clone(),
                    attempts: 0,
                    due: self.due.unwrap_or(self.accepted_at),
                    recipients: 1,
                }),
            }
        }
        Spooled {
            id: self.id,
            accepted_at: self.accepted_at,
            expires_at: self.expires_at,
            stream: self.stream.clone(),
            destinations,
        }
    }
}
