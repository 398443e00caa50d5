//! The part for machines: message/delivery-status (RFC 3464), or message/global-delivery-status
//! where it tells of an address beyond US-ASCII (RFC 6533 4).

use std::fmt::Write;
use std::net::IpAddr;

use crate::bounce::encode::ascii;
use crate::bounce::encode::field;
use crate::bounce::fate::Fate;
use crate::bounce::fate::Remote;
use crate::bounce::fate::Report;
use crate::event::ReportKind;
use crate::mail::address::DOMAIN_OCTETS_MAX;
use crate::mail::envelope::OriginalRecipient;
use crate::mail::envelope::Recipient;

/// The part's header and body.
pub(super) fn part(report: &Report<'_>) -> String {
    let global = report.told().any(|(_, recipient)| !recipient.forward_path.0.is_ascii());
    let mut out = String::with_capacity(400 * (report.fates.len() + 1));
    out += "Content-Description: Delivery report\r\n";
    out += if global {
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    } else {
        "Content-Type: message/delivery-status\r\n\r\n"
    };
    out += &field("Reporting-MTA", &format!("dns; {}", ascii(report.hostname)));
    if let Some(id) = &report.envelope.envelope_id {
        // RFC 3461 6.3: as it was before it became xtext.
        out += &field("Original-Envelope-Id", &ascii(id));
    }
    out += &field("X-Maily-Queue-ID", &report.original.to_string());
    out += &field("Arrival-Date", &report.arrived_at.to_utc().to_rfc5322());
    for (fate, recipient) in report.told() {
        out += "\r\n";
        out += &group(report, fate, recipient, global);
    }
    out
}

/// The fields of one recipient (RFC 3464 2.3).
fn group(report: &Report<'_>, fate: &Fate, recipient: &Recipient, global: bool) -> String {
    let mut out = String::new();
    // Addresses are never folded: a path has at most 256 octets, an ORCPT 500.
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _infallible = write!(out, "{name}: {value}\r\n");
    };
    if let Some(original) = &recipient.original {
        line("Original-Recipient", &original_recipient(original));
    }
    let path = &recipient.forward_path;
    let address_type = if path.0.is_ascii() { "rfc822" } else { "utf-8" };
    line("Final-Recipient", &format!("{address_type}; {path}"));
    line("Action", action(fate.kind));
    line("Status", &fate.status().to_string());
    // RFC 3464 2.3.5: the one that reported the status; where nobody did, there is none.
    let said = fate.remote.as_ref().filter(|_| fate.diagnosis.code.is_some());
    if let Some(remote) = said {
        line("Remote-MTA", &format!("dns; {}", name_of(remote)));
    }
    let words = match fate.diagnosis.code {
        Some(_) => format!("smtp; {}", fate.diagnosis),
        None => format!("X-Maily; {}", fate.diagnosis.text()),
    };
    out += &field("Diagnostic-Code", &if global { words } else { ascii(&words) });
    out += &field("Last-Attempt-Date", &fate.at.to_utc().to_rfc5322());
    if fate.kind == ReportKind::Delayed {
        out += &field("Will-Retry-Until", &report.expires_at.to_utc().to_rfc5322());
    }
    out
}

/// RFC 3461 4.2: as the sender wrote it, no longer in xtext. An address of type utf-8 stays in the
/// seven bits in which it was kept, which RFC 6533 3 allows everywhere.
fn original_recipient(original: &OriginalRecipient) -> String {
    format!("{}; {}", ascii(&original.address_type), ascii(&original.address))
}

pub(super) const fn action(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Failed => "failed",
        ReportKind::Delayed => "delayed",
        ReportKind::Relayed => "relayed",
    }
}

/// A host by its name, or by its address where that is all the name it has.
pub(super) fn name_of(remote: &Remote) -> String {
    if remote.host.is_empty() || remote.host.parse::<IpAddr>().is_ok() {
        return format!("[{}]", remote.address);
    }
    remote.host.chars().take(DOMAIN_OCTETS_MAX).map(harmless).collect()
}

/// A name that came from the DNS is shown, so it may hold nothing that means something there.
const fn harmless(c: char) -> char {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => c,
        _ => '?',
    }
}
