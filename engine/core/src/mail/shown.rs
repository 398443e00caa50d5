//! A message as a person sees it: decoded, and bounded. For whoever looks at it, never for what is
//! sent.

use std::collections::BTreeMap;

use mail_parser::MessageParser;

use crate::mail::message::header_fields;

/// Header fields that are shown.
pub const FIELDS_MAX: usize = 200;
/// Octets of one header field that are shown.
pub const FIELD_OCTETS_MAX: usize = 8 * 1024;
/// Octets of a body that are shown.
pub const BODY_OCTETS_MAX: usize = 64 * 1024;
/// Octets of a message whose body is looked at.
pub const MESSAGE_OCTETS_MAX: usize = 4 << 20;

/// What is shown of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Header fields, unfolded: the first of each name, in small letters.
    pub headers: BTreeMap<String, String>,
    /// The subject, decoded (RFC 2047).
    pub subject: String,
    /// The HTML, decoded; empty if there is none, or it was not asked for.
    pub html: String,
    /// The text, decoded; empty if there is none, or it was not asked for.
    pub text: String,
}

impl Shown {
    /// The header of a message.
    pub fn header(message: &[u8]) -> Self {
        let mut headers = BTreeMap::new();
        for field in header_fields(message).take(FIELDS_MAX) {
            let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
            headers.entry(name).or_insert_with(|| cut(&field.unfolded(), FIELD_OCTETS_MAX));
        }
        let subject = MessageParser::default().parse_headers(message);
        let subject = subject.and_then(|parsed| Some(cut(parsed.subject()?, FIELD_OCTETS_MAX)));
        let subject = subject.unwrap_or_default();
        Self { headers, subject, html: String::new(), text: String::new() }
    }

    /// The header and the body of a message.
    pub fn whole(message: &[u8]) -> Self {
        let mut this = Self::header(message);
        if message.len() > MESSAGE_OCTETS_MAX {
            return this;
        }
        let Some(parsed) = MessageParser::default().parse(message) else { return this };
        // Text is made of HTML, and HTML of text, where a message has one of them only.
        let has = |kind: &str| {
            let mut parts = parsed.parts.iter();
            parts.any(|part| part.is_text() && part.is_text_html() == (kind == "html"))
        };
        if has("html") {
            this.html =
                parsed.body_html(0).map(|body| cut(&body, BODY_OCTETS_MAX)).unwrap_or_default();
        }
        if has("text") {
            this.text =
                parsed.body_text(0).map(|body| cut(&body, BODY_OCTETS_MAX)).unwrap_or_default();
        }
        this
    }
}

fn cut(text: &str, octets_max: usize) -> String {
    let text = text.trim();
    text.get(..text.floor_char_boundary(octets_max)).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_decoded() {
        let message = "From: a@example.net\r\n\
            Subject: =?utf-8?B?Z3LDvG4=?=\r\n =?utf-8?B?IQ==?=\r\n\
            X-A: one\r\n two\r\nx-a: 3\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/alternative; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<p>hello</p>\r\n--b--\r\n";
        let shown = Shown::whole(message.as_bytes());
        assert_eq!(shown.subject, "gr\u{fc}n!");
        assert_eq!(shown.headers["x-a"], "one two");
        assert_eq!((&*shown.text, &*shown.html), ("hello", "<p>hello</p>"));
        let header = Shown::header(message.as_bytes());
        assert_eq!((header.subject, header.html), (shown.subject, String::new()));
    }

    #[test]
    fn one_part_is_one_part() {
        let shown = Shown::whole(b"Subject: x\r\n\r\nhello\r\n");
        assert_eq!((&*shown.text, &*shown.html), ("hello", ""));
        assert_eq!(Shown::whole(b""), Shown::default());
    }

    #[test]
    fn what_is_long_is_cut() {
        let message =
            format!("Subject: {}\r\n\r\n{}", "x".repeat(900), "\u{fc}".repeat(BODY_OCTETS_MAX));
        let shown = Shown::whole(message.as_bytes());
        assert!(shown.text.len() <= BODY_OCTETS_MAX);
        let many =
            "X: y\r\n".repeat(3) + &(0..300).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
        assert!(Shown::header(many.as_bytes()).headers.len() <= FIELDS_MAX);
    }
}
