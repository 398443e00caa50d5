//! A message on its way out: two pieces that follow each other, and dot-stuffing (RFC 5321 4.5.2).

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use memchr::memmem;

/// What is sent as one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Header fields put in front at the last moment, such as signatures; ends with CRLF or empty.
    pub head: Bytes,
    /// The stored message, with CRLF line ends.
    pub message: Bytes,
}

impl Content {
    /// Octets as RFC 1870 3 counts them: with CRLF, without dot-stuffing.
    pub fn octets(&self) -> usize {
        self.head.len() + self.message.len()
    }

    /// Whether any octet has its eighth bit set (RFC 6152).
    pub fn is_eight_bit(&self) -> bool {
        !self.head.is_ascii() || !self.message.is_ascii()
    }

    /// The pieces to write after 354, the final dot among them.
    pub fn pieces(&self) -> Vec<Bytes> {
        let end: &'static [u8] = if self.octets() == 0 || self.message.ends_with(b"\r\n") {
            b".\r\n"
        } else {
            b"\r\n.\r\n"
        };
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
}
