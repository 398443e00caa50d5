//! A message on its way out: two pieces that follow each other, as one chunk (RFC 3030) or with
//! dot-stuffing (RFC 5321 4.5.2).

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use memchr::memmem;

use crate::smtp::text;
use crate::smtp::text::Flaw;

/// What is sent as one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Header fields put in front at the last moment, such as signatures; ends with CRLF or empty.
    pub head: Bytes,
    /// The stored message, with CRLF line ends.
    pub message: Bytes,
}

/// What the wire has to know of a message's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Some octet has its eighth bit set (RFC 6152).
    pub eight_bit: bool,
    /// What must not be sent.
    pub flaw: Option<Flaw>,
}

impl Content {
    /// Octets as RFC 1870 3 and BDAT count them: with CRLF, without dot-stuffing.
    pub fn wire_octets(&self) -> usize {
        self.head.len() + self.message.len() + self.end().len()
    }

    /// The line end that the last line lacks, if it does.
    fn end(&self) -> &'static [u8] {
        let last = if self.message.is_empty() { &self.head } else { &self.message };
        if last.is_empty() || last.ends_with(b"\r\n") { b"" } else { b"\r\n" }
    }

    /// Looks at every octet.
    pub fn form(&self) -> Form {
        Form {
            eight_bit: !self.head.is_ascii() || !self.message.is_ascii(),
            flaw: text::check(&self.head).and_then(|()| text::check(&self.message)).err(),
        }
    }

    /// The pieces to write as one chunk.
    pub fn plain_pieces(&self) -> impl Iterator<Item = Bytes> {
        let pieces = [self.head.clone(), self.message.clone(), Bytes::from_static(self.end())];
        pieces.into_iter().filter(|piece| !piece.is_empty())
    }

    /// The pieces to write after 354, the final dot among them.
    pub fn pieces(&self) -> Vec<Bytes> {
        let end: &'static [u8] = if self.end().is_empty() { b".\r\n" } else { b"\r\n.\r\n" };
        let pieces = [self.head.clone(), stuffed(&self.message), Bytes::from_static(end)];
        pieces.into_iter().filter(|piece| !piece.is_empty()).collect()
    }
}

/// Doubles each dot that begins a line. Copies only if there is one.
fn stuffed(text: &Bytes) -> Bytes {
    let finder = memmem::Finder::new(b"\r\n.");
    if !text.starts_with(b".") && finder.find(text).is_none() {
        return text.clone();
    }
    let mut out = BytesMut::with_capacity(text.len() + text.len() / 64 + 8);
    if text.starts_with(b".") {
        out.put_u8(b'.');
    }
    let mut from = 0;
    for at in finder.find_iter(text) {
        out.put_slice(text.get(from..at + 2).unwrap_or_default());
        out.put_u8(b'.');
        from = at + 2;
    }
    out.put_slice(text.get(from..).unwrap_or_default());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(message: &'static str) -> Vec<u8> {
        let message = Bytes::from_static(message.as_bytes());
        Content { head: Bytes::from_static(b"A: b\r\n"), message }.pieces().concat()
    }

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled_and_the_end_is_marked() {
        assert_eq!(wire(".a\r\n.\r\nb.\r\n"), b"A: b\r\n..a\r\n..\r\nb.\r\n.\r\n");
        assert_eq!(wire("no line end"), b"A: b\r\nno line end\r\n.\r\n");
        assert_eq!(Content::default().pieces().concat(), b".\r\n");
    }

    #[test]
    fn a_chunk_has_the_octets_it_announces_and_no_stuffing_rfc_3030() {
        for message in [".a\r\n", "no line end", ""] {
            let head = Bytes::from_static(b"A: b\r\n");
            let content = Content { head, message: Bytes::from_static(message.as_bytes()) };
            let wire = content.plain_pieces().collect::<Vec<_>>().concat();
            assert_eq!(wire.len(), content.wire_octets());
            assert!(wire.ends_with(b"\r\n") && !wire.windows(2).any(|two| two == b".."));
        }
    }

    #[test]
    fn what_must_not_be_on_the_wire_is_seen() {
        let form = |message: &str| {
            let message = Bytes::copy_from_slice(message.as_bytes());
            Content { head: Bytes::new(), message }.form()
        };
        assert_eq!(form("a\r\n"), Form { eight_bit: false, flaw: None });
        assert_eq!(form("\u{e9}\r\n"), Form { eight_bit: true, flaw: None });
        assert_eq!(form("a\nb\r\n").flaw, Some(Flaw::BareLineEnd));
        assert_eq!(form(&"x".repeat(998)).flaw, None);
        assert_eq!(form(&"x".repeat(999)).flaw, Some(Flaw::LongLine));
    }
}
