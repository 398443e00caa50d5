//! Lines that every mail server takes: folded, wrapped, or in quoted-printable (RFC 2045 6.7).

use std::fmt::Write;

/// RFC 5322 2.1.1: what a line should have at most, without its CRLF.
const LINE_OCTETS_WANTED: usize = 78;
/// A word longer than this is broken: RFC 5322 2.1.1 has 998 octets at most.
const WORD_OCTETS_MAX: usize = 900;
/// RFC 2045 6.7 (5): an encoded line has at most 76 characters.
const ENCODED_OCTETS_MAX: usize = 76;

/// Breaks text at its spaces into lines, each behind `indent`; the first has room for `taken`
/// octets that stand there already.
fn broken(text: &str, taken: usize, indent: &str) -> String {
    let mut out = String::with_capacity(text.len() + 80);
    let mut column = taken;
    let mut first = true;
    for word in text.split(' ').flat_map(pieces) {
        if !first && column + 1 + word.len() > LINE_OCTETS_WANTED {
            out.push_str("\r\n");
            out.push_str(indent);
            column = indent.len();
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
        first = false;
    }
    out
}

/// A word, in pieces of at most [`WORD_OCTETS_MAX`].
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(word);
    std::iter::from_fn(move || {
        let whole = rest.take()?;
        let cut = whole.floor_char_boundary(WORD_OCTETS_MAX.min(whole.len()));
        let (head, tail) = whole.split_at_checked(cut)?;
        rest = Some(tail).filter(|tail| !tail.is_empty());
        Some(head)
    })
}

/// One field, folded at its spaces (RFC 5322 2.2.3). The value holds no line end.
pub(super) fn field(name: &str, value: &str) -> String {
    // Two spaces in a row would leave a line of white space when folded.
    let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    format!("{name}: {}\r\n", broken(&value, name.len() + 2, "\t"))
}

/// A paragraph for people, each line behind `indent`.
pub(super) fn paragraph(text: &str, indent: &str) -> String {
    format!("{indent}{}\r\n", broken(text, indent.len(), indent))
}

/// The text with each character that is not printable US-ASCII replaced.
pub(super) fn ascii(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

/// The octets in quoted-printable. Line ends stay; a CR or LF that is none is encoded.
pub(super) fn quoted_printable(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len() + octets.len() / 8);
    let mut column = 0;
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        let rest = octets.get(at + 1..).unwrap_or_default();
        if octet == b'\r' && rest.first() == Some(&b'\n') {
            out.push_str("\r\n");
            column = 0;
            at += 2;
            continue;
        }
        let ends_line = rest.is_empty() || rest.starts_with(b"\r\n");
        let plain = match octet {
            b' ' | b'\t' => !ends_line,
            b'=' => false,
            octet => octet.is_ascii_graphic(),
        };
        let wide = if plain { 1 } else { 3 };
        // One column is for the soft break itself.
        if column + wide >= ENCODED_OCTETS_MAX && !(ends_line && column + wide == 76) {
            out.push_str("=\r\n");
            column = 0;
        }
        if plain {
            out.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "={octet:02X}");
        }
        column += wide;
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(text: &str) -> usize {
        text.split("\r\n").map(str::len).max().unwrap()
    }

    #[test]
    fn fields_are_folded_and_unfold_to_what_they_were() {
        let value = "smtp; 550 5.1.1 ".to_owned() + &"some words ".repeat(40);
        let folded = field("Diagnostic-Code", &value);
        assert!(longest(&folded) <= LINE_OCTETS_WANTED);
        let unfolded = folded.replace("\r\n\t", " ");
        assert_eq!(unfolded.trim_end(), format!("Diagnostic-Code: {}", value.trim_end()));
    }

    #[test]
    fn no_word_makes_a_line_longer_than_smtp_allows() {
        let folded = field("Diagnostic-Code", &"ü".repeat(5_000));
        assert!(longest(&folded) <= 998);
        assert_eq!(folded.matches('ü').count(), 5_000);
        assert!(longest(&paragraph(&"x".repeat(5_000), "    ")) <= 998);
    }

    #[test]
    fn a_folded_field_never_has_a_line_of_white_space() {
        let folded = field("X", &("a".repeat(70) + &" ".repeat(90) + &"b".repeat(70)));
        assert!(folded.split("\r\n").filter(|line| !line.is_empty()).all(|l| !l.trim().is_empty()));
    }

    #[test]
    fn quoted_printable_is_as_rfc_2045_6_7_says() {
        assert_eq!(quoted_printable("a=ü \r\n\tb\t".as_bytes()), "a=3D=C3=BC=20\r\n\tb=09");
        assert_eq!(quoted_printable(b"a\rb\nc\0"), "a=0Db=0Ac=00");
        let long = quoted_printable(&[b'x'; 1_000]);
        assert!(longest(&long) <= ENCODED_OCTETS_MAX);
        assert_eq!(long.replace("=\r\n", ""), "x".repeat(1_000));
        let exact = quoted_printable(&[b'x'; ENCODED_OCTETS_MAX]);
        assert_eq!(exact, "x".repeat(ENCODED_OCTETS_MAX));
        let eight_bit = quoted_printable(&[0xff; 1_000]);
        assert!(longest(&eight_bit) <= ENCODED_OCTETS_MAX);
    }
}
