//! What kind of mail it is, by its header and its words.

use mail_parser::Address;
use mail_parser::HeaderValue;
use mail_parser::Message;

use crate::bounce::read::status::Action;
use crate::bounce::read::status::Fate;

/// The kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message was given up.
    Bounce,
    /// A message waits.
    Delay,
    /// A complaint (RFC 5965).
    Arf,
    /// An answer of a machine (RFC 3834), or of somebody who is not there.
    AutoReply,
    /// A message was delivered.
    DsnSuccess,
    /// Anything else.
    NotABounce,
}

impl Kind {
    /// Its name, as programs see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Delay => "delay",
            Self::Arf => "arf",
            Self::AutoReply => "auto-reply",
            Self::DsnSuccess => "dsn-success",
            Self::NotABounce => "not-a-bounce",
        }
    }
}

/// Local parts and words of whoever sends bounces.
const POSTMASTERS: &[&str] = &[
    "mailer-daemon",
    "mailerdaemon",
    "mail-daemon",
    "postmaster",
    "post_master",
    "mdaemon",
    "mail delivery",
    "mail-delivery",
    "delivery subsystem",
    "maildelivery",
    "email-delivery",
    "postoffice",
    "system administrator",
    "microsoft exchange",
    "microsoftexchange",
    "bounce",
    "no-reply",
    "noreply",
    "root@",
    "mmail_log_sender",
    "<>",
];

/// How subjects of bounces speak.
const SUBJECTS: &[&str] = &[
    "undeliver",
    "not deliver",
    "non deliver",
    "nondeliver",
    "non-deliver",
    "delivery status notification",
    "delivery failure",
    "delivery failed",
    "delivery problem",
    "delivery error",
    "delivery report",
    "delivery notification",
    "delivery has failed",
    "delivery reports about your",
    "mail delivery",
    "message delivery",
    "mail failure",
    "mail failed",
    "mail error",
    "mail system error",
    "mail not",
    "failure notice",
    "failure delivery",
    "returned mail",
    "returned to sender",
    "return to sender",
    "mail returned",
    "message returned",
    "returned message",
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can't be delivered",
    "could not send",
    "could not deliver",
    "was not delivered",
    "undelivered",
    "warning: message",
    "warning: could not",
    "user unknown",
    "unable to deliver",
    "rejected",
    "rejet",
    "nicht zugestellt",
    "unzustellbar",
    "non remis",
    "no entregado",
    "impossible",
    "message status",
    "failed mail",
    "failed to deliver",
    "e-mail address not valid",
    "permanent delivery",
    "mdaemon notification",
    "message you sent",
    "notification de",
    "error sending",
    "mail could",
    "nicht zustellbar",
    "メール",
    "送信",
];

/// How delay notices speak.
const DELAYS: &[&str] = &[
    "delayed",
    "delay",
    "still being retried",
    "will be retried",
    "will continue to try",
    "will keep trying",
    "continue trying",
    "has not yet been delivered",
    "not been delivered yet",
    "temporary delivery",
    "will retry",
    "warning message only",
    "this is a warning",
    "not yet been delivered",
    "no action is required on your part",
    "do not need to resend",
    "don't need to resend",
    "will try to deliver",
];

/// How words of bounces speak, where nothing in the header does.
const FAILURES: &[&str] = &[
    "could not be delivered",
    "couldn't be delivered",
    "cannot be delivered",
    "can't be delivered",
    "was not delivered",
    "wasn't delivered",
    "wasn't able to deliver",
    "not been delivered",
    "unable to deliver",
    "undeliverable",
    "delivery failed",
    "delivery failure",
    "failed permanently",
    "permanent error",
    "permanent fatal errors",
    "permanent failure",
    "could not deliver",
    "did not reach",
    "returned to sender",
    "user unknown",
    "mailbox full",
    "mailbox is full",
    "failed to deliver",
    "non-delivery",
    "not deliverable",
    "following recipient",
    "following address",
    "delivery to the following",
    "has been rejected",
    "may not exist",
    "problem delivering",
    "error while",
    "fatal errors",
    "unknown user",
    "unknown host",
    "invalid user address",
    "no such user",
    "no valid recipients",
    "does not exist",
];

/// How answers of machines speak in their subject.
const ABSENCES: &[&str] = &[
    "out of office",
    "out of the office",
    "auto:",
    "automatic reply",
    "auto reply",
    "autoreply",
    "auto-reply",
    "auto response",
    "autoresponse",
    "vacation",
    "on holiday",
    "abwesen",
    "absence",
    "absent",
    "away from",
    "fuera de la oficina",
    "automatische antwort",
    "réponse automatique",
    "risposta automatica",
    "please verify your",
    "confirm your email to",
    "challenge",
];

/// What a mail is.
pub(super) fn of(parsed: &Message<'_>, said: &str, fates: &[Fate], complains: bool) -> Kind {
    if complains {
        return Kind::Arf;
    }
    let subject = parsed.subject().unwrap_or_default().to_lowercase();
    if let Some(kind) = of_report(fates, &subject) {
        return kind;
    }
    let has = |words: &[&str], text: &str| words.iter().any(|word| text.contains(word));
    let said = said.to_lowercase();
    if is_machine_answer(parsed) || has(ABSENCES, &subject) {
        return Kind::AutoReply;
    }
    if is_other_report(parsed) {
        return Kind::NotABounce;
    }
    let by_daemon = is_by_daemon(parsed);
    let spoken = is_spoken_of(parsed);
    let sure = failed_recipients(parsed).is_some() || (by_daemon && spoken);
    let told = (by_daemon || spoken) && has(FAILURES, &said);
    if !sure && !told {
        return Kind::NotABounce;
    }
    let waits = has(DELAYS, &subject) || subject.starts_with("warning") || has(DELAYS, &said);
    let given_up = ["permanent", "giving up", "given up", "gave up", "fatal"];
    if waits && !has(&given_up, &said) { Kind::Delay } else { Kind::Bounce }
}

/// What a part for machines says that it is.
fn of_report(fates: &[Fate], subject: &str) -> Option<Kind> {
    let has = |action: Action| fates.iter().any(|fate| fate.action == Some(action));
    let status = |class: u8| fates.iter().any(|f| f.status.is_some_and(|s| s.class == class));
    if fates.is_empty() {
        return None;
    }
    Some(if has(Action::Failed) {
        Kind::Bounce
    } else if has(Action::Delayed) {
        Kind::Delay
    } else if has(Action::Delivered) {
        Kind::DsnSuccess
    } else if status(4) && !status(5) && DELAYS.iter().any(|word| subject.contains(word)) {
        Kind::Delay
    } else {
        Kind::Bounce
    })
}

fn is_by_daemon(parsed: &Message<'_>) -> bool {
    let from = header_text(parsed, "From").to_lowercase();
    let path = header_text(parsed, "Return-Path");
    POSTMASTERS.iter().any(|word| from.contains(word)) || path.trim() == "<>"
}

/// Whether the header speaks of mail that was not delivered.
pub(super) fn is_spoken_of(parsed: &Message<'_>) -> bool {
    let subject = parsed.subject().unwrap_or_default().to_lowercase();
    SUBJECTS.iter().any(|word| subject.contains(word)) || failed_recipients(parsed).is_some()
}

fn is_machine_answer(parsed: &Message<'_>) -> bool {
    let submitted = header_text(parsed, "Auto-Submitted").to_lowercase();
    let precedence = header_text(parsed, "Precedence").to_lowercase();
    let has = |name: &str| parsed.header_raw(name).is_some();
    submitted.starts_with("auto-replied")
        && parsed.header_raw("X-Failed-Recipients").is_none()
        && !is_delivery_report(parsed)
        || precedence.contains("auto_reply")
        || has("X-Autoreply")
        || has("X-Autorespond")
        || has("X-AutoReply-From")
}

fn is_delivery_report(parsed: &Message<'_>) -> bool {
    header_text(parsed, "Content-Type").to_lowercase().contains("delivery-status")
        || POSTMASTERS
            .iter()
            .take(4)
            .any(|name| header_text(parsed, "From").to_lowercase().contains(name))
}

/// Reports about something else: DMARC (RFC 7489), TLS (RFC 8460), receipts (RFC 8098).
fn is_other_report(parsed: &Message<'_>) -> bool {
    let media = header_text(parsed, "Content-Type").to_lowercase();
    let subject = parsed.subject().unwrap_or_default().to_lowercase();
    media.contains("tlsrpt")
        || media.contains("disposition-notification")
        || subject.starts_with("report domain:")
        || subject.contains("dmarc")
}

/// A header field as it stands, unfolded; empty if there is none.
fn header_text(parsed: &Message<'_>, name: &str) -> String {
    parsed.header_raw(name).unwrap_or_default().replace(['\r', '\n'], " ").trim().to_owned()
}

/// X-Failed-Recipients, as Exim and Google write it.
pub(super) fn failed_recipients(parsed: &Message<'_>) -> Option<Vec<String>> {
    let text = header_text(parsed, "X-Failed-Recipients");
    let all: Vec<_> = text
        .split(',')
        .map(|address| address.trim().trim_matches(['<', '>']).to_owned())
        .filter(|address| address.contains('@'))
        .collect();
    (!all.is_empty()).then_some(all)
}

/// Who sent this mail and who got it, in small letters: they are not whom it speaks of.
pub(super) fn mailboxes(parsed: &Message<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for name in ["From", "To", "Reply-To", "Sender", "Cc"] {
        if let Some(HeaderValue::Address(address)) = parsed.header(name) {
            all.extend(of_address(address));
        }
    }
    all
}

fn of_address(address: &Address<'_>) -> Vec<String> {
    address.iter().filter_map(|one| one.address.as_deref().map(str::to_lowercase)).collect()
}

/// Whom a message that came back was for, by its header.
pub(super) fn returned_recipients(header: &str) -> Vec<String> {
    let Some(parsed) = mail_parser::MessageParser::default().parse_headers(header.trim_start())
    else {
        return Vec::new();
    };
    let to = [parsed.to(), parsed.cc()].into_iter().flatten();
    to.flat_map(of_address).filter(|address| address.contains('@')).collect()
}
