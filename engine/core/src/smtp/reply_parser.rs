//! Reads replies (RFC 5321 4.2.1) from octets that come in pieces, from peers that may be hostile.

use bytes::Buf;
use bytes::BytesMut;

use crate::mail::outcome::EnhancedStatus;
use crate::smtp::reply::Reply;

/// RFC 5321 4.5.3.1.5 has 512 octets for a reply line; many servers send more.
pub const REPLY_LINE_OCTETS_MAX: usize = 4_096;
/// Lines of one reply.
pub const REPLY_LINES_MAX: usize = 100;

/// What a peer sent is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidReply {
    /// A line of over [`REPLY_LINE_OCTETS_MAX`] octets.
    LineTooLong,
    /// More than [`REPLY_LINES_MAX`] lines.
    TooManyLines,
    /// Not a code, or codes that differ from line to line.
    Malformed,
}

/// Gathers the lines of a reply.
#[derive(Debug, Default)]
pub struct ReplyParser {
    code: u16,
    lines: Vec<Box<str>>,
}

impl ReplyParser {
    /// Takes the next whole reply out of the buffer; none if more octets are needed.
    pub fn parse(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, InvalidReply> {
        loop {
            let end = memchr::memchr(b'\n', input);
            if end.unwrap_or(input.len()) > REPLY_LINE_OCTETS_MAX {
                return Err(InvalidReply::LineTooLong);
            }
            let Some(end) = end else { return Ok(None) };
            let line = input.get(..end).unwrap_or_default();
            let last = self.take(line)?;
            input.advance(end + 1);
            if last {
                return Ok(Some(self.finish()));
            }
        }
    }

    /// Whether no line of a reply has come whose last line has not.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn take(&mut self, line: &[u8]) -> Result<bool, InvalidReply> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let digits = digits.ok_or(InvalidReply::Malformed)?;
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if !(200..600).contains(&code) || (!self.lines.is_empty() && code != self.code) {
            return Err(InvalidReply::Malformed);
        }
        let last = match line.get(3) {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err(InvalidReply::Malformed),
        };
        if self.lines.len() >= REPLY_LINES_MAX {
            return Err(InvalidReply::TooManyLines);
        }
        self.code = code;
        let text = String::from_utf8_lossy(line.get(4..).unwrap_or_default());
        self.lines.push(text.into());
        Ok(last)
    }

    /// The reply, its enhanced status taken from its lines if it is of the code's class.
    fn finish(&mut self) -> Reply {
        let mut lines = std::mem::take(&mut self.lines);
        let first = lines.first().and_then(|line| line.split(' ').next());
        let status = first.and_then(|word| word.parse::<EnhancedStatus>().ok());
        let status = status.filter(|status| u16::from(status.class) == self.code / 100);
        if let Some(status) = status {
            let prefix = format!("{status} ");
            for line in &mut lines {
                let rest = line.strip_prefix(&prefix).map(Into::into);
                *line = rest.unwrap_or_else(|| line.clone());
            }
        }
        Reply { code: self.code, status, lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Reply>, InvalidReply> {
        ReplyParser::default().parse(&mut BytesMut::from(text))
    }

    #[test]
    fn replies_are_read_with_their_status() {
        let reply = parse("550-5.1.1 no\r\n550 5.1.1 such user\r\n").unwrap().unwrap();
        assert_eq!((reply.code, reply.text()), (550, "no such user".to_owned()));
        assert_eq!(reply.status, Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(parse("250 4.0.0 odd\r\n").unwrap().unwrap().status, None);
        assert_eq!(parse("250\r\n").unwrap().unwrap().code, 250);
        assert_eq!(parse("250-more\r\n"), Ok(None));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for text in ["hello\r\n", "25 x\r\n", "999 x\r\n", "250-a\r\n550 b\r\n", "250+a\r\n", "\n"]
        {
            assert_eq!(parse(text), Err(InvalidReply::Malformed), "{text:?}");
        }
        let line = |octets: usize| format!("250 {}\r\n", "x".repeat(octets - 5));
        assert!(parse(&line(REPLY_LINE_OCTETS_MAX)).unwrap().is_some());
        let long = line(REPLY_LINE_OCTETS_MAX + 1);
        assert_eq!(parse(&long), Err(InvalidReply::LineTooLong));
        assert_eq!(parse(&long[..long.len() - 1]), Err(InvalidReply::LineTooLong));
        let lines = |n: usize| "250-a\r\n".repeat(n - 1) + "250 a\r\n";
        assert!(parse(&lines(REPLY_LINES_MAX)).unwrap().is_some());
        assert_eq!(parse(&lines(REPLY_LINES_MAX + 1)), Err(InvalidReply::TooManyLines));
    }
}
