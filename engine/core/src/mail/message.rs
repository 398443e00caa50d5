//! A message as octets: where its header fields lie (RFC 5322 2.2), without parsing MIME.
//!
//! The way of a message through Maily needs a few header fields and never the structure of the
//! body, so nothing here looks beyond the empty line.

use memchr::memmem;

/// One header field as it stands in the message, with its folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// The name without the colon; not yet compared without case.
    pub name: &'a [u8],
    /// Everything after the colon, without the CRLF at the end of the field.
    pub body: &'a [u8],
    /// The whole field with its last CRLF.
    pub raw: &'a [u8],
}

impl HeaderField<'_> {
    /// Whether the field has this name, in any case.
    pub const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The body without folds and outer white space, invalid UTF-8 replaced.
    pub fn unfolded(&self) -> String {
        let text = String::from_utf8_lossy(self.body);
        text.replace("\r\n", "").trim().to_owned()
    }
}

/// Where the header section ends: the octets up to and with the CRLF of the last field. The empty
/// line, if there is one, is not part of it.
pub fn header_octets(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 0;
    }
    memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2)
}

/// The body: what follows the empty line.
pub fn body_of(message: &[u8]) -> &[u8] {
    let header = header_octets(message);
    message.get(header..).and_then(|rest| rest.strip_prefix(b"\r\n")).unwrap_or_default()
}

/// The header fields of a message from top to bottom. Stops at the empty line, or at the first line
/// that is no field.
pub fn header_fields(message: &[u8]) -> HeaderFields<'_> {
    let end = header_octets(message);
    HeaderFields { rest: message.get(..end).unwrap_or_default() }
}

/// Iterator over [`HeaderField`]s; see [`header_fields`].
#[derive(Clone, Debug)]
pub struct HeaderFields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for HeaderFields<'a> {
    type Item = HeaderField<'a>;

    fn next(&mut self) -> Option<HeaderField<'a>> {
        let mut end = 0;
        loop {
            let line = memmem::find(self.rest.get(end..)?, b"\r\n");
            end = line.map_or(self.rest.len(), |at| end + at + 2);
            match self.rest.get(end) {
                Some(b' ' | b'\t') => {}
                _ => break,
            }
        }
        let (raw, rest) = self.rest.split_at_checked(end)?;
        let colon = memchr::memchr(b':', raw)?;
        let name = raw.get(..colon)?.trim_ascii_end();
        if name.is_empty() || !name.iter().all(|o| (b'!'..=b'~').contains(o)) {
            return None;
        }
        self.rest = rest;
        let body = raw.get(colon + 1..)?;
        let body = body.strip_suffix(b"\r\n").unwrap_or(body);
        Some(HeaderField { name, body, raw })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_folds_and_end_at_the_empty_line() {
        let message = b"Subject: a\r\n b\r\nTo : x@y\r\n\r\nFrom: body\r\n";
        let fields: Vec<_> = header_fields(message).collect();
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[0].raw, b"Subject: a\r\n b\r\n");
        assert_eq!(fields[0].unfolded(), "a b");
        assert!(fields[1].is("to"));
        assert_eq!(body_of(message), b"From: body\r\n");
    }

    #[test]
    fn odd_messages_do_not_confuse_it() {
        assert_eq!(header_fields(b"").count(), 0);
        assert_eq!(header_fields(b"\r\nSubject: body").count(), 0);
        assert_eq!(body_of(b"\r\nx"), b"x");
        assert_eq!(header_fields(b"no colon here\r\n\r\n").count(), 0);
        assert_eq!(header_fields(b"A: b").count(), 1);
        assert_eq!(header_fields(b" folded: first\r\n\r\n").count(), 0);
        assert_eq!(header_fields(b"A: b\r\nnot a field\r\nC: d\r\n\r\n").count(), 1);
        assert_eq!(body_of(b"A: b\r\n"), b"");
    }
}
