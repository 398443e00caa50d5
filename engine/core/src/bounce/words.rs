//! The part for people: what happened, why, in the peer's words, and what follows from it.

use std::time::Duration;

use crate::bounce::encode::paragraph;
use crate::bounce::encode::quoted_printable;
use crate::bounce::fate::Fate;
use crate::bounce::fate::Report;
use crate::bounce::returned::Returned;
use crate::bounce::status::name_of;
use crate::event::ReportKind;
use crate::mail::envelope::Recipient;

/// Recipients of one kind that are named to people; machines are told of all.
pub(super) const NAMED_MAX: usize = 50;
/// What stands before a line about a recipient.
const INDENT: &str = "    ";

/// The part's header and body.
pub(super) fn part(report: &Report<'_>, returned: &Returned<'_>) -> String {
    let text = text(report, returned);
    let mut out = String::with_capacity(text.len() + 200);
    out += "Content-Description: Notification\r\n";
    if text.is_ascii() {
        out += "Content-Type: text/plain; charset=us-ascii\r\n\r\n";
        out += &text;
    } else {
        out += "Content-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: quoted-printable\r\n\r\n";
        out += &quoted_printable(text.as_bytes());
    }
    out
}

fn text(report: &Report<'_>, returned: &Returned<'_>) -> String {
    let mut out = paragraph(&format!("This is the mail system at {}.", report.hostname), "");
    for kind in [ReportKind::Failed, ReportKind::Delayed, ReportKind::Relayed] {
        let told: Vec<_> = report.told().filter(|(fate, _)| fate.kind == kind).collect();
        if told.is_empty() {
            continue;
        }
        out += "\r\n";
        out += &paragraph(&opening(report, kind), "");
        for (fate, recipient) in told.iter().take(NAMED_MAX) {
            out += &about(report, fate, recipient);
        }
        if let Some(more) = told.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            out += "\r\n";
            out += &paragraph(&format!("And {more} more, named in the attached report."), "");
        }
    }
    out += "\r\n";
    out += &paragraph(returned.note(), "");
    out
}

fn opening(report: &Report<'_>, kind: ReportKind) -> String {
    match kind {
        ReportKind::Failed => "Your message could not be delivered to the following recipients. \
                               It will not be tried again."
            .to_owned(),
        ReportKind::Delayed => format!(
            "Your message has not reached the following recipients yet. You need not send it \
             again: it is tried until {}.",
            report.expires_at.to_utc().to_rfc5322()
        ),
        ReportKind::Relayed => "Your message was handed to the mail servers of the following \
                                recipients. These servers do not report deliveries, so this is \
                                all that we can tell."
            .to_owned(),
    }
}

fn about(report: &Report<'_>, fate: &Fate, recipient: &Recipient) -> String {
    let mut out = format!("\r\n<{}>\r\n", recipient.forward_path);
    if fate.expired {
        let age = age(fate.at.since(report.arrived_at));
        out += &paragraph(&format!("It was tried for {age}, in vain. The last answer:"), INDENT);
    }
    let words = match &fate.remote {
        Some(remote) if fate.diagnosis.code.is_some() => {
            let address = remote.address;
            format!("{} [{address}] said: {}", name_of(remote), fate.diagnosis)
        }
        _ => fate.diagnosis.text().to_owned(),
    };
    out += &paragraph(&words, INDENT);
    out
}

/// A length of time in the largest unit that has at least two of it.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let fits = units.iter().find(|(unit, _)| seconds >= 2 * unit);
    fits.map_or_else(
        || format!("{seconds} seconds"),
        |(unit, name)| format!("{} {name}", seconds / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_as_people_tell_them() {
        for (seconds, text) in [
            (1, "1 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (4 * 3_600 + 59, "4 hours"),
            (172_799, "47 hours"),
            (345_600, "4 days"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
