//! What the client makes of the peer's replies.

use bytes::Bytes;

use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;
use crate::smtp::reply::Reply;

pub(super) fn line(mut command: String) -> Bytes {
    command.push_str("\r\n");
    Bytes::from(command)
}

/// The peer's words; a status of ours where it gave none.
pub(super) fn told(reply: &Reply) -> Diagnosis {
    let class = if reply.is_positive() { 4 } else { (reply.code / 100) as u8 };
    let status = reply.status.unwrap_or_else(|| EnhancedStatus::new(class, 0, 0));
    Diagnosis::reply(reply.code, status, &reply.text())
}

/// The peer said what does not fit here: it is out of step, and no later reply can be believed.
pub(super) fn out_of_turn(reply: &Reply) -> Diagnosis {
    let status = EnhancedStatus::new(4, 5, 0);
    let text = format!("the next hop spoke out of turn: {} {}", reply.code, reply.text());
    Diagnosis::ours(status, Blame::Peer, &text)
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

/// A refused recipient. RFC 5321 4.5.3.1.10: 552 may be an old server's word for too many of them,
/// which is a matter of this transaction only.
pub(super) fn refusal(reply: &Reply, others_taken: bool) -> Outcome {
    let too_many = [None, Some(EnhancedStatus::new(5, 5, 3))].contains(&reply.status);
    if reply.code == 552 && too_many && others_taken {
        return Outcome::Deferred { scope: Scope::Recipient, diagnosis: told(reply) };
    }
    outcome(reply, Scope::Recipient)
}
