//! The front door for mail that comes by HTTP: one mailing, and a message for each recipient.
//!
//! What it answers with ids is in the spool, synced, as after a 250.

use std::time::Duration;

use bytes::Bytes;

use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Origin;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::smtp::server::admission::Admission;
use maily_spool::body::Body;
use maily_spool::error::ClaimError;
use maily_spool::error::PutError;
use maily_spool::hold::Claim;
use maily_spool::hold::Hold;
use maily_spool::keyed::Key;
use maily_spool::keyed::KeyState;
use maily_spool::submission::Submission;

use crate::counters::Counters;
use crate::door::FrontDoor;
use crate::gate::Gate;

/// What is handed in.
#[derive(Debug)]
pub struct Injection {
    /// The encoded mailing that all share.
    pub mailing: Bytes,
    /// Where reports go, and what else was said of it; without recipients.
    pub envelope: Envelope,
    /// Each recipient, with their encoded binding.
    pub recipients: Vec<(Recipient, Bytes)>,
    /// Whose it is.
    pub stream: Stream,
    /// Not tried before this time.
    pub not_before: Option<Timestamp>,
    /// Given up so long after it may first be tried; the configuration's time if none is said.
    pub expire_after: Option<Duration>,
    /// By what door it came.
    pub origin: Origin,
    /// It waits until somebody has looked at it, or it expires.
    pub held: bool,
    /// The key in hand by which it is known when it comes again, from [`FrontDoor::claim`].
    pub claim: Option<Claimed>,
}

/// A key that is in hand: nobody else puts mail under it meanwhile.
#[derive(Debug)]
pub struct Claimed {
    hold: Hold,
    /// What is known of it, if a part of its mail was put before.
    known: Option<KeyState>,
}

/// What was taken of a request before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The encoded mailing.
    pub mailing: Bytes,
    /// Whether it waits until somebody has looked at it.
    pub held: bool,
}

/// What is to be done with a request that has a key.
#[derive(Debug)]
pub enum Known {
    /// All of it was taken before: the id of the first message; those of the others follow it.
    Complete(QueueId),
    /// It is to be taken, or the rest of it.
    Open(Claimed),
}

/// Why nothing of it is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no room: it should come again later.
    #[error("{0}")]
    NoRoom(Box<str>),
    /// The same key came with another request.
    #[error("this key came with another request")]
    OtherRequest,
    /// The same request is being worked on.
    #[error("this request is being worked on")]
    InProgress,
    /// Not all of it could be written.
    #[error("it could not be stored: {0}")]
    NotStored(Box<str>),
}

/// Which of the messages are to be put, and under what key.
struct Plan {
    hold: Option<Hold>,
    /// The id of the first recipient's message; the others follow it.
    first: QueueId,
    /// The recipients whose messages are to be put, rising.
    missing: Vec<u32>,
}

impl FrontDoor {
    /// Takes a message for each recipient; gives their ids in the same order, those of the first
    /// time if it was taken before.
    ///
    /// # Errors
    /// It is not taken. Where writing failed in the middle a part of it is: with the same key the
    /// rest follows.
    pub async fn inject(&self, gate: &Gate, injection: Injection) -> Result<Vec<QueueId>, Refusal> {
        let closed = match gate.admission(Some(injection.mailing.len() as u64)) {
            Admission::Open => None,
            closed => closed.refusal(),
        };
        if let Some(reply) = closed {
            return Err(Refusal::NoRoom(reply.text().into()));
        }
        self.inject_admitted(injection).await
    }

    /// The same for mail whose room was seen to before it came.
    pub(crate) async fn inject_admitted(
        &self,
        mut injection: Injection,
    ) -> Result<Vec<QueueId>, Refusal> {
        let now = self.clock.now();
        let count = injection.recipients.len() as u32;
        let plan = self.plan(injection.claim.take(), now, count);
        let ids = (0..count).map(|number| plan.first.after(number)).collect();
        if !plan.missing.is_empty() {
            self.put_all(&injection, plan, now).await?;
        }
        Ok(ids)
    }

    /// Takes the key of a request, with a digest of it, before anything else is looked at: what was
    /// taken once is answered as it was then, whatever has changed since.
    ///
    /// # Errors
    /// The key is under way, or came with another request.
    pub async fn claim(&self, key: [u8; 32], digest: [u8; 32]) -> Result<Known, Refusal> {
        let claim = self.spool.claim(Key { key, digest, at: self.clock.now() }).await;
        Ok(match claim.map_err(refused)? {
            Claim::New(hold) => Known::Open(Claimed { hold, known: None }),
            Claim::Partly(hold, state) => Known::Open(Claimed { hold, known: Some(state) }),
            Claim::Complete(state) => Known::Complete(state.first),
        })
    }

    /// Throws away a message for each recipient, for this reason, and says in the log that it did;
    /// gives their ids. A key is not kept: the same request is looked at anew.
    pub fn discard(&self, injection: Injection, reason: &str) -> Vec<QueueId> {
        let now = self.clock.now();
        let count = injection.recipients.len() as u32;
        let first = self.ids.lock().block(now, count);
        let each = (0..count).filter_map(|number| {
            let id = first.after(number);
            let accepted = self.accepted(&injection, id, number)?;
            Counters::one(&self.counters.by_plugin);
            self.note_discarded(now, id, accepted, reason.into());
            Some(id)
        });
        each.collect()
    }

    /// Those messages of a request that were taken before, as long as one of them waits: the rest
    /// must be sent the same. Reads the disk.
    pub async fn begun(&self, claimed: &Claimed) -> Option<Begun> {
        let state = claimed.known.clone()?;
        let spool = self.spool.clone();
        let find = move || {
            let taken = (0..state.count).filter(|number| !state.missing.contains(number));
            let mut waiting = taken.map(|number| state.first.after(number));
            let stored = spool.get(waiting.find(|id| spool.contains(*id))?).ok()?;
            let held = stored.submission.due == Some(stored.submission.expires_at);
            match &stored.submission.body {
                Body::Template { template, .. } => {
                    Some(Begun { mailing: spool.template(template).ok()?, held })
                }
                Body::Stored(_) => None,
            }
        };
        tokio::task::spawn_blocking(find).await.ok().flatten()
    }

    fn plan(&self, claim: Option<Claimed>, now: Timestamp, count: u32) -> Plan {
        let fresh = || self.ids.lock().block(now, count);
        let all = || (0..count).collect();
        match claim {
            None => Plan { hold: None, first: fresh(), missing: all() },
            Some(Claimed { hold, known: None }) => {
                Plan { hold: Some(hold), first: fresh(), missing: all() }
            }
            Some(Claimed { hold, known: Some(state) }) => {
                Plan { hold: Some(hold), first: state.first, missing: state.missing }
            }
        }
    }

    async fn put_all(
        &self,
        injection: &Injection,
        plan: Plan,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let template = self.spool.put_template(injection.mailing.clone()).await;
        // Held until all are put: it stays as long as it is held, or mail needs it.
        let template = template.map_err(|error| self.not_stored(&error))?;
        let messages = plan.missing.iter().filter_map(|&number| {
            self.message(injection, template.name(), plan.first.after(number), number, now)
        });
        let results = self.spool.put_batch(plan.hold, messages.collect()).await;
        let results = results.map_err(|error| self.not_stored(&error))?;
        let mut failed = None;
        for (&number, result) in plan.missing.iter().zip(results) {
            match result {
                Ok(()) => self.taken(injection, plan.first.after(number), number, now),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(self.not_stored(&error)))
    }

    fn message(
        &self,
        injection: &Injection,
        template: [u8; 32],
        id: QueueId,
        number: u32,
        now: Timestamp,
    ) -> Option<Submission> {
        let (recipient, binding) = injection.recipients.get(number as usize)?;
        let mut envelope = injection.envelope.clone();
        envelope.smtputf8 |= !recipient.forward_path.0.is_ascii();
        envelope.recipients = vec![recipient.clone()];
        let begins = injection.not_before.map_or(now, |due| due.max(now));
        let expires_at = begins + injection.expire_after.unwrap_or(self.expire_after);
        let later = injection.not_before.filter(|due| *due > now);
        Some(Submission {
            id,
            accepted_at: now,
            expires_at,
            // Due when it expires: it waits until somebody lets it go.
            due: if injection.held { Some(expires_at) } else { later },
            envelope,
            stream: injection.stream.clone(),
            body: Body::Template { template, variables: binding.clone() },
        })
    }

    fn taken(&self, injection: &Injection, id: QueueId, number: u32, now: Timestamp) {
        let Some(accepted) = self.accepted(injection, id, number) else { return };
        self.counters.taken(1, accepted.octets);
        self.note(now, id, accepted);
    }

    fn accepted(&self, injection: &Injection, id: QueueId, number: u32) -> Option<Accepted> {
        let (recipient, binding) = injection.recipients.get(number as usize)?;
        Some(Accepted {
            reverse_path: injection.envelope.reverse_path.clone(),
            recipients: vec![recipient.forward_path.clone()],
            message_id: format!("{id}@{}", self.hostname).into(),
            octets: binding.len() as u64,
            stream: injection.stream.clone(),
            origin: injection.origin.clone(),
        })
    }

    fn not_stored(&self, error: &PutError) -> Refusal {
        Counters::one(&self.counters.not_stored);
        match error {
            PutError::Full => Refusal::NoRoom("there is no room on disk".into()),
            other => {
                tracing::error!(%other, "mail from HTTP could not be stored");
                Refusal::NotStored(other.to_string().into())
            }
        }
    }
}

fn refused(error: ClaimError) -> Refusal {
    match error {
        ClaimError::InProgress => Refusal::InProgress,
        ClaimError::OtherRequest => Refusal::OtherRequest,
        other => Refusal::NoRoom(other.to_string().into()),
    }
}
