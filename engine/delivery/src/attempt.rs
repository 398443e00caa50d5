//! One try: what of a stored message goes out, and to whom.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use maily_core::event::SuppressionReason;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::queue::action::Attempt;
use maily_core::smtp::content::Content;
use maily_core::smtp::delivery::Delivery;
use maily_spool::body::Body;
use maily_spool::submission::Stored;

use crate::dropping::Veto;
use crate::turns::Written;

/// RFC 5321 4.5.3.1.8: so many recipients every server takes in one transaction, and many no more.
pub const RECIPIENTS_MAX: usize = 100;

/// A try on its way.
#[derive(Clone, Debug)]
pub struct Job {
    /// What the scheduler asked for.
    pub attempt: Attempt,
    /// The message.
    pub stored: Arc<Stored>,
    /// What is sent.
    pub delivery: Delivery,
    /// Recipients that are not tried at all, and why.
    pub refused: Vec<(RecipientIndex, Outcome)>,
    /// What plugins found out about its recipient.
    pub found: Map<String, Value>,
    /// Whether it is made for this try alone.
    pub alone: bool,
    /// Somebody has let it go whom a plugin held.
    pub released: bool,
    /// The memory that it takes, if it is.
    pub written: Option<Arc<Written>>,
}

impl Job {
    /// Whether what is sent is written only now.
    pub fn is_bound_late(&self) -> bool {
        matches!(self.stored.submission.body, Body::Template { .. })
    }

    /// Takes out recipients whom nobody may write to. Mail that is bound late is looked at when it
    /// is written, with its project and list. Reports go through: their reader has written to us.
    pub fn refuse(&mut self, veto: &dyn Veto) {
        if self.is_bound_late() || matches!(self.delivery.reverse_path, ReversePath::Null) {
            return;
        }
        let (refused, project) = (&mut self.refused, &self.stored.submission.stream.tenant);
        self.delivery.recipients.retain(|(index, recipient)| {
            let reason = veto.why_nobody(project, &recipient.forward_path.0);
            refused.extend(reason.map(|reason| (*index, suppressed(reason))));
            reason.is_none()
        });
    }
}

/// RFC 3463 3.8: X.7.1, the sender is not authorised to write to this recipient. Whoever handed it
/// in by SMTP was told that it is taken, so they are told that it is not sent (RFC 5321 6.1).
fn suppressed(reason: SuppressionReason) -> Outcome {
    let why = match reason {
        SuppressionReason::Unsubscribed => "they unsubscribed from all mail",
        SuppressionReason::Complained => "they complained about mail",
        SuppressionReason::Bounced => "it was found dead",
        SuppressionReason::Operator => "the operator said so",
    };
    let text = format!("not sent, as this address is suppressed for all your mail: {why}");
    let diagnosis = Diagnosis::ours(EnhancedStatus::new(5, 7, 1), Blame::Config, &text);
    Outcome::Bounced { scope: Scope::Recipient, diagnosis }
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

/// What is sent for an attempt, without its text if that is bound late; none if there is nobody
/// left.
pub fn prepare(attempt: Attempt, stored: Arc<Stored>) -> Option<Job> {
    let envelope = &stored.submission.envelope;
    let message = match &stored.submission.body {
        Body::Stored(message) => message.clone(),
        Body::Template { .. } => bytes::Bytes::new(),
    };
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
        content: Content { head: bytes::Bytes::new(), message },
    };
    let (refused, found) = (Vec::new(), Map::new());
    let (alone, released, written) = (false, attempt.released, None);
    Some(Job { attempt, stored, delivery, refused, found, alone, released, written })
}

/// The mail transactions of one try: of at most [`RECIPIENTS_MAX`] recipients each, and again for
/// those that the next hop found too many.
pub struct Transactions<'a> {
    delivery: &'a Delivery,
    /// Places in the delivery's recipients.
    left: VecDeque<usize>,
    outcomes: Vec<(RecipientIndex, Outcome)>,
}

impl<'a> Transactions<'a> {
    /// All recipients are left.
    pub fn new(delivery: &'a Delivery) -> Self {
        Self { delivery, left: (0..delivery.recipients.len()).collect(), outcomes: Vec::new() }
    }

    /// What goes into the next transaction; none if nobody is left.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        if self.left.is_empty() {
            return None;
        }
        let count = self.left.len().min(RECIPIENTS_MAX);
        let all = &self.delivery.recipients;
        let recipients =
            self.left.drain(..count).filter_map(|place| all.get(place).cloned()).collect();
        Some(Delivery {
            reverse_path: self.delivery.reverse_path.clone(),
            recipients,
            ret: self.delivery.ret,
            envelope_id: self.delivery.envelope_id.clone(),
            smtputf8: self.delivery.smtputf8,
            content: self.delivery.content.clone(),
        })
    }

    /// What became of a transaction's recipients. RFC 5321 4.5.3.1.10: those refused with 452
    /// because they were too many go at once into another, as long as each takes some.
    pub fn on_outcomes(&mut self, outcomes: Vec<(RecipientIndex, Outcome)>) {
        let advances = outcomes.iter().any(|(_, outcome)| !is_too_many(outcome));
        for (index, outcome) in outcomes {
            let again = advances && is_too_many(&outcome);
            let mut all = self.delivery.recipients.iter();
            match again.then(|| all.position(|(other, _)| *other == index)).flatten() {
                Some(place) => self.left.push_back(place),
                None => self.outcomes.push((index, outcome)),
            }
        }
    }

    /// The outcomes of all; those who had no turn are put off for this reason.
    pub fn finish(mut self, why: &Diagnosis) -> Vec<(RecipientIndex, Outcome)> {
        let put_off = Outcome::Deferred { scope: Scope::Host, diagnosis: why.clone() };
        for place in self.left {
            if let Some((index, _)) = self.delivery.recipients.get(place) {
                self.outcomes.push((*index, put_off.clone()));
            }
        }
        self.outcomes
    }
}

/// Whether a recipient was refused for nothing but the number of those before it. A full mailbox
/// is 452 too, with X.2.2 (RFC 3463 3.3); X.3.1 is a full system.
fn is_too_many(outcome: &Outcome) -> bool {
    let Outcome::Deferred { scope: Scope::Recipient, diagnosis } = outcome else { return false };
    let status = diagnosis.status;
    let counted = matches!((status.subject, status.detail), (0, 0) | (5, 3));
    diagnosis.code == Some(452) && counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use maily_core::mail::address::Mailbox;
    use maily_core::mail::envelope::Recipient;
    use maily_core::mail::envelope::ReversePath;
    use maily_core::mail::outcome::Blame;
    use maily_core::mail::outcome::EnhancedStatus;

    fn delivery(count: u32) -> Delivery {
        let recipient = |n: u32| {
            let mailbox = Mailbox::parse(&format!("r{n}@a.example")).unwrap();
            (RecipientIndex(n), Recipient::plain(mailbox))
        };
        Delivery {
            reverse_path: ReversePath::Null,
            recipients: (0..count).map(recipient).collect(),
            ret: None,
            envelope_id: None,
            smtputf8: false,
            content: Content { head: Bytes::new(), message: Bytes::new() },
        }
    }

    fn reply(code: u16, class: u8, subject: u16, detail: u16) -> Outcome {
        let diagnosis = Diagnosis::reply(code, EnhancedStatus::new(class, subject, detail), "x");
        match class {
            2 => Outcome::Delivered(diagnosis),
            _ => Outcome::Deferred { scope: Scope::Recipient, diagnosis },
        }
    }

    /// A next hop that takes so many in a transaction; gives the sizes of the transactions.
    fn run(count: u32, takes: usize, refusal: &Outcome) -> (Vec<usize>, Vec<Outcome>) {
        let delivery = delivery(count);
        let mut transactions = Transactions::new(&delivery);
        let mut sizes = Vec::new();
        while let Some(next) = transactions.next_delivery() {
            sizes.push(next.recipients.len());
            let outcome = |n| if n < takes { reply(250, 2, 0, 0) } else { refusal.clone() };
            let indexes = next.recipients.iter().enumerate();
            transactions.on_outcomes(indexes.map(|(n, (index, _))| (*index, outcome(n))).collect());
        }
        let why = Diagnosis::ours(EnhancedStatus::new(4, 0, 0), Blame::Network, "cut");
        let mut outcomes = transactions.finish(&why);
        outcomes.sort_by_key(|(index, _)| *index);
        assert_eq!(outcomes.len(), count as usize);
        (sizes, outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    #[test]
    fn one_more_than_every_server_takes_needs_a_second_transaction() {
        let never = reply(451, 4, 0, 0);
        assert_eq!(run(RECIPIENTS_MAX as u32, 1_000, &never).0, [100]);
        assert_eq!(run(RECIPIENTS_MAX as u32 + 1, 1_000, &never).0, [100, 1]);
    }

    #[test]
    fn those_that_were_too_many_go_at_once_into_another() {
        for refusal in [reply(452, 4, 5, 3), reply(452, 4, 0, 0)] {
            let (sizes, outcomes) = run(25, 10, &refusal);
            assert_eq!(sizes, [25, 15, 5]);
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered(_))));
        }
    }

    #[test]
    fn a_next_hop_that_takes_nobody_is_not_asked_for_ever() {
        let (sizes, outcomes) = run(150, 0, &reply(452, 4, 5, 3));
        assert_eq!(sizes, [100, 50]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Deferred { .. })));
    }

    #[test]
    fn a_full_mailbox_or_greylisting_is_not_too_many() {
        for refusal in [reply(452, 4, 2, 2), reply(452, 4, 3, 1), reply(450, 4, 7, 1)] {
            assert_eq!(run(20, 10, &refusal).0, [20]);
        }
    }

    #[test]
    fn those_who_had_no_turn_before_the_end_of_the_connection_are_put_off() {
        let delivery = delivery(150);
        let mut transactions = Transactions::new(&delivery);
        let first = transactions.next_delivery().unwrap();
        let done = first.recipients.iter().map(|(index, _)| (*index, reply(250, 2, 0, 0)));
        transactions.on_outcomes(done.collect());
        let why = Diagnosis::ours(EnhancedStatus::new(4, 4, 2), Blame::Network, "cut");
        let outcomes = transactions.finish(&why);
        let put_off = |(_, outcome): &&(RecipientIndex, Outcome)| outcome.diagnosis() == &why;
        assert_eq!((outcomes.len(), outcomes.iter().filter(put_off).count()), (150, 50));
    }
}
