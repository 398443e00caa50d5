//! The part that gives back the message, or its header (RFC 3461 4.3, RFC 6522 3).
//!
//! Nothing is changed in a message that is given back whole, because its signature may be all that
//! shows whose it was. What could not go through SMTP as it is (lines too long, a NUL, a CR or LF
//! that ends no line) is not given back whole.

use memchr::memmem;

use crate::bounce::encode::quoted_printable;
use crate::bounce::fate::Report;
use crate::event::ReportKind;
use crate::mail::envelope::Ret;
use crate::mail::message::header_octets;

/// A message larger than this is not given back whole, even if that was asked for.
pub(super) const RETURNED_OCTETS_MAX: usize = 1 << 20;
/// Of a header larger than this, only the first fields are given back.
pub(super) const HEADER_OCTETS_MAX: usize = 64 << 10;
/// RFC 5321 4.5.3.1.6: a line has at most 1,000 octets with its CRLF.
const LINE_OCTETS_MAX: usize = 998;

/// How much is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Whole,
    Header,
    /// The whole was asked for but is too large or cannot go out as it is.
    HeaderInstead,
    HeaderCut,
}

/// What is given back.
pub(super) struct Returned<'a> {
    how: How,
    octets: &'a [u8],
    global: bool,
}

impl<'a> Returned<'a> {
    pub(super) fn of(report: &Report<'a>) -> Self {
        let message = report.message;
        let header = message.get(..header_octets(message)).unwrap_or_default();
        // RFC 6533 6: only where SMTPUTF8 was declared may a header be taken for UTF-8.
        let utf8 = report.envelope.smtputf8 && std::str::from_utf8(header).is_ok();
        let global = utf8 && !header.is_ascii();
        // RFC 3461 4.3: RET is about failures only.
        let asked = report.envelope.ret == Some(Ret::Full) && report.tells(ReportKind::Failed);
        let whole = asked && message.len() <= RETURNED_OCTETS_MAX && is_smtp_text(message);
        let (how, octets) = match first_fields(header) {
            _ if whole => (How::Whole, message),
            cut if cut.len() < header.len() => (How::HeaderCut, cut),
            header if asked => (How::HeaderInstead, header),
            header => (How::Header, header),
        };
        Self { how, octets, global }
    }

    /// What people are told about it.
    pub(super) const fn note(&self) -> &'static str {
        match self.how {
            How::Whole => "Your message is attached.",
            How::Header => "The header of your message is attached.",
            How::HeaderInstead => {
                "The header of your message is attached. The rest could not be returned: it is too \
                 large, or not fit to be attached as it is."
            }
            How::HeaderCut => "The first fields of your message's header are attached.",
        }
    }

    /// The part's header, and its body.
    pub(super) fn part(&self) -> Vec<u8> {
        let eight_bit = !self.octets.is_ascii();
        let (kind, name) = match (self.how, self.global) {
            (How::Whole, false) => ("message/rfc822", "Undelivered message"),
            (How::Whole, true) => ("message/global", "Undelivered message"),
            (_, false) => ("text/rfc822-headers", "Header of the message"),
            (_, true) => ("message/global-headers", "Header of the message"),
        };
        // RFC 2046 5.2.1: a message/rfc822 is not encoded. A header may be (RFC 6522 4).
        let plain = self.how == How::Whole || (!eight_bit || self.global) && self.is_plain();
        let encoding = match (plain, eight_bit) {
            (true, false) => "7bit",
            (true, true) => "8bit",
            (false, _) => "quoted-printable",
        };
        let head = format!(
            "Content-Description: {name}\r\nContent-Type: {kind}\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        let mut out = head.into_bytes();
        if plain {
            out.extend_from_slice(self.octets);
        } else {
            out.extend_from_slice(quoted_printable(self.octets).as_bytes());
        }
        out
    }

    fn is_plain(&self) -> bool {
        is_smtp_text(self.octets)
    }
}

/// Whether these are lines as SMTP takes them (RFC 5321 2.3.8, 4.5.3.1.6).
fn is_smtp_text(octets: &[u8]) -> bool {
    let mut lines = octets.split(|octet| *octet == b'\n').peekable();
    while let Some(line) = lines.next() {
        let text = if lines.peek().is_some() { line.strip_suffix(b"\r") } else { Some(line) };
        let Some(text) = text else { return false };
        if text.len() > LINE_OCTETS_MAX || memchr::memchr2(b'\r', 0, text).is_some() {
            return false;
        }
    }
    true
}

/// The first fields, each whole, of at most [`HEADER_OCTETS_MAX`] octets.
fn first_fields(header: &[u8]) -> &[u8] {
    if header.len() <= HEADER_OCTETS_MAX {
        return header;
    }
    let mut end = HEADER_OCTETS_MAX;
    while let Some(at) = header.get(..end).and_then(|head| memmem::rfind(head, b"\r\n")) {
        let (head, rest) = header.split_at_checked(at + 2).unwrap_or_default();
        if !rest.starts_with(b" ") && !rest.starts_with(b"\t") {
            return head;
        }
        end = at;
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_smtp_does_not_take_are_seen() {
        let line = |octets: usize| "x".repeat(octets) + "\r\n";
        assert!(is_smtp_text(line(LINE_OCTETS_MAX).as_bytes()));
        assert!(!is_smtp_text(line(LINE_OCTETS_MAX + 1).as_bytes()));
        assert!(is_smtp_text(b"a\r\n\r\nno line end"));
        for text in [b"a\nb\r\n".as_slice(), b"a\rb\r\n", b"a\0\r\n", b"a\r", b"\n"] {
            assert!(!is_smtp_text(text), "{text:?}");
        }
    }

    #[test]
    fn a_header_is_cut_between_fields() {
        let field = format!("X: {}\r\n {}\r\n", "a".repeat(900), "b".repeat(900));
        let header = field.repeat(100);
        let cut = first_fields(header.as_bytes());
        assert!(cut.len() <= HEADER_OCTETS_MAX);
        assert_eq!(cut.len() % field.len(), 0);
        assert!(cut.len() + field.len() > HEADER_OCTETS_MAX);
        let endless = "X: ".to_owned() + &"a\r\n ".repeat(HEADER_OCTETS_MAX);
        assert_eq!(first_fields(endless.as_bytes()), b"");
        let fits = "a".repeat(HEADER_OCTETS_MAX);
        assert_eq!(first_fields(fits.as_bytes()).len(), HEADER_OCTETS_MAX);
    }
}
