//! Whether the sender is owed a report about a recipient (RFC 3461 4.1, 5.2.7, 6).

use crate::event::ReportKind;
use crate::mail::envelope::Class;
use crate::mail::envelope::Envelope;
use crate::mail::envelope::Notify;
use crate::mail::envelope::RecipientIndex;
use crate::mail::envelope::ReversePath;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Settlement;

/// What an attempt knows beside the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The next hop offers DSN, so the duty to report a success went to it with the message.
    pub next_hop_reports: bool,
    /// The message is older than the age at which a delay is told.
    pub late: bool,
}

/// What the sender must be told of this recipient now, if anything.
///
/// Nothing is ever told to the null reverse-path (RFC 5321 4.5.5): there lies the end of every
/// bounce of a bounce. Whether a delay was told before is the caller's to know.
pub fn owed(
    envelope: &Envelope,
    class: Class,
    recipient: RecipientIndex,
    outcome: &Outcome,
    settlement: Settlement,
    circumstances: Circumstances,
) -> Option<ReportKind> {
    if envelope.reverse_path == ReversePath::Null {
        return None;
    }
    let notify = envelope.recipients.get(recipient.0 as usize)?.notify;
    match settlement {
        Settlement::Bounce | Settlement::Expire => {
            notify.wants_failure().then_some(ReportKind::Failed)
        }
        Settlement::Done => {
            let relayed = matches!(outcome, Outcome::Delivered(_));
            let told_by_us = relayed && !circumstances.next_hop_reports;
            (told_by_us && notify.wants_success()).then_some(ReportKind::Relayed)
        }
        Settlement::Retry(_) => {
            // RFC 3461 4.1 leaves it to us where NOTIFY was not given. A mailing to a slow
            // provider would bring a flood of notices that nobody reads.
            let unasked_flood = notify == Notify::Unspecified && class == Class::Bulk;
            let tell = circumstances.late && notify.wants_delay() && !unasked_flood;
            tell.then_some(ReportKind::Delayed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::mail::address::Mailbox;
    use crate::mail::envelope::Recipient;
    use crate::mail::outcome::Diagnosis;
    use crate::mail::outcome::EnhancedStatus;
    use crate::mail::outcome::Scope;

    const RETRY: Settlement = Settlement::Retry(Timestamp::MAX);
    const LATE: Circumstances = Circumstances { next_hop_reports: false, late: true };

    fn ask(
        notify: Notify,
        null: bool,
        class: Class,
        settlement: Settlement,
        circumstances: Circumstances,
    ) -> Option<ReportKind> {
        let mailbox = |text: &str| Mailbox::parse(text).unwrap();
        let recipient = Recipient { notify, ..Recipient::plain(mailbox("ann@example.net")) };
        let path = ReversePath::Mailbox(mailbox("bob@example.org"));
        let path = if null { ReversePath::Null } else { path };
        let envelope = Envelope::plain(path, vec![recipient]);
        let words = Diagnosis::reply(250, EnhancedStatus::new(2, 0, 0), "x");
        let outcome = match settlement {
            Settlement::Done => Outcome::Delivered(words),
            Settlement::Bounce => Outcome::Bounced { scope: Scope::Recipient, diagnosis: words },
            _ => Outcome::Deferred { scope: Scope::Host, diagnosis: words },
        };
        owed(&envelope, class, RecipientIndex(0), &outcome, settlement, circumstances)
    }

    fn check(notify: Notify, expected: [Option<ReportKind>; 4]) {
        let asked = [Settlement::Bounce, Settlement::Expire, RETRY, Settlement::Done];
        let told = asked.map(|what| ask(notify, false, Class::Transactional, what, LATE));
        assert_eq!(told, expected, "{notify:?}");
        let null = asked.map(|what| ask(notify, true, Class::Transactional, what, LATE));
        assert_eq!(null, [None; 4], "{notify:?} of the null reverse-path");
    }

    #[test]
    fn notify_is_honoured_as_rfc_3461_4_1_says() {
        let (failed, delayed) = (Some(ReportKind::Failed), Some(ReportKind::Delayed));
        let on = |success, failure, delay| Notify::On { success, failure, delay };
        check(Notify::Unspecified, [failed, failed, delayed, None]);
        check(Notify::Never, [None; 4]);
        check(on(false, true, false), [failed, failed, None, None]);
        check(on(false, false, true), [None, None, delayed, None]);
        check(on(true, false, false), [None, None, None, Some(ReportKind::Relayed)]);
    }

    #[test]
    fn a_success_is_the_next_hops_to_tell_if_it_offers_dsn() {
        let success = Notify::On { success: true, failure: false, delay: false };
        let at_dsn = Circumstances { next_hop_reports: true, late: true };
        let told = ask(success, false, Class::Bulk, Settlement::Done, at_dsn);
        assert_eq!(told, None);
    }

    #[test]
    fn a_message_in_doubt_is_not_called_relayed() {
        let mailbox = Mailbox::parse("ann@example.net").unwrap();
        let notify = Notify::On { success: true, failure: true, delay: true };
        let recipient = Recipient { notify, ..Recipient::plain(mailbox.clone()) };
        let envelope = Envelope::plain(ReversePath::Mailbox(mailbox), vec![recipient]);
        let outcome = Outcome::InDoubt(Diagnosis::reply(250, EnhancedStatus::new(4, 4, 2), "x"));
        let (class, index) = (Class::Transactional, RecipientIndex(0));
        let told = owed(&envelope, class, index, &outcome, Settlement::Done, LATE);
        assert_eq!(told, None);
    }

    #[test]
    fn delays_are_told_when_it_is_late_and_of_bulk_only_when_asked_for() {
        let early = Circumstances::default();
        let told = |notify, class, when| ask(notify, false, class, RETRY, when);
        let asked = Notify::On { success: false, failure: false, delay: true };
        assert_eq!(told(Notify::Unspecified, Class::Transactional, early), None);
        assert_eq!(told(Notify::Unspecified, Class::Bulk, LATE), None);
        assert_eq!(told(asked, Class::Bulk, LATE), Some(ReportKind::Delayed));
    }
}
