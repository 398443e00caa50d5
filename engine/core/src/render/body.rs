//! The body of a message (RFC 2045, 2046): text, HTML and files, in as few parts as can be.
//!
//! ```text
//! multipart/mixed                 with files that are saved
//!   multipart/alternative         with text and HTML (RFC 2046 5.1.4)
//!     text/plain
//!     multipart/related           with files that the HTML shows (RFC 2387)
//!       text/html
//!       image/png
//!   application/pdf
//! ```
//!
//! All of it is US-ASCII without long lines: texts as they are where they are so by themselves, in
//! quoted-printable or base64 where not, files in base64. So any server takes it, and no server has
//! to change it, which would break its signatures.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::BodyPart;
use mail_builder::mime::MimePart;
use memchr::memchr_iter;
use memchr::memchr3_iter;
use memchr::memmem;

use crate::render::field::Fields;
use crate::render::field::Unsound;
use crate::render::mailing::Attachment;

/// RFC 2045 6.8: an encoded line has at most 76 characters.
const BASE64_CHARACTERS_MAX: usize = 76;
/// RFC 5322 2.1.1: a line has at most 998 octets, without its CRLF.
const LINE_OCTETS_MAX: usize = 998;

/// What a body is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body<'a> {
    /// For those who read text.
    pub text: Option<&'a str>,
    /// For those who see more.
    pub html: Option<&'a str>,
    /// Files that the HTML shows, as [`file`] writes them.
    pub shown: &'a [Vec<u8>],
    /// Files that are saved.
    pub saved: &'a [Vec<u8>],
}

/// A file as a part, with its header: done once for all recipients.
///
/// # Errors
/// Its name or media type has a control character.
pub fn file(attachment: &Attachment) -> Result<Vec<u8>, Unsound> {
    let Attachment { file_name, content_type, content, content_id } = attachment;
    let mut fields = Fields::new();
    fields.plain("Content-Type", content_type)?;
    fields.plain("Content-Transfer-Encoding", "base64")?;
    let disposition = if content_id.is_empty() { "attachment" } else { "inline" };
    if file_name.is_empty() {
        fields.plain("Content-Disposition", disposition)?;
    } else {
        let name = ("filename", &**file_name);
        fields.parameter("Content-Disposition", disposition, name)?;
    }
    if !content_id.is_empty() {
        fields.plain("Content-ID", &format!("<{content_id}>"))?;
    }
    let mut octets = fields.into_octets();
    octets.extend_from_slice(b"\r\n");
    let encoded = STANDARD.encode(content);
    let lines = encoded.as_bytes().chunks(BASE64_CHARACTERS_MAX);
    octets.reserve(encoded.len() + 2 * lines.len());
    for line in lines {
        octets.extend_from_slice(line);
        octets.extend_from_slice(b"\r\n");
    }
    Ok(octets)
}

/// Writes the body with the header fields that describe it. `name` makes its boundaries differ from
/// those of other messages.
pub fn write(body: &Body<'_>, name: &str, out: &mut Vec<u8>) {
    let text = body.text.map(canonical);
    let html = body.html.map(canonical);
    let texts = [text.as_deref(), html.as_deref()];
    let mut boundaries = Boundaries::new(name, texts.into_iter().flatten());
    let files: usize = body.shown.iter().chain(body.saved).map(Vec::len).sum();
    let texts: usize = texts.iter().flatten().map(|text| text.len() + text.len() / 8).sum();
    out.reserve(files + texts + 2_048);
    let html = html.map(|html| {
        let html = text_part("text/html", html);
        with_files("multipart/related", html, body.shown, &mut boundaries)
    });
    let text = text.map(|text| text_part("text/plain", text));
    let root = match (text, html) {
        (Some(text), Some(html)) => boundaries.around("multipart/alternative", vec![text, html]),
        (text, html) => text.or(html).unwrap_or_else(|| text_part("text/plain", Cow::Borrowed(""))),
    };
    with_files("multipart/mixed", root, body.saved, &mut boundaries).write_part(out);
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
}

/// A text as a part. It is encoded only where it must be: what can be sent as it is stays readable,
/// and encoding takes longer than all else that is done for a recipient.
fn text_part<'a>(kind: &'a str, text: Cow<'a, str>) -> MimePart<'a> {
    let plain = is_seven_bit(&text);
    let part = MimePart::new(kind, BodyPart::Text(text));
    if plain { part.transfer_encoding("7bit") } else { part }
}

/// Whether a text with the line ends of mail is 7bit data (RFC 2045 2.7), and safe on its way: no
/// space before a line end, which servers may take away.
fn is_seven_bit(text: &str) -> bool {
    let octets = text.as_bytes();
    let mut begin = 0;
    let mut short = |end: usize| {
        let last = octets.get(end.wrapping_sub(1));
        let fits = end - begin <= LINE_OCTETS_MAX && !matches!(last, Some(b' ' | b'\t'));
        begin = end + 2;
        fits
    };
    octets.is_ascii()
        && memchr_iter(b'\r', octets).all(&mut short)
        && (octets.ends_with(b"\r\n") || short(octets.len()))
}

/// A part and files beside it; the part alone if there are none.
fn with_files<'a>(
    kind: &'a str,
    part: MimePart<'a>,
    files: &'a [Vec<u8>],
    boundaries: &mut Boundaries,
) -> MimePart<'a> {
    if files.is_empty() {
        return part;
    }
    let mut parts = vec![part];
    // They bring their header with them.
    let raw = |file: &'a Vec<u8>| MimePart::raw(BodyPart::Binary(Cow::Borrowed(file.as_slice())));
    parts.extend(files.iter().map(raw));
    boundaries.around(kind, parts)
}

/// Text with the line ends of mail (RFC 5322 2.3), and without NUL, which mail cannot carry.
pub(crate) fn canonical(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let octets = text.as_bytes();
    for at in memchr3_iter(b'\r', b'\n', b'\0', octets) {
        let before = at.checked_sub(1).and_then(|before| octets.get(before));
        let behind = octets.get(at + 1);
        let instead = match octets.get(at) {
            Some(b'\r') if behind == Some(&b'\n') => continue,
            Some(b'\n') if before == Some(&b'\r') => continue,
            Some(b'\0') => "\u{fffd}",
            _ => "\r\n",
        };
        out.push_str(text.get(copied..at).unwrap_or_default());
        out.push_str(instead);
        copied = at + 1;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// Boundaries that occur in none of the texts (RFC 2046 5.1.1). In quoted-printable and base64 they
/// cannot occur: `=_` is in neither.
struct Boundaries {
    stem: String,
    given: u8,
}

impl Boundaries {
    fn new<'a>(name: &str, texts: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut stem = format!("=_{name}");
        let mut count = 0_u32;
        while texts.clone().any(|text| memmem::find(text.as_bytes(), stem.as_bytes()).is_some()) {
            count += 1;
            stem = format!("=_{count}_{name}");
        }
        Self { stem, given: 0 }
    }

    /// A part around others.
    fn around<'a>(&mut self, kind: &'a str, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
        // None may begin like another.
        let boundary = format!("{}_{}", self.stem, char::from(b'a' + self.given));
        self.given += 1;
        let content_type = ContentType::new(kind).attribute("boundary", boundary);
        MimePart {
            headers: vec![(Cow::Borrowed("Content-Type"), content_type.into())],
            contents: BodyPart::Multipart(parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::mailing::samples;

    fn body(body: &Body<'_>) -> String {
        let mut out = Vec::new();
        write(body, "id", &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The media types in their order.
    fn kinds(written: &str) -> Vec<&str> {
        let lines = written.lines().filter_map(|line| line.strip_prefix("Content-Type: "));
        lines.map(|line| line.split(';').next().unwrap()).collect()
    }

    #[test]
    fn there_are_no_more_parts_than_are_needed() {
        let file = |id| file(&samples::attachment("a.png", "image/png", id)).unwrap();
        let (shown, saved) = ([file("logo")], [file("")]);
        let whole = Body { text: Some("t"), html: Some("h"), shown: &shown, saved: &saved };
        for (parts, wanted) in [
            (Body { text: Some("t"), ..Body::default() }, vec!["text/plain"]),
            (Body { html: Some("h"), ..Body::default() }, vec!["text/html"]),
            (Body::default(), vec!["text/plain"]),
            (
                Body { shown: &[], saved: &[], ..whole },
                vec!["multipart/alternative", "text/plain", "text/html"],
            ),
            (
                Body { text: None, saved: &[], ..whole },
                vec!["multipart/related", "text/html", "image/png"],
            ),
            (
                Body { html: None, shown: &[], ..whole },
                vec!["multipart/mixed", "text/plain", "image/png"],
            ),
            (
                whole,
                vec![
                    "multipart/mixed",
                    "multipart/alternative",
                    "text/plain",
                    "multipart/related",
                    "text/html",
                    "image/png",
                    "image/png",
                ],
            ),
        ] {
            let written = body(&parts);
            assert_eq!(kinds(&written), wanted);
            assert!(written.ends_with("\r\n"));
        }
    }

    #[test]
    fn a_boundary_that_the_text_holds_is_not_used() {
        let text = "--=_id_a\r\n\r\n--=_id\r\n--=_1_id_a--";
        let written = body(&Body { text: Some(text), html: Some("h"), ..Body::default() });
        assert!(written.contains("boundary=\"=_2_id_a\""), "{written}");
        assert!(written.contains(text));
    }

    #[test]
    fn line_ends_are_those_of_mail() {
        for (text, wanted) in [
            ("", ""),
            ("a\r\nb", "a\r\nb"),
            ("a\nb\rc\n\rd\r", "a\r\nb\r\nc\r\n\r\nd\r\n"),
            ("\n", "\r\n"),
            ("a\0b", "a\u{fffd}b"),
            ("ü\nü", "ü\r\nü"),
        ] {
            assert_eq!(canonical(text), wanted, "{text:?}");
        }
        assert!(matches!(canonical("a\r\nb"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_text_is_encoded_only_where_it_must_be() {
        let encoding = |text: &str| {
            let written = body(&Body { text: Some(text), ..Body::default() });
            let (_, rest) = written.split_once("Content-Transfer-Encoding: ").unwrap();
            rest.split("\r\n").next().unwrap().to_owned()
        };
        let line = "x".repeat(LINE_OCTETS_MAX);
        for text in ["", "a", "a\nb", "a = b\n\tc", &line, &format!("a\n{line}\nb")] {
            assert_eq!(encoding(text), "7bit", "{text:?}");
        }
        for text in ["\u{fc} and text", "a ", "a \nb", "a\t\n"] {
            let text = format!("some more words\n{text}");
            assert_eq!(encoding(&text), "quoted-printable", "{text:?}");
        }
        for text in [format!("{line}x"), format!("a\n{line}x\nb"), format!("a\n{line}x")] {
            assert_eq!(encoding(&text), "quoted-printable");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_short_lines_of_ascii(text in "(\\PC|[ -~]|[\r\n\t\0]){0,300}") {
            let written = body(&Body { text: Some(&text), html: Some(&text), ..Body::default() });
            prop_assert!(written.is_ascii());
            for line in written.split("\r\n") {
                prop_assert!(line.len() <= LINE_OCTETS_MAX, "{line}");
                prop_assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
            }
        }
    }
}
