//! The front door: every message comes in here, whoever brings it.
//!
//! What it answers with 250 is in the spool, synced (RFC 5321 6.1).

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Event;
use maily_core::event::Origin;
use maily_core::event::What;
use maily_core::mail::envelope::Class;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::id::QueueIdSource;
use maily_core::mail::message::header_fields;
use maily_core::mail::message::header_octets;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::server::Transaction;
use maily_events::recorder::Recorder;
use maily_spool::body::Body;
use maily_spool::error::PutError;
use maily_spool::spool::Spool;
use maily_spool::submission::Submission;

/// RFC 5321 6.3: a message that has passed so many servers runs in a circle.
pub const RECEIVED_MAX: usize = 100;
/// Octets of the name of a campaign.
pub const CAMPAIGN_OCTETS_MAX: usize = 200;

/// The front door; clones share it.
#[derive(Clone)]
pub struct FrontDoor {
    /// Where mail goes.
    pub spool: Spool,
    /// Where it is told.
    pub events: Recorder,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Names for messages.
    pub ids: Arc<Mutex<QueueIdSource>>,
    /// Our own name.
    pub hostname: Arc<str>,
    /// How long a message is tried.
    pub expire_after: Duration,
}

/// What the header says that matters to us.
#[derive(Debug, Default)]
struct Seen {
    received: usize,
    date: bool,
    message_id: Box<str>,
    campaign: Box<str>,
    bulk: bool,
    /// Octets of our own fields, which do not go out.
    own: Vec<std::ops::Range<usize>>,
}

impl FrontDoor {
    /// Takes a message that came by SMTP; gives the reply to the end of data.
    pub async fn accept(&self, transaction: Transaction, client: IpAddr) -> Reply {
        let now = self.clock.now();
        let seen = look(&transaction.message);
        if seen.received >= RECEIVED_MAX {
            return Reply::new(554, EnhancedStatus::new(5, 4, 6), "too many hops: a mail loop");
        }
        let id = self.ids.lock().next(now);
        let message = self.stamp(&transaction, &seen, client, id, now);
        let class = if seen.bulk { Class::Bulk } else { Class::Transactional };
        let user = transaction.user.unwrap_or_default();
        let stream = Stream { class, tenant: user.clone(), campaign: seen.campaign };
        let accepted = Accepted {
            reverse_path: transaction.envelope.reverse_path.clone(),
            recipients: paths(&transaction.envelope.recipients),
            message_id: seen.message_id,
            octets: message.len() as u64,
            stream: stream.clone(),
            origin: Origin::Smtp { client, helo: transaction.helo, user, tls: transaction.tls },
        };
        let submission = Submission {
            id,
            accepted_at: now,
            expires_at: now + self.expire_after,
            envelope: transaction.envelope,
            stream,
            body: Body::Stored(message),
        };
        match self.spool.put(submission).await {
            Ok(()) => {
                let what = What::Accepted(Box::new(accepted));
                self.events.record(&Event { at: now, id, what });
                let text = format!("queued as {id}");
                Reply::new(250, EnhancedStatus::new(2, 0, 0), &text)
            }
            Err(PutError::Full) => {
                let text = "no room on disk, try again later";
                Reply::new(452, EnhancedStatus::new(4, 3, 1), text)
            }
            Err(error @ PutError::Failed(_)) => {
                tracing::error!(%id, %error, "a message could not be stored");
                let text = "could not be stored, try again later";
                Reply::new(451, EnhancedStatus::new(4, 3, 0), text)
            }
        }
    }

    /// The message with our trace field (RFC 5321 4.4), with Date and Message-ID if it had none
    /// (RFC 6409 8), and without our own fields.
    fn stamp(
        &self,
        transaction: &Transaction,
        seen: &Seen,
        client: IpAddr,
        id: QueueId,
        now: Timestamp,
    ) -> Bytes {
        let mut head = String::with_capacity(300);
        let helo: String = transaction.helo.chars().map(harmless).collect();
        let host = &self.hostname;
        let with = match (transaction.extended, transaction.tls, transaction.user.is_some()) {
            (false, ..) => "SMTP",
            (true, false, false) => "ESMTP",
            (true, true, false) => "ESMTPS",
            (true, false, true) => "ESMTPA",
            (true, true, true) => "ESMTPSA",
        };
        let date = now.to_utc().to_rfc5322();
        // Writing to a string cannot fail.
        let _infallible = write!(
            head,
            "Received: from {helo} ([{client}])\r\n\tby {host} with {with} id {id};\r\n\t{date}\r\n"
        );
        if !seen.date {
            let _infallible = write!(head, "Date: {date}\r\n");
        }
        if seen.message_id.is_empty() {
            let _infallible = write!(head, "Message-ID: <{id}@{host}>\r\n");
        }
        let message = &transaction.message;
        let mut out = BytesMut::with_capacity(head.len() + message.len() + 2);
        out.put_slice(head.as_bytes());
        let mut from = 0;
        for own in &seen.own {
            out.put_slice(message.get(from..own.start).unwrap_or_default());
            from = own.end;
        }
        out.put_slice(message.get(from..).unwrap_or_default());
        if header_octets(message) == message.len() && !message.is_empty() {
            // A header without a body: the empty line is missing only if nothing follows.
            out.put_slice(b"\r\n");
        }
        out.freeze()
    }
}

fn paths(
    recipients: &[maily_core::mail::envelope::Recipient],
) -> Vec<maily_core::mail::envelope::ForwardPath> {
    recipients.iter().map(|recipient| recipient.forward_path.clone()).collect()
}

fn look(message: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut at = 0;
    for field in header_fields(message) {
        let end = at + field.raw.len();
        if field.is("Received") {
            seen.received += 1;
        } else if field.is("Date") {
            seen.date = true;
        } else if field.is("Message-ID") {
            let id = field.unfolded();
            seen.message_id = id.trim_start_matches('<').trim_end_matches('>').into();
        } else if field.is("X-Maily-Campaign") {
            let name = field.unfolded();
            seen.campaign = name.chars().take(CAMPAIGN_OCTETS_MAX / 4).collect();
            seen.own.push(at..end);
        } else if field.is("X-Maily-Class") {
            seen.bulk = field.unfolded().eq_ignore_ascii_case("bulk");
            seen.own.push(at..end);
        }
        at = end;
    }
    seen
}

/// What a client calls itself is shown, so it may hold nothing that means something there.
const fn harmless(c: char) -> char {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' | ':' | '[' | ']' => c,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_fields_are_read_and_marked_for_removal() {
        let message = b"Subject: x\r\nX-Maily-Campaign: spring\r\nX-Maily-Class: Bulk\r\n\
                        Message-ID: <a@b>\r\n\r\nbody";
        let seen = look(message);
        assert_eq!((&*seen.campaign, seen.bulk, &*seen.message_id), ("spring", true, "a@b"));
        let cut: Vec<_> = seen.own.iter().map(|own| &message[own.clone()]).collect();
        assert_eq!(cut, [b"X-Maily-Campaign: spring\r\n".as_slice(), b"X-Maily-Class: Bulk\r\n"]);
        assert!(!seen.date);
    }
}
