//! What a session has to tell since it was last asked: lines of both sides, and whether something
//! failed. A session without I/O keeps one; whoever drives it takes it away and knows the time.

use std::fmt;

use crate::clock::Timestamp;
use crate::live::lines::Lines;
use crate::live::lines::Speaker;
use crate::smtp::reply::Reply;

/// What was said.
#[derive(Debug, Default)]
pub struct Said {
    pub(crate) lines: Lines,
    pub(crate) failed: bool,
}

impl Said {
    /// The client said these lines, with their line ends.
    pub fn commands(&mut self, text: &[u8]) {
        self.text(Speaker::Client, text);
    }

    /// The server said this reply, as it is on the wire.
    pub fn replies(&mut self, code: u16, text: &[u8]) {
        self.failed |= code >= 400;
        self.text(Speaker::Server, text);
    }

    /// The server said this reply.
    pub fn reply(&mut self, reply: &Reply) {
        self.failed |= reply.code >= 400;
        for (index, line) in reply.lines.iter().enumerate() {
            let (code, last) = (reply.code, index + 1 == reply.lines.len());
            let dash = if last { ' ' } else { '-' };
            let mut push = |words: fmt::Arguments<'_>| {
                self.lines.push_words(Timestamp::EPOCH, Speaker::Server, words);
            };
            match reply.status {
                Some(status) => push(format_args!("{code}{dash}{status} {line}")),
                None => push(format_args!("{code}{dash}{line}")),
            }
        }
    }

    /// Something happened.
    pub fn note(&mut self, words: fmt::Arguments<'_>) {
        self.lines.push_words(Timestamp::EPOCH, Speaker::Note, words);
    }

    /// Something failed.
    pub const fn fail(&mut self) {
        self.failed = true;
    }

    /// Forgets what there was to tell: nobody listens.
    pub fn forget(&mut self) {
        self.lines.clear();
        self.failed = false;
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && !self.failed
    }

    fn text(&mut self, by: Speaker, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.lines.push(Timestamp::EPOCH, by, line);
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mail::outcome::EnhancedStatus;

    use super::*;

    #[test]
    fn a_reply_is_told_as_it_is_on_the_wire() {
        let status = Some(EnhancedStatus::new(5, 1, 1));
        let long = |status| Reply { code: 550, status, lines: vec!["no".into(), "never".into()] };
        for reply in [long(None), long(status), Reply::bare(220, "hi")] {
            let (mut said, mut wire) = (Said::default(), Said::default());
            said.reply(&reply);
            wire.replies(reply.code, reply.to_string().as_bytes());
            assert_eq!(said.lines.behind(0), wire.lines.behind(0));
            assert_eq!((said.failed, wire.failed), (reply.code >= 400, reply.code >= 400));
        }
    }

    #[test]
    fn commands_are_told_line_by_line() {
        let mut said = Said::default();
        assert!(said.is_empty());
        said.commands(b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nhalf");
        said.note(format_args!("message of {} octets", 7));
        let texts: Vec<_> = said.lines.behind(0).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["MAIL FROM:<>", "RCPT TO:<a@b.example>", "half", "message of 7 octets"]);
        assert!(!said.is_empty() && !said.failed);
    }
}
