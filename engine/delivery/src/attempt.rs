//! One try: what of a stored message goes out, and to whom.

use std::sync::Arc;

use maily_core::mail::address::Domain;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::queue::action::Attempt;
use maily_core::smtp::client::Delivery;
use maily_core::smtp::content::Content;
use maily_spool::body::Body;
use maily_spool::submission::Stored;

/// A try on its way.
#[derive(Clone, Debug)]
pub struct Job {
    /// What the scheduler asked for.
    pub attempt: Attempt,
    /// The message.
    pub stored: Arc<Stored>,
    /// What is sent.
    pub delivery: Delivery,
}

/// The recipients of a message at this domain that are not settled.
pub fn recipients_at(stored: &Stored, domain: &Domain) -> Vec<RecipientIndex> {
    let all = &stored.submission.envelope.recipients;
    let at_domain = |index: &RecipientIndex| {
        all.get(index.0 as usize)
            .is_some_and(|recipient| recipient.forward_path.0.domain() == domain)
    };
    stored.unsettled.iter().copied().filter(at_domain).collect()
}

/// What is sent for an attempt; none if there is nobody left or the message cannot be rendered.
pub fn prepare(attempt: Attempt, stored: Arc<Stored>) -> Option<Job> {
    let envelope = &stored.submission.envelope;
    let Body::Stored(message) = &stored.submission.body else { return None };
    let recipients: Vec<_> = recipients_at(&stored, &attempt.domain)
        .into_iter()
        .filter_map(|index| Some((index, envelope.recipients.get(index.0 as usize)?.clone())))
        .collect();
    if recipients.is_empty() {
        return None;
    }
    let delivery = Delivery {
        reverse_path: envelope.reverse_path.clone(),
        recipients,
        ret: envelope.ret,
        envelope_id: envelope.envelope_id.clone(),
        smtputf8: envelope.smtputf8,
        content: Content { head: bytes::Bytes::new(), message: message.clone() },
    };
    Some(Job { attempt, stored, delivery })
}
