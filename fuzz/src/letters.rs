//! What we write into messages: the canonical forms that DKIM signs, and delivery reports.

use bytes::BytesMut;

use maily_core::bounce::dsn;
use maily_core::bounce::fate::Fate;
use maily_core::bounce::fate::Remote;
use maily_core::bounce::fate::Report;
use maily_core::clock::Timestamp;
use maily_core::dkim::canon;
use maily_core::event::ReportKind;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::OriginalRecipient;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::Ret;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::id::QueueId;
use maily_core::mail::message::header_fields;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::smtp::reply_parser::ReplyParser;

/// Canonical forms are those of RFC 6376, written plainly here, and are their own canonical forms.
pub fn dkim(data: &[u8]) {
    let body = canonical_body(data);
    assert_eq!(body, plain_body(data));
    assert_eq!(canonical_body(&body), body);
    for field in header_fields(data) {
        let mut once = Vec::new();
        canon::header_field(&field, &mut once);
        assert!(once.ends_with(b"\r\n") && !once.contains(&b'\t'));
        let mut twice = Vec::new();
        for again in header_fields(&once) {
            canon::header_field(&again, &mut twice);
        }
        assert_eq!(once, twice);
    }
}

fn canonical_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    canon::relaxed_body(body, &mut |piece| out.extend_from_slice(piece));
    out
}

/// RFC 6376 3.4.4 in its own order, line by line.
fn plain_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = rest.windows(2).position(|pair| pair == b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |end| &rest[end + 2..]);
        let mut white = false;
        for &octet in line {
            if matches!(octet, b' ' | b'\t') {
                white = true;
            } else {
                out.extend(white.then_some(b' '));
                out.push(octet);
                white = false;
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    while out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - 2);
    }
    if out == b"\r\n" { Vec::new() } else { out }
}

/// A remote says anything, the sender's ORCPT says anything printable, and the original is anything
/// that we take in: the report is a message with one header of ours.
pub fn dsn(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let mut parts = rest.splitn(3, |octet| *octet == 0xff);
    let mut part = || parts.next().unwrap_or_default();
    let (said, original, text) = (part(), part(), part());
    let kind = [ReportKind::Failed, ReportKind::Delayed, ReportKind::Relayed][choice as usize % 3];
    let class = [5, 4, 2][choice as usize % 3];
    let heard = ReplyParser::default().parse(&mut BytesMut::from(said)).ok().flatten();
    let heard = heard.map_or_else(String::new, |reply| reply.text());
    let mut to = Recipient::plain("ann@example.net".parse().expect("an address"));
    let printable: String = String::from_utf8_lossy(original).chars().filter(shown).collect();
    if !printable.is_empty() {
        let address_type = if printable.is_ascii() { "rfc822" } else { "utf-8" };
        let (address_type, address) = (address_type.into(), printable.as_str().into());
        to.original = Some(OriginalRecipient { address_type, address });
    }
    let from = ReversePath::Mailbox("bob@example.org".parse().expect("an address"));
    let mut envelope = Envelope::plain(from, vec![to]);
    envelope.ret = [None, Some(Ret::Full), Some(Ret::Headers)][usize::from(choice / 3) % 3];
    envelope.envelope_id = (choice & 64 != 0).then(|| "a b".into());
    let fate = Fate {
        recipient: RecipientIndex(0),
        kind,
        expired: choice & 128 != 0,
        diagnosis: Diagnosis::reply(
            class * 100 + 50,
            EnhancedStatus::new(class as u8, 1, 1),
            &heard,
        ),
        remote: Some(Remote { host: printable.into(), address: [192, 0, 2, 1].into() }),
        at: Timestamp::from_secs(1),
    };
    let message = taken(text);
    let report = Report {
        id: QueueId::from_u64(2),
        at: Timestamp::from_secs(3),
        hostname: "mx.example",
        original: QueueId::from_u64(1),
        arrived_at: Timestamp::from_secs(1),
        expires_at: Timestamp::from_secs(9),
        envelope: &envelope,
        message: &message,
        fates: vec![fate],
    };
    let Some(written) = dsn::write(&report) else { return };
    check(&written.message);
}

fn check(message: &[u8]) {
    const OURS: &[&str] = &[
        "Date",
        "From",
        "To",
        "Subject",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    for field in header_fields(message) {
        assert!(OURS.iter().any(|name| field.is(name)), "{:?}", field.raw.escape_ascii());
    }
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.len() <= 1_000, "{} octets", line.len());
        let inner = line.strip_suffix(b"\r\n").expect("a line ends with CR LF");
        assert!(!inner.contains(&b'\r') && !inner.contains(&0));
    }
}

fn shown(c: &char) -> bool {
    !c.is_control()
}

/// The octets as a message that the server would take.
fn taken(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.split(|octet| *octet == b'\n') {
        for piece in line.chunks(998) {
            out.extend(piece.iter().filter(|octet| !matches!(octet, 0 | b'\r')));
            out.extend_from_slice(b"\r\n");
        }
        if line.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}
