//! Header fields (RFC 5322 2.2): the only place where texts become some.
//!
//! No text gets in that holds a line end or another control character, so none can add a field, end
//! the header or break a line. What is not US-ASCII is encoded (RFC 2047), long fields are folded,
//! and no line is longer than 998 octets (RFC 5322 2.1.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_builder::headers::Header;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::headers::url::URL;

use crate::mail::address::Mailbox;

/// RFC 5322 2.1.1: a line has at most 998 octets, so a name of a field has fewer.
pub const NAME_OCTETS_MAX: usize = 76;
/// An identifier of a part has at most as many octets.
pub const CONTENT_ID_OCTETS_MAX: usize = 128;
/// A word longer than this is encoded, because folding cannot break it.
const WORD_OCTETS_MAX: usize = 900;
/// Octets that one encoded-word of base64 carries: RFC 2047 2 gives it 75 characters.
const ENCODED_OCTETS_MAX: usize = 45;

/// A text with a control character in it does not become a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line end or other control character")]
pub struct Unsound;

/// Whether a text can become (part of) a header field.
pub fn is_sound(text: &str) -> bool {
    !text.contains(|c: char| c.is_control())
}

/// Whether this is a name of a header field: `ftext` of RFC 5322 3.6.8.
pub fn is_name(name: &str) -> bool {
    let inside = |octet: u8| octet.is_ascii_graphic() && octet != b':';
    !name.is_empty() && name.len() <= NAME_OCTETS_MAX && name.bytes().all(inside)
}

/// Whether this can name a part in `cid:` URLs and in Content-ID (RFC 2392 2).
pub fn is_content_id(id: &str) -> bool {
    let inside = |octet: u8| octet.is_ascii_alphanumeric() || b".-_@".contains(&octet);
    !id.is_empty() && id.len() <= CONTENT_ID_OCTETS_MAX && id.bytes().all(inside)
}

/// Whether this is a media type (RFC 2045 5.1) that a file can have. Those of several parts and of
/// messages cannot be encoded as a file is (RFC 2045 6.4).
pub fn is_attachable(content_type: &str) -> bool {
    let mut pieces = content_type.split(';');
    let Some((kind, subtype)) = pieces.next().and_then(|media| media.trim().split_once('/')) else {
        return false;
    };
    let composite = ["multipart", "message"].iter().any(|other| kind.eq_ignore_ascii_case(other));
    !composite && is_token(kind) && is_token(subtype) && pieces.all(is_parameter)
}

/// `attribute "=" value` of RFC 2045 5.1; a quoted value holds neither quotes nor backslashes.
fn is_parameter(piece: &str) -> bool {
    let Some((name, value)) = piece.trim().split_once('=') else { return false };
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inside = |octet: u8| (b' '..=b'~').contains(&octet) && octet != b'"' && octet != b'\\';
    is_token(name) && quoted.map_or_else(|| is_token(value), |text| text.bytes().all(inside))
}

/// `token` of RFC 2045 5.1.
fn is_token(text: &str) -> bool {
    let inside = |octet: u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet);
    !text.is_empty() && text.bytes().all(inside)
}

/// Header fields in the order in which they are written.
#[derive(Debug, Default)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// None yet.
    pub fn new() -> Self {
        Self(Vec::with_capacity(1_024))
    }

    /// The octets, each field with its CRLF.
    pub fn into_octets(self) -> Vec<u8> {
        self.0
    }

    /// A field of free text (RFC 5322 3.6.5).
    ///
    /// # Errors
    /// The text has a control character.
    pub fn text(&mut self, name: &str, text: &str) -> Result<(), Unsound> {
        let text = sound(text)?.trim_matches(' ');
        let column = self.name(name);
        if is_plain(text) {
            Raw::new(text).write_header(&mut self.0, column);
        } else if text.contains("=?") {
            Raw::new(encoded_words(text)).write_header(&mut self.0, column);
        } else {
            Text::new(text).write_header(&mut self.0, column);
        }
        Ok(())
    }

    /// A field of one mailbox (RFC 5322 3.4) with a display name, or without if that is empty.
    ///
    /// # Errors
    /// The name has a control character.
    pub fn mailbox(&mut self, name: &str, shown: &str, mailbox: &Mailbox) -> Result<(), Unsound> {
        let shown = sound(shown)?.trim_matches(' ');
        let column = self.name(name);
        let value = if shown.is_empty() {
            format!("<{mailbox}>")
        } else if is_plain(shown) {
            format!("{} <{mailbox}>", quoted_string(shown))
        } else {
            // In a quoted string, some readers decode what is none of their business.
            format!("{} <{mailbox}>", encoded_words(shown))
        };
        Raw::new(value).write_header(&mut self.0, column);
        Ok(())
    }

    /// A field of URLs in angle brackets (RFC 2369 2), each on a line of its own.
    ///
    /// # Errors
    /// A URL has an octet that a URL cannot have.
    pub fn urls(&mut self, name: &str, urls: Vec<String>) -> Result<(), Unsound> {
        let inside = |octet: u8| octet.is_ascii_graphic() && octet != b'<' && octet != b'>';
        if !urls.iter().flat_map(|url| url.bytes()).all(inside) {
            return Err(Unsound);
        }
        let column = self.name(name);
        URL::new_list(urls.into_iter()).write_header(&mut self.0, column);
        Ok(())
    }

    /// A field that we know to be in US-ASCII and short.
    ///
    /// # Errors
    /// The value has a control character.
    pub fn plain(&mut self, name: &str, value: &str) -> Result<(), Unsound> {
        let value = sound(value)?;
        self.name(name);
        self.0.extend_from_slice(value.as_bytes());
        self.0.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// A field with one parameter (RFC 2045 5.1), encoded as RFC 2231 says where it must be.
    ///
    /// # Errors
    /// The value has a control character.
    pub fn parameter(
        &mut self,
        name: &str,
        value: &str,
        (attribute, text): (&str, &str),
    ) -> Result<(), Unsound> {
        let (value, text) = (sound(value)?, sound(text)?);
        let column = self.name(name);
        ContentType::new(value).attribute(attribute, text).write_header(&mut self.0, column);
        Ok(())
    }

    /// Begins a field; gives the column behind its name.
    fn name(&mut self, name: &str) -> usize {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        name.len() + 2
    }
}

fn sound(text: &str) -> Result<&str, Unsound> {
    if is_sound(text) { Ok(text) } else { Err(Unsound) }
}

/// Whether a text can stand as it is, folded at its spaces.
fn is_plain(text: &str) -> bool {
    text.is_ascii()
        && !text.contains("=?")
        && text.split(' ').all(|word| word.len() <= WORD_OCTETS_MAX)
}

/// `quoted-string` of RFC 5322 3.2.4.
fn quoted_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// The text as encoded-words (RFC 2047 2), whatever it is; no character is torn apart.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(ENCODED_OCTETS_MAX.min(rest.len()));
        let Some((word, behind)) = rest.split_at_checked(end) else { break };
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = behind;
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Fields) -> Result<(), Unsound>) -> String {
        let mut fields = Fields::new();
        write(&mut fields).unwrap();
        String::from_utf8(fields.into_octets()).unwrap()
    }

    fn subject(text: &str) -> String {
        written(|fields| fields.text("Subject", text))
    }

    fn from(name: &str) -> String {
        let mailbox = Mailbox::parse("ann@example.net").unwrap();
        written(|fields| fields.mailbox("From", name, &mailbox))
    }

    #[test]
    fn plain_text_stays_readable() {
        assert_eq!(subject("Hello, Ann"), "Subject: Hello, Ann\r\n");
        let long = subject(&"some words ".repeat(20));
        assert!(long.starts_with("Subject: some words some words"));
        assert!(long.split("\r\n").all(|line| line.len() <= 78));
        assert_eq!(from(""), "From: <ann@example.net>\r\n");
        assert_eq!(from("Ann"), "From: \"Ann\" <ann@example.net>\r\n");
        assert_eq!(from("A \"b\" \\c"), "From: \"A \\\"b\\\" \\\\c\" <ann@example.net>\r\n");
        let long = from("some words ".repeat(20).trim());
        assert!(long.contains("\r\n") && !long.contains("=?"), "{long}");
    }

    #[test]
    fn what_a_reader_would_decode_is_encoded() {
        assert_eq!(subject("Grün"), "Subject: =?utf-8?B?R3LDvG4=?=\r\n");
        let trap = "=?utf-8?q?=0D=0ABcc:_x?=";
        for field in [subject(trap), from(trap)] {
            assert!(!field.contains("=0D"), "{field}");
            assert!(field.contains(&STANDARD.encode(trap)), "{field}");
        }
    }

    #[test]
    fn control_characters_do_not_get_in() {
        let mailbox = Mailbox::parse("ann@example.net").unwrap();
        for bad in ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\tb", "a\u{85}b", "\r\n"] {
            let mut fields = Fields::new();
            assert_eq!(fields.text("Subject", bad), Err(Unsound));
            assert_eq!(fields.mailbox("From", bad, &mailbox), Err(Unsound));
            assert_eq!(fields.plain("Date", bad), Err(Unsound));
            assert_eq!(fields.urls("List-Help", vec![bad.into()]), Err(Unsound));
            assert_eq!(fields.parameter("Content-Type", bad, ("a", "b")), Err(Unsound));
            assert_eq!(fields.parameter("Content-Type", "a/b", ("a", bad)), Err(Unsound));
            assert!(fields.into_octets().is_empty());
        }
        let mut fields = Fields::new();
        for bad in ["https://a/>,<https://b/", "https://a/ b", "https://ä/"] {
            assert_eq!(fields.urls("List-Help", vec![bad.into()]), Err(Unsound));
        }
    }

    #[test]
    fn names_and_identifiers_are_bounded() {
        let of = |octets: usize| "n".repeat(octets);
        assert!(is_name(&of(NAME_OCTETS_MAX)));
        assert!(!is_name(&of(NAME_OCTETS_MAX + 1)));
        assert!(is_content_id(&of(CONTENT_ID_OCTETS_MAX)));
        assert!(!is_content_id(&of(CONTENT_ID_OCTETS_MAX + 1)));
        for id in ["", "a b", "<a>", "a\"", "ä", "a/b"] {
            assert!(!is_content_id(id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_field_is_two(text in "(\\PC|[ =?\"<>(),;:a-z]){0,400}") {
            let mailbox = Mailbox::parse("ann@example.net").unwrap();
            let file = ("filename", text.as_str());
            for field in [
                written(|fields| fields.text("Subject", &text)),
                written(|fields| fields.mailbox("From", &text, &mailbox)),
                written(|fields| fields.parameter("Content-Disposition", "attachment", file)),
            ] {
                prop_assert!(field.is_ascii(), "{field}");
                let field = field.strip_suffix("\r\n").unwrap();
                let mut lines = field.split("\r\n");
                prop_assert!(lines.next().is_some_and(|line| line.len() <= 998));
                for line in lines {
                    prop_assert!(line.len() <= 998 && line.starts_with([' ', '\t']), "{field}");
                    prop_assert!(!line.trim().is_empty(), "{field}");
                    prop_assert!(!line.contains(['\r', '\n']), "{field}");
                }
            }
        }

        #[test]
        fn one_long_word_is_no_long_line(length in 0_usize..5_000) {
            let field = subject(&"x".repeat(length));
            prop_assert!(field.split("\r\n").all(|line| line.len() <= 998));
        }
    }
}
