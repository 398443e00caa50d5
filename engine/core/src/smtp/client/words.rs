//! The client's words: its commands, and what it makes of the peer's replies.

use bytes::Bytes;

use crate::mail::envelope::Notify;
use crate::mail::envelope::Recipient;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;
use crate::smtp::reply::Reply;
use crate::smtp::xtext;

pub(super) fn line(mut command: String) -> Bytes {
    command.push_str("\r\n");
    Bytes::from(command)
}

/// RFC 3461 5.2: NOTIFY and ORCPT as they were given.
pub(super) fn dsn_parameters(recipient: &Recipient) -> String {
    let mut text = String::new();
    match recipient.notify {
        Notify::Unspecified => {}
        Notify::Never => text += " NOTIFY=NEVER",
        Notify::On { success, failure, delay } => {
            let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
            let words: Vec<_> = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
            text += &format!(" NOTIFY={}", words.join(","));
        }
    }
    if let Some(original) = &recipient.original {
        text += &format!(" ORCPT={};{}", original.address_type, xtext::encode(&original.address));
    }
    text
}

/// The peer's words; a status of ours where it gave none.
pub(super) fn told(reply: &Reply) -> Diagnosis {
    let class = if reply.is_positive() { 4 } else { (reply.code / 100) as u8 };
    let status = reply.status.unwrap_or_else(|| EnhancedStatus::new(class, 0, 0));
    Diagnosis::reply(reply.code, status, &reply.text())
}

pub(super) fn outcome(reply: &Reply, scope: Scope) -> Outcome {
    match reply.code {
        200..=299 => {
            let status = reply.status.unwrap_or_else(|| EnhancedStatus::new(2, 0, 0));
            Outcome::Delivered(Diagnosis::reply(reply.code, status, &reply.text()))
        }
        500.. => Outcome::Bounced { scope, diagnosis: told(reply) },
        _ => Outcome::Deferred { scope, diagnosis: told(reply) },
    }
}
