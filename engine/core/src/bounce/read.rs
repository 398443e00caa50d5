//! Reads mail that may be a bounce, a delay notice, a complaint or an answer of a machine: what
//! kind it is, and whom it speaks of. By the parts for machines (RFC 3464, RFC 5965) where there
//! are any; else by what it says to people.
//!
//! Nothing here believes anything: whether a bounce is about mail of ours is for the return path
//! to say ([`return_path`](crate::tracking::return_path)).

mod judge;
pub mod kind;
mod notice;
pub mod status;
pub mod text;

use std::borrow::Cow;

use mail_parser::Message;
use mail_parser::MessageParser;
use mail_parser::MimeHeaders;

use crate::bounce::classify::Rules;
use crate::bounce::classify::Verdict;
use crate::bounce::read::judge::first_status;
use crate::bounce::read::judge::judge;
use crate::bounce::read::judge::phase;
use crate::bounce::read::judge::telling;
use crate::bounce::read::kind::Kind;
use crate::bounce::read::status::Action;
use crate::bounce::read::status::Fate;
use crate::bounce::read::text::Found;
use crate::mail::outcome::EnhancedStatus;

/// Octets of a mail that are looked at: bounces say what they say before what they give back.
pub const MAIL_OCTETS_MAX: usize = 512 * 1024;
/// Parts of a mail that are looked at.
pub const PARTS_MAX: usize = 200;

/// How an address was found, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Original-Recipient (RFC 3464 2.3.1).
    Original,
    /// Final-Recipient.
    Final,
    /// X-Failed-Recipients.
    Header,
    /// What the bounce says to people.
    Text,
    /// The message that came back.
    Returned,
}

impl Source {
    /// How sure it is, of 1.
    pub const fn confidence(self) -> f32 {
        match self {
            Self::Original => 0.99,
            Self::Final => 0.95,
            Self::Header => 0.95,
            Self::Text => 0.8,
            Self::Returned => 0.5,
        }
    }
}

/// Whom a mail speaks of, and what it says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// How it was found.
    pub source: Source,
    /// What became of the message.
    pub action: Action,
    /// The status.
    pub status: Option<EnhancedStatus>,
    /// What was said.
    pub diagnosis: String,
    /// What that means.
    pub verdict: Verdict,
}

/// What a mail is.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Of which kind.
    pub kind: Kind,
    /// Whom it speaks of.
    pub recipients: Vec<Recipient>,
    /// The header of the message that came back, as it stands there; empty if none did.
    pub returned: String,
}

impl Reading {
    /// Whether it says that a message was given up.
    pub fn is_given_up(&self) -> bool {
        self.kind == Kind::Bounce
    }
}

/// Reads a mail.
pub fn read(mail: &[u8], rules: &Rules) -> Reading {
    let mail = mail.get(..MAIL_OCTETS_MAX).unwrap_or(mail);
    let mail = &*with_lines(mail);
    let none = Reading { kind: Kind::NotABounce, recipients: Vec::new(), returned: String::new() };
    let Some(parsed) = MessageParser::default().parse(mail) else { return none };
    if parsed.parts.len() > PARTS_MAX {
        return none;
    }
    let mut parts = Parts::of(&parsed);
    if parts.explanation.trim().is_empty() {
        // Parts without their borders are no parts.
        text::split(&body(mail)).0.clone_into(&mut parts.explanation);
    }
    let noticed = notice::read(&parts.explanation);
    let (noticed, mut fates) = noticed.map_or((None, Vec::new()), |(k, f)| (Some(k), f));
    fates.extend(status::read(&parts.status));
    if fates.is_empty() && kind::is_spoken_of(&parsed) {
        // Some write what is for machines where no machine looks for it.
        fates = status::read(&status::embedded(&body(mail)));
    }
    let complains = parts.feedback.is_some();
    let kind = noticed.unwrap_or_else(|| kind::of(&parsed, &parts.explanation, &fates, complains));
    let recipients = match kind {
        Kind::Bounce | Kind::Delay => {
            let mut all = reported(&fates, &parts, rules);
            if all.is_empty() {
                all = spoken(&parsed, &parts, kind, rules);
            }
            all
        }
        Kind::DsnSuccess => reported(&fates, &parts, rules),
        Kind::Arf | Kind::AutoReply | Kind::NotABounce => Vec::new(),
    };
    Reading { kind, recipients, returned: parts.returned }
}

/// A mail whose lines end as those of old files do, with such ends as mail has.
fn with_lines(mail: &[u8]) -> Cow<'_, [u8]> {
    if mail.contains(&b'\n') || !mail.contains(&b'\r') {
        return Cow::Borrowed(mail);
    }
    Cow::Owned(mail.iter().map(|octet| if *octet == b'\r' { b'\n' } else { *octet }).collect())
}

/// What stands behind the header, as it is.
fn body(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail);
    let at = text.find("\r\n\r\n").or_else(|| text.find("\n\n")).unwrap_or(text.len());
    text.get(at..).unwrap_or_default().replace('\r', "")
}

/// What a mail is made of, as far as it matters.
#[derive(Debug, Default)]
struct Parts {
    /// What it says to people, before what came back.
    explanation: String,
    /// The part for machines.
    status: String,
    /// The part of a complaint.
    feedback: Option<String>,
    /// The header of what came back.
    returned: String,
}

impl Parts {
    fn of(parsed: &Message<'_>) -> Self {
        let mut this = Self::default();
        for part in &parsed.parts {
            let media = part.content_type();
            let kind = media.map(|media| media.ctype().to_ascii_lowercase()).unwrap_or_default();
            let subtype = media.and_then(|media| media.subtype()).map(str::to_ascii_lowercase);
            let subtype = subtype.unwrap_or_default();
            let contents = || String::from_utf8_lossy(part.contents()).into_owned();
            match (kind.as_str(), subtype.as_str()) {
                ("message", "delivery-status" | "global-delivery-status") => {
                    this.status.push_str(&contents());
                    this.status.push_str("\n\n");
                }
                ("message", "feedback-report") => this.feedback = Some(contents()),
                ("message", "rfc822" | "global") | ("text", "rfc822-headers" | "rfc822")
                    if this.returned.is_empty() =>
                {
                    this.returned = header(&contents());
                }
                _ => {}
            }
        }
        this.explanation = spoken_text(parsed);
        let (before, behind) = text::split(&this.explanation);
        if this.returned.is_empty() {
            this.returned = behind.to_owned();
        }
        this.explanation = before.to_owned();
        this
    }
}

/// What a mail says to people: its first text.
fn spoken_text(parsed: &Message<'_>) -> String {
    let mut text = String::new();
    for index in 0..3 {
        if let Some(body) = parsed.body_text(index) {
            text.push_str(&body);
            text.push('\n');
        }
    }
    text
}

fn header(message: &str) -> String {
    let end = message.find("\r\n\r\n").or_else(|| message.find("\n\n")).unwrap_or(message.len());
    message.get(..end).unwrap_or(message).to_owned()
}

/// The recipients of the part for machines.
fn reported(fates: &[Fate], parts: &Parts, rules: &Rules) -> Vec<Recipient> {
    let mut all: Vec<Recipient> = Vec::new();
    for fate in fates {
        let Some((address, source)) = (match (&fate.original, &fate.last) {
            (Some(address), _) => Some((address.clone(), Source::Original)),
            (None, Some(address)) => Some((address.clone(), Source::Final)),
            (None, None) => None,
        }) else {
            continue;
        };
        let action = fate.action.unwrap_or(match fate.status {
            Some(status) if status.class == 4 => Action::Delayed,
            _ => Action::Failed,
        });
        let mut diagnosis = fate.diagnosis.clone();
        if says_little(&diagnosis) {
            // Some say more to people than to machines.
            let found = text::addresses(&parts.explanation);
            let same = |found: &&Found| found.address.eq_ignore_ascii_case(&address);
            let said = match &*found {
                // All of it is about this one.
                [_] => &*parts.explanation,
                _ => found.iter().find(same).map_or(&*parts.explanation, |found| &*found.said),
            };
            diagnosis = format!("{diagnosis} {said}").trim().to_owned();
        }
        let status = telling(fate.status, &fate.diagnosis);
        let status = telling(status, &diagnosis);
        let phase = phase(&diagnosis, &parts.explanation, &address);
        let verdict = judge(&diagnosis, status, &fate.host, phase, rules);
        all.retain(|known| !known.address.eq_ignore_ascii_case(&address));
        all.push(Recipient { address, source, action, status, diagnosis, verdict });
    }
    let failed = all.iter().any(|one| one.action == Action::Failed);
    if failed {
        all.retain(|one| one.action != Action::Delivered);
    }
    all
}

fn says_little(diagnosis: &str) -> bool {
    diagnosis.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count() < 2
}

/// The recipients of what is said to people.
fn spoken(parsed: &Message<'_>, parts: &Parts, kind: Kind, rules: &Rules) -> Vec<Recipient> {
    let action = if kind == Kind::Delay { Action::Delayed } else { Action::Failed };
    let reporter = reporter(parsed);
    let make = |address: String, source: Source, said: &str| {
        let status = first_status(said);
        let phase = phase(said, &parts.explanation, &address);
        let verdict = judge(said, status, &reporter, phase, rules);
        Recipient { address, source, action, status, diagnosis: said.to_owned(), verdict }
    };
    let found = text::addresses(&parts.explanation);
    let said_of = |address: &str| {
        let same = |found: &&Found| found.address.eq_ignore_ascii_case(address);
        found.iter().find(same).map_or(&*parts.explanation, |found| &*found.said).to_owned()
    };
    let back = kind::returned_recipients(&parts.returned);
    let own = kind::mailboxes(parsed);
    let chosen = chosen(&found, &own, &back);
    if let Some(failed) = kind::failed_recipients(parsed) {
        let said =
            |address: &String| chosen.iter().any(|f| f.address.eq_ignore_ascii_case(address));
        // A header that names none of those whom the text names is about some alias.
        let unsaid = !failed.iter().any(said) && chosen.iter().any(|found| found.alone);
        if !unsaid {
            let make = |address: String| {
                let said = said_of(&address);
                make(address, Source::Header, &said)
            };
            return failed.into_iter().map(make).collect();
        }
    }
    if let [one] = &*chosen {
        return vec![make(one.address.clone(), Source::Text, &parts.explanation)];
    }
    if !chosen.is_empty() {
        let make = |found: &&Found| make(found.address.clone(), Source::Text, &found.said);
        return chosen.iter().map(make).collect();
    }
    let back = back.into_iter().filter(|address| !own.contains(address));
    back.map(|address| make(address, Source::Returned, &parts.explanation)).collect()
}

/// Who reports: the domain that a mail says it is from; empty if it says none.
fn reporter(parsed: &Message<'_>) -> String {
    let from = parsed.from().and_then(|from| from.first()).and_then(|from| from.address());
    let domain = from.and_then(|from| from.rsplit_once('@')).map_or("", |(_, domain)| domain);
    domain.to_ascii_lowercase()
}

/// Those of the addresses in a text whom it speaks of.
fn chosen<'a>(found: &'a [Found], own: &[String], back: &[String]) -> Vec<&'a Found> {
    let is_in = |all: &[String], found: &Found| all.contains(&found.address.to_lowercase());
    let all = |wanted: &dyn Fn(&Found) -> bool| -> Vec<&'a Found> {
        found.iter().filter(|found| wanted(found)).collect()
    };
    let ways: [&dyn Fn(&Found) -> bool; 3] = [
        &|found| found.alone && !is_in(own, found),
        &|found| is_in(back, found) && !is_in(own, found),
        &|found| found.alone,
    ];
    let best = ways.iter().map(|way| all(way)).find(|all| !all.is_empty());
    best.unwrap_or_else(|| found.iter().filter(|found| !is_in(own, found)).take(1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounce::reason::Reason;

    fn parse(mail: &str) -> Reading {
        read(mail.as_bytes(), &Rules::shipped().unwrap())
    }

    #[test]
    fn a_report_is_read_by_its_part_for_machines() {
        let reading = parse(
            "From: MAILER-DAEMON@mx.example\r\nTo: me@shop.example\r\n\
             Subject: Undelivered\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
             --b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; ann@x.example\r\n\
             Action: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 mailbox full\r\n\r\n\
             --b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: hello\r\n\r\n--b--\r\n",
        );
        let [one] = &*reading.recipients else { panic!("{reading:?}") };
        assert_eq!((reading.kind, &*one.address), (Kind::Bounce, "ann@x.example"));
        assert_eq!((one.source, one.verdict.reason), (Source::Final, Reason::MailboxFull));
        assert!(reading.returned.contains("Subject: hello"));
    }

    #[test]
    fn a_bounce_for_people_is_read_by_its_words() {
        let reading = parse(
            "From: MAILER-DAEMON@mx.example\r\nTo: me@shop.example\r\n\
             Subject: failure notice\r\n\r\nHi. This is the mail program at mx.example.\r\n\
             <ann@x.example>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n\
             --- Below this line is a copy of the message.\r\n\r\nTo: ann@x.example\r\n",
        );
        let [one] = &*reading.recipients else { panic!("{reading:?}") };
        assert_eq!((&*one.address, one.source), ("ann@x.example", Source::Text));
        assert_eq!(one.verdict.reason, Reason::UserUnknown);
    }

    #[test]
    fn ordinary_mail_answers_and_complaints_are_no_bounces() {
        let kind = |mail: &str| parse(mail).kind;
        let quoted = "From: ann@x.example\r\nSubject: Re: hello\r\n\r\n\
                      > user unknown: bob@y.example could not be delivered\r\n";
        assert_eq!(kind(quoted), Kind::NotABounce);
        let away = "From: ann@x.example\r\nSubject: Out of office\r\n\
                    Auto-Submitted: auto-replied\r\n\r\nBack soon.\r\n";
        assert_eq!(kind(away), Kind::AutoReply);
        let complaint = "From: fbl@x.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
            --b\r\n\r\nx\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n\
            Feedback-Type: abuse\r\n\r\n--b--\r\n";
        assert_eq!(kind(complaint), Kind::Arf);
    }

    #[test]
    fn no_octets_end_in_a_panic_and_none_are_looked_at_beyond_the_limit() {
        let rules = Rules::shipped().unwrap();
        let mail = "From: MAILER-DAEMON@x.example\r\nSubject: failure notice\r\n\
            Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\
            Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822;a@x.example\r\n";
        let mut octets = mail.as_bytes().to_vec();
        for at in 0..octets.len() {
            let before = octets[at];
            for other in [0, b'\n', b'@', 0xff] {
                octets[at] = other;
                read(&octets, &rules);
            }
            octets[at] = before;
            read(&octets[..at], &rules);
        }
        let nested = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(20_000);
        assert_eq!(read(nested.as_bytes(), &rules).kind, Kind::NotABounce);
    }
}
