//! Writes delivery status notifications (RFC 3464): what a sender gets when its mail could not be
//! delivered, is late, or went where deliveries are not reported.
//!
//! ```text
//! multipart/report (RFC 6522)
//!   text/plain                 for people
//!   message/delivery-status    for machines; message/global-delivery-status with UTF-8 (RFC 6533)
//!   text/rfc822-headers        the header of the message; the whole, message/rfc822, for RET=FULL
//! ```
//!
//! It goes to the reverse-path, from the null reverse-path (RFC 5321 4.5.5), and says of itself
//! that a machine wrote it (RFC 3834 5). Whatever a remote server said can neither add a line to it
//! nor make one too long. Who is owed a report is [`owed`](crate::bounce::owed)'s to say.

use bytes::Bytes;
use memchr::memmem;

use crate::bounce::encode::ascii;
use crate::bounce::fate::Report;
use crate::bounce::returned::Returned;
use crate::bounce::status;
use crate::bounce::words;
use crate::event::ReportKind;
use crate::mail::envelope::BodyType;
use crate::mail::envelope::Envelope;
use crate::mail::envelope::Notify;
use crate::mail::envelope::Recipient;
use crate::mail::envelope::ReversePath;
use crate::mail::message::header_fields;

/// A Message-ID longer than this is not repeated: RFC 5322 2.1.1 leaves a line 998 octets.
const MESSAGE_ID_OCTETS_MAX: usize = 900;

/// A report as a message, ready for the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// To the sender of the message that it tells of.
    pub envelope: Envelope,
    /// Its Message-ID, without angle brackets.
    pub message_id: Box<str>,
    /// Header and body, with CRLF line ends.
    pub message: Bytes,
}

/// Writes the report; none if there is nobody to tell, or nothing to tell of.
pub fn write(report: &Report<'_>) -> Option<Notification> {
    let ReversePath::Mailbox(sender) = &report.envelope.reverse_path else { return None };
    report.told().next()?;
    let returned = Returned::of(report);
    let parts = [
        words::part(report, &returned).into_bytes(),
        status::part(report).into_bytes(),
        returned.part(),
    ];
    let boundary = boundary(report, &parts);
    let eight_bit = parts.iter().any(|part| !part.is_ascii()) || !sender.is_ascii();
    let message_id = format!("{}@{}", report.id, ascii(report.hostname));
    let mut message = header(report, &sender.to_string(), &message_id, &boundary);
    message += if eight_bit { "Content-Transfer-Encoding: 8bit\r\n\r\n" } else { "\r\n" };
    message += "This is a delivery report in MIME format.\r\n";
    let mut message = message.into_bytes();
    for part in &parts {
        message.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
        message.extend_from_slice(part);
    }
    message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    // RFC 3461 6.1: no report about a report, wherever it goes.
    let to = Recipient { notify: Notify::Never, ..Recipient::plain(sender.clone()) };
    let body_type = if eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit };
    let envelope = Envelope {
        body_type,
        smtputf8: !sender.is_ascii(),
        ..Envelope::plain(ReversePath::Null, vec![to])
    };
    Some(Notification { envelope, message_id: message_id.into(), message: message.into() })
}

fn header(report: &Report<'_>, sender: &str, message_id: &str, boundary: &str) -> String {
    let subject = if report.tells(ReportKind::Failed) {
        "Undelivered mail: delivery status notification (failure)"
    } else if report.tells(ReportKind::Delayed) {
        "Delayed mail: delivery status notification (delay)"
    } else {
        "Relayed mail: delivery status notification (success)"
    };
    let date = report.at.to_utc().to_rfc5322();
    let host = ascii(report.hostname);
    let thread = original_message_id(report.message)
        .map(|id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n"))
        .unwrap_or_default();
    format!(
        "Date: {date}\r\n\
         From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n\
         To: <{sender}>\r\n\
         Subject: {subject}\r\n\
         Message-ID: <{message_id}>\r\n\
         {thread}\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n"
    )
}

/// The Message-ID of the original with its angle brackets, if it has one that can be repeated.
fn original_message_id(message: &[u8]) -> Option<String> {
    let id = header_fields(message).find(|field| field.is("Message-ID"))?.unfolded();
    let inner = id.strip_prefix('<')?.strip_suffix('>')?;
    let sound = |o: u8| o.is_ascii_graphic() && o != b'<' && o != b'>';
    let fits = !inner.is_empty() && inner.len() <= MESSAGE_ID_OCTETS_MAX;
    (fits && inner.bytes().all(sound)).then_some(id)
}

/// A boundary that no part holds, whoever wrote what is given back (RFC 2046 5.1.1).
fn boundary(report: &Report<'_>, parts: &[Vec<u8>]) -> String {
    let mut boundary = format!("=_{}", report.id);
    let mut count = 0_u32;
    while parts.iter().any(|part| memmem::find(part, boundary.as_bytes()).is_some()) {
        count += 1;
        boundary = format!("=_{}_{count}", report.id);
    }
    boundary
}

#[cfg(test)]
#[path = "dsn_tests.rs"]
mod tests;
