//! The "relaxed" canonical forms of header fields and body (RFC 6376 3.4.2 and 3.4.4).
//!
//! Nothing is copied that is canonical already: the body is handed on in runs as long as can be.

use aws_lc_rs::digest::Context;
use aws_lc_rs::digest::Digest;
use aws_lc_rs::digest::SHA256;

use crate::mail::message::HeaderField;

const CRLF: &[u8] = b"\r\n";
/// Empty lines that are handed on at once.
const EMPTY_LINES: &[u8] = b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";

/// Appends the canonical form of a header field, with its CRLF.
pub fn header_field(field: &HeaderField<'_>, out: &mut Vec<u8>) {
    header_field_open(field.name, field.body, out);
    out.extend_from_slice(CRLF);
}

/// The same without the CRLF at the end, as a signature's own field is hashed (RFC 6376 3.7).
pub fn header_field_open(name: &[u8], body: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut gap = false;
    let mut begun = false;
    let mut rest = body;
    while let Some((&octet, after)) = rest.split_first() {
        if let Some(unfolded) = rest.strip_prefix(CRLF) {
            rest = unfolded;
            continue;
        }
        rest = after;
        if matches!(octet, b' ' | b'\t') {
            gap = begun;
            continue;
        }
        if gap {
            out.push(b' ');
        }
        (gap, begun) = (false, true);
        out.push(octet);
    }
}

/// The SHA-256 of the canonical body: the `bh=` of every signature of the message.
pub fn body_hash(body: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    relaxed_body(body, &mut |piece| context.update(piece));
    context.finish()
}

/// Hands out the canonical body in pieces: no white space at the ends of lines, one space for each
/// stretch of it inside, no empty lines at the end, a CRLF after the last line. An empty body stays
/// empty.
pub fn relaxed_body(body: &[u8], hand_on: &mut impl FnMut(&[u8])) {
    let mut relaxed = Relaxed { body, hand_on, run: 0, shown: 0, empty: 0 };
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', body) {
        // An LF alone is no line end.
        let line = body.get(begin..end).unwrap_or_default();
        if let Some(line) = line.strip_suffix(b"\r") {
            relaxed.line(begin, line, end + 1);
            begin = end + 1;
        }
    }
    let rest = trim_end(body.get(begin..).unwrap_or_default());
    if rest.is_empty() {
        relaxed.flush(relaxed.shown);
    } else {
        relaxed.reduced(begin, rest, body.len());
    }
}

/// A body on its way. What is canonical already gathers in a run; empty lines at its end belong to
/// it only once another line follows.
struct Relaxed<'a, F> {
    body: &'a [u8],
    hand_on: &'a mut F,
    /// Where the run begins.
    run: usize,
    /// Where the last line of it ends that is not empty.
    shown: usize,
    /// Lines of white space before the run, which count as empty ones.
    empty: usize,
}

impl<F: FnMut(&[u8])> Relaxed<'_, F> {
    /// The next line, without its CRLF, from `begin` to `end`.
    fn line(&mut self, begin: usize, line: &[u8], end: usize) {
        if line.is_empty() {
            return;
        }
        let shown = trim_end(line);
        if shown.is_empty() {
            let empty = (begin - self.shown) / CRLF.len() + 1;
            self.flush(self.shown);
            self.empty += empty;
            (self.run, self.shown) = (end, end);
        } else if is_canonical(line) {
            empty_lines(&mut self.empty, self.hand_on);
            self.shown = end;
        } else {
            self.reduced(begin, shown, end);
        }
    }

    /// A line that is not canonical.
    fn reduced(&mut self, begin: usize, shown: &[u8], end: usize) {
        empty_lines(&mut self.empty, self.hand_on);
        self.flush(begin);
        words(shown, self.hand_on);
        (self.run, self.shown) = (end, end);
    }

    fn flush(&mut self, end: usize) {
        let run = self.body.get(self.run..end).unwrap_or_default();
        if !run.is_empty() {
            (self.hand_on)(run);
        }
    }
}

/// Whether a line's canonical form is the line. It has one pass without a branch, since nearly
/// every line is.
fn is_canonical(line: &[u8]) -> bool {
    let followers = line.get(1..).unwrap_or_default();
    let inside = line.iter().zip(followers).fold(false, |found, (&octet, &follower)| {
        found | (octet == b'\t') | ((octet == b' ') & (follower == b' '))
    });
    !inside && !matches!(line.last(), Some(b' ' | b'\t'))
}

fn empty_lines(count: &mut usize, hand_on: &mut impl FnMut(&[u8])) {
    while *count > 0 {
        let now = (*count).min(EMPTY_LINES.len() / CRLF.len());
        hand_on(EMPTY_LINES.get(..now * CRLF.len()).unwrap_or_default());
        *count -= now;
    }
}

/// Hands on a line that does not end in white space, and its CRLF.
fn words(line: &[u8], hand_on: &mut impl FnMut(&[u8])) {
    let mut rest = line;
    while let Some(&first) = rest.first() {
        let gap = matches!(first, b' ' | b'\t');
        let same = |octet: &u8| matches!(octet, b' ' | b'\t') == gap;
        let end = rest.iter().position(|octet| !same(octet)).unwrap_or(rest.len());
        let (stretch, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        hand_on(if gap { b" " } else { stretch });
        rest = after;
    }
    hand_on(CRLF);
}

fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|octet| !matches!(octet, b' ' | b'\t'));
    end.and_then(|end| line.get(..=end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::message::header_fields;

    fn headers(message: &str) -> String {
        let mut out = Vec::new();
        header_fields(message.as_bytes()).for_each(|field| header_field(&field, &mut out));
        String::from_utf8(out).unwrap()
    }

    fn body(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        relaxed_body(text, &mut |piece| out.extend_from_slice(piece));
        out
    }

    /// RFC 6376 3.4.4 step by step, octet by octet, as slowly as it reads.
    fn body_by_the_book(text: &[u8]) -> Vec<u8> {
        let mut lines = vec![Vec::new()];
        let mut rest = text;
        while let Some((&octet, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(b"\r\n") {
                lines.push(Vec::new());
                rest = after;
                continue;
            }
            lines.last_mut().unwrap().push(octet);
            rest = after;
        }
        let reduced = lines.iter().map(|line| {
            let mut reduced: Vec<u8> = Vec::new();
            for octet in line {
                let space = matches!(octet, b' ' | b'\t');
                if !space || reduced.last() != Some(&b' ') {
                    reduced.push(if space { b' ' } else { *octet });
                }
            }
            if reduced.last() == Some(&b' ') {
                reduced.pop();
            }
            reduced
        });
        let mut lines: Vec<_> = reduced.collect();
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        lines.iter().flat_map(|line| [line.as_slice(), b"\r\n"].concat()).collect()
    }

    #[test]
    fn the_example_of_rfc_6376_3_4_5() {
        assert_eq!(headers("A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n"), "a:X\r\nb:Y Z\r\n");
        assert_eq!(body(b" C \r\nD \t E\r\n\r\n\r\n"), b" C\r\nD E\r\n");
    }

    #[test]
    fn empty_bodies_and_missing_line_ends() {
        // RFC 6376 3.4.4: unlike the "simple" form, an empty body is hashed as nothing.
        for empty in ["", "\r\n", "\r\n\r\n", " ", "\t \r\n", " \r\n\t\r\n", "\r\n "] {
            assert_eq!(body(empty.as_bytes()), b"", "{empty:?}");
        }
        assert_eq!(body(b"x"), b"x\r\n");
        assert_eq!(body(b"x \r\n\r\n \t\r\ny\t"), b"x\r\n\r\n\r\ny\r\n");
        assert_eq!(body(b"\r\n\r\nx\r\n"), b"\r\n\r\nx\r\n");
        assert_eq!(body(b"a\rb\nc\r\r\n"), b"a\rb\nc\r\r\n");
    }

    #[test]
    fn many_empty_lines_are_all_there() {
        let text = [b"a\r\n".as_slice(), &b"\r\n".repeat(1_000), b"b\r\n"].concat();
        assert_eq!(body(&text), text);
    }

    #[test]
    fn header_fields_lose_folds_and_outer_white_space() {
        assert_eq!(headers("Subject:\r\n\r\n"), "subject:\r\n");
        assert_eq!(headers("SUBJECT:\r\n \t x\r\n\ty  \r\n"), "subject:x y\r\n");
        assert_eq!(headers("Subject: \t \r\n"), "subject:\r\n");
    }

    /// Octets of which odd bodies are made.
    fn odd() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\r\n".to_vec()),
            Just(b" ".to_vec()),
            Just(b"\t".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"word".to_vec()),
            any::<u8>().prop_map(|octet| vec![octet]),
        ];
        prop::collection::vec(piece, 0..64).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn odd_bodies_come_out_as_by_the_book(text in odd()) {
            prop_assert_eq!(body(&text), body_by_the_book(&text));
        }

        #[test]
        fn a_canonical_body_stays_as_it_is(text in odd()) {
            let once = body(&text);
            prop_assert_eq!(body(&once), once);
        }
    }
}
