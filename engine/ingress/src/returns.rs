//! What comes back, put as events: reports about mail that was taken and not delivered, and
//! complaints. Whom they are about is only believed of what we signed ourselves.

use maily_core::bounce::classify::Rules;
use maily_core::bounce::read::Reading;
use maily_core::bounce::read::Recipient;
use maily_core::bounce::read::status::Action;
use maily_core::bounce::reason::Permanence;
use maily_core::bounce::reason::Reason;
use maily_core::event::Complained;
use maily_core::event::RETURNED_OCTETS_MAX;
use maily_core::event::Returned;
use maily_core::event::bounded;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::tracking::links::Links;
use maily_core::tracking::links::Return;
use maily_core::tracking::token::Origin;
use maily_events::suppression::Subject;

use crate::wish::Wish;

/// Octets of a complaint that are looked at; what comes back in it is our own mail.
const COMPLAINT_OCTETS_MAX: usize = 512 * 1024;
/// Octets of its field bodies that are kept.
const FIELD_OCTETS_MAX: usize = 100;
/// Tokens in it that are tried: a signature costs a microsecond.
const TOKENS_MAX: usize = 1_000;

/// So much of a message as is looked at.
pub(crate) fn beginning(message: &[u8]) -> &[u8] {
    message.get(..COMPLAINT_OCTETS_MAX).unwrap_or(message)
}

/// What a report says of the recipient to whose return path it came.
pub(crate) fn returned(reading: &Reading, recipient: RecipientIndex, rules: &Rules) -> Returned {
    // The address says who it is; a report that names several has the worst first.
    let worst = |one: &&Recipient| match (one.action, one.verdict.permanence) {
        (Action::Failed, Permanence::Hard) => 0,
        (Action::Failed, _) => 1,
        _ => 2,
    };
    let Some(one) = reading.recipients.iter().min_by_key(worst) else {
        let (status, text, rule, address) = (None, Box::default(), Box::default(), Box::default());
        let (failed, hard) = (reading.is_given_up(), false);
        let reason = Reason::Undefined;
        return Returned { recipient, failed, status, text, reason, hard, rule, address };
    };
    let words = one.diagnosis.split_whitespace().collect::<Vec<_>>().join(" ");
    Returned {
        recipient,
        failed: one.action == Action::Failed,
        status: one.status,
        text: bounded(&words, RETURNED_OCTETS_MAX),
        reason: one.verdict.reason,
        hard: one.verdict.permanence == Permanence::Hard,
        rule: rules.place(&one.verdict).into(),
        address: bounded(&one.address, RETURNED_OCTETS_MAX),
    }
}

/// Which mail of ours a complaint is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// The message.
    pub id: QueueId,
    /// Whose.
    pub recipient: RecipientIndex,
    /// Who it is, where a link says that: they are not written to any more at once. Otherwise that
    /// follows from the event.
    pub subject: Option<(Subject, QueueId)>,
}

/// The mail of ours that stands in a complaint, by the link that unsubscribes from it, or its
/// return path.
pub(crate) fn about(text: &str, links: &Links) -> Option<About> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || "-_=.@".contains(c);
    let words = text.split(|c: char| !is_inside(c)).filter(|word| word.len() > 40);
    let mut by_path = None;
    for word in words.take(TOKENS_MAX) {
        if let Some(wish) = Wish::of_token(word, links) {
            let Origin { id, recipient, .. } = wish.origin;
            // Who complains wants nothing of the project, not only of the list.
            let subject = Subject::new(&wish.project, "", &wish.mailbox);
            return Some(About { id, recipient, subject: Some((subject, id)) });
        }
        let mailbox = Mailbox::parse(word.trim_matches(['.', '='])).ok();
        if let Some(Return::Ours(id, recipient)) = mailbox.and_then(|m| links.returned(&m)) {
            by_path = by_path.or(Some(About { id, recipient, subject: None }));
        }
    }
    by_path
}

/// What a complaint says of itself (RFC 5965 3.1).
pub(crate) fn complained(text: &str, recipient: RecipientIndex) -> Complained {
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name));
        let body = found.next().map(|(_, body)| body.trim()).unwrap_or_default();
        let shown: String = body.chars().filter(|c| !c.is_control()).collect();
        bounded(&shown, FIELD_OCTETS_MAX)
    };
    Complained { recipient, kind: field("Feedback-Type"), by: field("User-Agent") }
}
