//! What comes in by SMTP.
//!
//! What it answers with 250 is in the spool, synced (RFC 5321 6.1).

use std::net::IpAddr;

use bytes::Bytes;
use maily_core::event::Accepted;
use maily_core::event::Origin;
use maily_core::mail::envelope::Class;
use maily_core::mail::envelope::ForwardPath;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::render::adopted::Wishes;
use maily_core::render::edit;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::server::Transaction;
use maily_core::smtp::server::trace::Header;
use maily_core::smtp::server::trace::Stamp;
use maily_plugins::answer::Verdict;
use maily_plugins::input::AcceptInput;
use maily_spool::body::Body;
use maily_spool::error::PutError;
use maily_spool::submission::Submission;

use crate::adopting;
use crate::adopting::Letter;
use crate::auth::User;
use crate::counters::Counters;
use crate::door::FrontDoor;
use crate::feedback::Ours;
use crate::hooks;

impl FrontDoor {
    /// Takes a message that came by SMTP from this address, as this user if it authenticated; gives
    /// the reply to the end of data.
    pub async fn accept(
        &self,
        mut transaction: Transaction,
        client: IpAddr,
        user: Option<&User>,
    ) -> Reply {
        let mut reply = None;
        for ours in self.feedback.for_us(&mut transaction.envelope) {
            let kind = match ours {
                Ours::Complaints => Some(&self.counters.complaints),
                Ours::Return(..) => Some(&self.counters.returned),
                Ours::Unsubscribe => None,
            };
            let said = self.feedback.on_mail(ours, &transaction.message).await;
            if said.code >= 400 {
                return said;
            }
            kind.into_iter().for_each(Counters::one);
            reply = Some(said);
        }
        if transaction.envelope.recipients.is_empty()
            && let Some(reply) = reply
        {
            return reply;
        }
        self.take(transaction, client, user).await
    }

    async fn take(&self, transaction: Transaction, client: IpAddr, user: Option<&User>) -> Reply {
        let now = self.clock.now();
        let header = Header::read(&transaction.message);
        if header.is_loop() {
            Counters::one(&self.counters.loops);
            return Reply::new(554, EnhancedStatus::new(5, 4, 6), "too many hops: a mail loop");
        }
        let id = self.ids.lock().next(now);
        let message = Stamp { host: &self.hostname, client, id, now }.apply(&transaction, &header);
        let (message, fate) = match self.look(id, &transaction, client, message).await {
            Ok(looked) => looked,
            Err(refusal) => return refusal,
        };
        if transaction.trusted && !matches!(fate, Fate::Discarded(_)) {
            match Wishes::read(&transaction.message) {
                Ok(None) => {}
                Ok(Some(wishes)) => {
                    let stream = stream(header, transaction.trusted, user);
                    let held = fate == Fate::Held;
                    let letter = Letter { message, wishes, stream, client, held };
                    return self.adopt(letter, transaction).await;
                }
                Err(fault) => return adopting::refusal(&[fault]),
            }
        }
        let message_id = match &*header.message_id {
            "" => format!("{id}@{}", self.hostname).into(),
            known => known.into(),
        };
        let stream = stream(header, transaction.trusted, user);
        let accepted = Accepted {
            reverse_path: transaction.envelope.reverse_path.clone(),
            recipients: paths(&transaction.envelope.recipients),
            message_id,
            octets: message.len() as u64,
            stream: stream.clone(),
            origin: Origin::Smtp {
                client,
                helo: transaction.helo,
                user: transaction.user.unwrap_or_default(),
                tls: transaction.tls,
            },
        };
        let expires_at = now + self.expire_after;
        let submission = Submission {
            id,
            accepted_at: now,
            expires_at,
            // Due when it expires: it waits until somebody lets it go.
            due: (fate == Fate::Held).then_some(expires_at),
            envelope: transaction.envelope,
            stream,
            body: Body::Stored(message),
        };
        if let Fate::Discarded(reason) = fate {
            self.note_discarded(now, id, accepted, reason);
            return queued(id);
        }
        self.put(submission, accepted).await
    }

    /// Stores a message; gives the reply to the end of data.
    async fn put(&self, submission: Submission, accepted: Accepted) -> Reply {
        let (now, id) = (submission.accepted_at, submission.id);
        match self.spool.put(submission).await {
            Ok(()) => {
                self.counters.taken(accepted.recipients.len(), accepted.octets);
                tracing::debug!(%id, octets = accepted.octets, "accepted");
                self.note(now, id, accepted);
                queued(id)
            }
            Err(PutError::Full) => {
                Counters::one(&self.counters.not_stored);
                let text = "no room on disk, try again later";
                Reply::new(452, EnhancedStatus::new(4, 3, 1), text)
            }
            Err(error) => {
                Counters::one(&self.counters.not_stored);
                tracing::error!(%id, %error, "a message could not be stored");
                let text = "could not be stored, try again later";
                Reply::new(451, EnhancedStatus::new(4, 3, 0), text)
            }
        }
    }
}

impl FrontDoor {
    /// Asks plugins about a message: gives it as they want it, and what becomes of it.
    async fn look(
        &self,
        id: QueueId,
        transaction: &Transaction,
        client: IpAddr,
        message: Bytes,
    ) -> Result<(Bytes, Fate), Reply> {
        let recipients = transaction.envelope.recipients.iter();
        let reverse_path = match &transaction.envelope.reverse_path {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        };
        let input = AcceptInput {
            queue_id: id.to_string(),
            reverse_path,
            recipients: recipients.map(|to| to.forward_path.to_string()).collect(),
            size: message.len() as u64,
            ip: client.to_string(),
            hello: transaction.helo.to_string(),
            auth: transaction.user.as_deref().map(str::to_owned),
            via: "smtp".to_owned(),
            ..AcceptInput::default()
        };
        let Some(asked) = self.hooks.ask(input, message.clone()).await else {
            return Ok((message, Fate::Sent));
        };
        let by = asked.by.unwrap_or_default();
        if let Some(reply) = hooks::refusal(&asked.verdict) {
            Counters::one(&self.counters.by_plugin);
            tracing::info!(%id, by, %reply, "a plugin does not let a message in");
            return Err(reply);
        }
        let edits = asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let message = edit::apply(&message, edits).unwrap_or_else(|error| {
            tracing::warn!(%id, %error, "header fields of a plugin were left out");
            message.clone()
        });
        match asked.verdict {
            Verdict::Discard { why } => {
                Counters::one(&self.counters.by_plugin);
                let why = format!("discarded by the plugin {by}: {why}");
                Ok((message, Fate::Discarded(why.into())))
            }
            Verdict::Hold { why } => {
                Counters::one(&self.counters.by_plugin);
                tracing::info!(%id, by, why, "a plugin holds a message");
                Ok((message, Fate::Held))
            }
            _ => Ok((message, Fate::Sent)),
        }
    }
}

/// What becomes of a message that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It is sent.
    Sent,
    /// It waits until somebody has looked at it.
    Held,
    /// It is thrown away, for this reason.
    Discarded(Box<str>),
}

fn queued(id: QueueId) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), &format!("queued as {id}"))
}

fn paths(recipients: &[Recipient]) -> Vec<ForwardPath> {
    recipients.iter().map(|recipient| recipient.forward_path.clone()).collect()
}

/// Whose message it is. Our own fields count only from those whom we trust, and make a message
/// less urgent than its user's are, never more.
fn stream(header: Header, trusted: bool, user: Option<&User>) -> Stream {
    let bulk = Some(Class::Bulk);
    let class = if user.map(|user| user.class) == bulk || (trusted && header.class == bulk) {
        Class::Bulk
    } else {
        Class::Transactional
    };
    let tenant = user.map(|user| user.tenant.clone()).unwrap_or_default();
    let campaign = if trusted { header.campaign } else { Box::default() };
    Stream { class, tenant, campaign }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_fields_count_only_from_those_whom_we_trust() {
        let header = || Header::read(b"X-Maily-Campaign: spring\r\nX-Maily-Class: bulk\r\n\r\n");
        let told = Stream { class: Class::Bulk, tenant: "".into(), campaign: "spring".into() };
        assert_eq!(stream(header(), true, None), told);
        assert_eq!(stream(header(), false, None), Stream::default());
    }

    #[test]
    fn the_class_of_a_user_is_the_most_urgent_it_may_have() {
        let user = |class| User { hash: "".into(), tenant: "shop".into(), class };
        let urgent = || Header::read(b"X-Maily-Class: transactional\r\n\r\n");
        let (bulk, transactional) = (user(Class::Bulk), user(Class::Transactional));
        let got = stream(urgent(), true, Some(&bulk));
        assert_eq!((got.class, &*got.tenant), (Class::Bulk, "shop"));
        assert_eq!(stream(urgent(), true, Some(&transactional)).class, Class::Transactional);
        let slow = Header::read(b"X-Maily-Class: bulk\r\n\r\n");
        assert_eq!(stream(slow, true, Some(&transactional)).class, Class::Bulk);
    }
}
