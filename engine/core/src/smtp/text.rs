//! The text of a message on its way in: where it ends (RFC 5321 4.5.2), and whether it may be
//! passed on.
//!
//! Only CRLF, dot, CRLF ends it. A CR or LF on its own never counts as a line end, and a message
//! that holds one is refused: what we take as one message, no next hop may take as two.

use bytes::Bytes;
use bytes::BytesMut;
use memchr::memmem;

/// RFC 5321 4.5.3.1.6: a text line has at most 1000 octets with its CRLF.
pub const TEXT_LINE_OCTETS_MAX: usize = 1_000;

/// Why a text is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A CR without LF, or an LF without CR.
    BareLineEnd,
    /// A line of more than [`TEXT_LINE_OCTETS_MAX`] octets.
    LongLine,
    /// A NUL.
    Nul,
}

/// Looks for the end of a text that comes in pieces, each octet once.
#[derive(Clone, Debug, Default)]
pub struct TextScanner {
    /// Where the line begins that is not yet whole.
    line: usize,
    /// Where the search for its end goes on.
    at: usize,
    /// The line before ended in CR LF, or there is none.
    after_bare: bool,
    /// Dots at the beginning of lines: each was put there on sending.
    stuffed: usize,
    flaw: Option<Flaw>,
}

impl TextScanner {
    /// Looks at what has come so far, from the text's first octet on. Gives the octets of the text
    /// once its end is there: the end itself is the three octets `.` CR LF behind it.
    pub fn scan(&mut self, text: &[u8]) -> Option<usize> {
        while let Some(found) = text.get(self.at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = self.at + found + 1;
            let line = text.get(self.line..end).unwrap_or_default();
            if line == b".\r\n" && !self.after_bare {
                return Some(self.line);
            }
            self.look_at(line);
            self.line = end;
            self.at = end;
        }
        self.at = text.len();
        None
    }

    fn look_at(&mut self, line: &[u8]) {
        self.after_bare = !line.ends_with(b"\r\n");
        let inner = line.strip_suffix(b"\r\n").unwrap_or(line);
        self.stuffed += usize::from(line.starts_with(b"."));
        if self.after_bare || memchr::memchr2(b'\r', 0, inner).is_some() {
            let nul = inner.contains(&0) && !inner.contains(&b'\r') && !self.after_bare;
            self.note(if nul { Flaw::Nul } else { Flaw::BareLineEnd });
        } else if line.len() > TEXT_LINE_OCTETS_MAX + usize::from(line.starts_with(b".")) {
            self.note(Flaw::LongLine);
        }
    }

    /// The first flaw seen; a bare line end outranks the others.
    fn note(&mut self, flaw: Flaw) {
        if self.flaw.is_none() || flaw == Flaw::BareLineEnd {
            self.flaw = Some(flaw);
        }
    }

    /// What was wrong with the lines seen so far.
    pub const fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Octets that have been looked at and may be thrown away if the text is refused anyway: all
    /// whole lines.
    pub fn forget(&mut self) -> usize {
        let lines = self.line;
        self.at -= lines;
        self.line = 0;
        self.stuffed = 0;
        lines
    }

    /// Octets of the whole lines seen so far that are there only because of dot-stuffing.
    pub const fn stuffed(&self) -> usize {
        self.stuffed
    }

    /// The text without dot-stuffing (RFC 5321 4.5.2), in its place. Costs nothing where no line
    /// begins with a dot. All lines must end in CR LF.
    pub fn unstuff(&self, mut text: BytesMut) -> Bytes {
        if self.stuffed == 0 {
            return text.freeze();
        }
        let mut kept = 0;
        let mut from = usize::from(text.starts_with(b"."));
        while let Some(at) = text.get(from..).and_then(|rest| memmem::find(rest, b"\r\n.")) {
            let end = from + at + 2;
            text.copy_within(from..end, kept);
            kept += end - from;
            from = end + 1;
        }
        let end = text.len();
        text.copy_within(from..end, kept);
        text.truncate(kept + end - from);
        text.freeze()
    }
}

/// Looks at a whole text that came in chunks (RFC 3030), which has no end mark and no stuffing.
pub fn check(text: &[u8]) -> Result<(), Flaw> {
    let mut scanner = TextScanner::default();
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        if after.is_empty() && !line.ends_with(b"\n") {
            // The last line may lack its end: it is added when the text is stored.
            let whole = [line, b"\r\n"].concat();
            scanner.look_at(&whole);
        } else {
            scanner.look_at(line);
        }
        rest = after;
    }
    scanner.flaw().map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds octet by octet; gives text, flaw, and what came after the end.
    fn scan(input: &[u8]) -> Option<(Vec<u8>, Option<Flaw>, Vec<u8>)> {
        let mut scanner = TextScanner::default();
        let found = (0..=input.len()).find_map(|length| scanner.scan(&input[..length]));
        let end = found?;
        let text = scanner.unstuff(BytesMut::from(&input[..end]));
        Some((text.to_vec(), scanner.flaw(), input[end + 3..].to_vec()))
    }

    #[test]
    fn the_end_is_found_and_dots_are_unstuffed() {
        let (text, flaw, rest) = scan(b"a\r\n..b\r\n.c\r\n.\r\nQUIT\r\n").unwrap();
        assert_eq!(text, b"a\r\n.b\r\nc\r\n");
        assert_eq!((flaw, rest.as_slice()), (None, b"QUIT\r\n".as_slice()));
        assert_eq!(scan(b".\r\n").unwrap().0, b"", "an empty message");
        assert_eq!(scan(b"..\r\n.\r\n").unwrap().0, b".\r\n");
    }

    #[test]
    fn no_other_form_ends_a_message_and_each_is_refused() {
        for form in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r.\n",
            "\n.\r",
            "\r.\r\n",
            "\r\n.\r",
            "\r\n.\r\r\n",
            "\r\n\0.\r\n",
            "\r\n.\0\r\n",
        ] {
            let input = format!("text{form}MAIL FROM:<smuggled@example.net>\r\n.\r\n");
            let (text, flaw, _) = scan(input.as_bytes()).unwrap();
            let whole = text.windows(8).any(|window| window == b"smuggled");
            assert!(whole, "{form:?} ended the message");
            assert!(flaw.is_some(), "{form:?} was not seen");
        }
    }

    #[test]
    fn a_line_may_have_1000_octets_and_no_more() {
        let line = |octets: usize| format!("{}\r\n.\r\n", "x".repeat(octets - 2));
        assert_eq!(scan(line(TEXT_LINE_OCTETS_MAX).as_bytes()).unwrap().1, None);
        let long = scan(line(TEXT_LINE_OCTETS_MAX + 1).as_bytes()).unwrap().1;
        assert_eq!(long, Some(Flaw::LongLine));
        let stuffed = format!(".{}", line(TEXT_LINE_OCTETS_MAX));
        assert_eq!(scan(stuffed.as_bytes()).unwrap().1, None, "the extra dot does not count");
    }

    #[test]
    fn chunks_are_held_to_the_same_rules() {
        assert_eq!(check(b"a\r\n.\r\nb\r\n"), Ok(()));
        assert_eq!(check(b"no line end"), Ok(()));
        assert_eq!(check(b"a\nb\r\n"), Err(Flaw::BareLineEnd));
        assert_eq!(check(b"a\rb\r\n"), Err(Flaw::BareLineEnd));
        assert_eq!(check(b"a\r"), Err(Flaw::BareLineEnd));
        assert_eq!(check(b"a\0b\r\n"), Err(Flaw::Nul));
    }
}
