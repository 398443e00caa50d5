//! The part of a session in which the client sends a message: DATA (RFC 5321 4.1.1.4) and BDAT
//! (RFC 3030).

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::mail::envelope::Envelope;
use crate::smtp::command;
use crate::smtp::reply::Reply;
use crate::smtp::server::Action;
use crate::smtp::server::Chunks;
use crate::smtp::server::Expect;
use crate::smtp::server::Server;
use crate::smtp::server::Transaction;
use crate::smtp::server::admission::Admission;
use crate::smtp::server::config::UNENDED_LINE_OCTETS_MAX;
use crate::smtp::server::status;
use crate::smtp::text;
use crate::smtp::text::Flaw;
use crate::smtp::text::TextScanner;

/// Octets that are made room for at once because the client said that they come.
const EXPECTED_OCTETS_MAX: u64 = 1 << 20;

impl Server {
    /// What stands in the way of a message now.
    fn not_now(&self) -> Option<Reply> {
        if self.mail.is_none() {
            Some(Reply::new(503, status(5, 5, 1), "MAIL first"))
        } else if self.recipients.is_empty() {
            Some(Reply::new(554, status(5, 5, 1), "no valid recipients"))
        } else {
            None
        }
    }

    /// How many octets the client has said it will send, within reason; for one buffer that holds
    /// them all.
    pub fn expected_octets(&self) -> usize {
        let come = self.input.len() as u64;
        let expected = match &self.expect {
            Expect::Chunk { left, .. } => *left,
            // The end mark comes with it.
            Expect::Text(_) => self.mail.as_ref().and_then(|m| m.parameters.size).unwrap_or(0) + 3,
            _ => 0,
        };
        let expected = expected.min(EXPECTED_OCTETS_MAX).saturating_sub(come);
        usize::try_from(expected).unwrap_or(0)
    }

    /// Lets go of the message that is being received, to make room: it is read to its end and
    /// refused for now.
    pub fn shed(&mut self) {
        let Some(reply) = Admission::Memory.refusal() else { return };
        match std::mem::replace(&mut self.expect, Expect::Command) {
            Expect::Text(scanner) => self.expect = Expect::RefusedText(scanner, reply),
            Expect::Chunk { left, .. } => self.expect = Expect::RefusedChunk { left, reply },
            other => self.expect = other,
        }
        if !matches!(self.chunks, Chunks::None) {
            self.chunks = Chunks::Refused;
        }
    }

    pub(in crate::smtp::server) fn data(&mut self) {
        let mixed = !matches!(self.chunks, Chunks::None);
        let mixed = mixed.then(|| Reply::new(503, status(5, 5, 1), "BDAT was begun: RSET first"));
        if let Some(reply) = self.not_now().or(mixed) {
            return self.error(&reply);
        }
        self.say(&Reply::bare(354, "end with <CRLF>.<CRLF>"));
        self.expect = Expect::Text(TextScanner::default());
    }

    pub(in crate::smtp::server) fn text(&mut self) -> Option<Action> {
        let octets_max = self.config.message_octets_max;
        let Expect::Text(scanner) = &mut self.expect else { return None };
        let Some(end) = scanner.scan(&self.input) else {
            // The dots of stuffing do not count (RFC 1870 3), and half an end mark may be here.
            let least = (self.input.len() - scanner.stuffed()).saturating_sub(2);
            if least as u64 <= octets_max {
                return Some(Action::Read);
            }
            let (scanner, reply) = (std::mem::take(scanner), self.too_large());
            self.expect = Expect::RefusedText(scanner, reply);
            return None;
        };
        let text = self.input.split_to(end);
        self.input.advance(3);
        self.said.note(format_args!("message of {end} octets"));
        self.progress += 1;
        let large = (end - scanner.stuffed()) as u64 > octets_max;
        match scanner.flaw() {
            Some(flaw) => self.refuse(&flaw_reply(flaw)),
            None if large => self.refuse(&self.too_large()),
            None => {
                let message = scanner.unstuff(text);
                self.offer(message)
            }
        }
    }

    pub(in crate::smtp::server) fn refused_text(&mut self) -> Option<Action> {
        let Expect::RefusedText(scanner, reply) = &mut self.expect else { return None };
        match scanner.scan(&self.input) {
            Some(end) => {
                self.input.advance(end + 3);
                self.progress += 1;
                self.said.note(format_args!("the end of a message that is refused"));
                let reply = reply.clone();
                self.refuse(&reply)
            }
            None => {
                let octets = scanner.forget();
                self.input.advance(octets);
                if octets > UNENDED_LINE_OCTETS_MAX {
                    // Gives the memory of what was thrown away back.
                    self.input = BytesMut::from(self.input.as_ref());
                }
                // What a line without end says no longer matters, but that it ends does.
                if self.input.len() > UNENDED_LINE_OCTETS_MAX {
                    self.end(&Reply::new(421, status(4, 3, 0), "line without end"));
                    return None;
                }
                Some(Action::Read)
            }
        }
    }

    /// Answers a message that is not taken and forgets its transaction.
    fn refuse(&mut self, reply: &Reply) -> Option<Action> {
        self.expect = Expect::Command;
        self.reset();
        if reply.is_permanent() {
            self.error(reply);
        } else {
            self.say(reply);
        }
        None
    }

    /// Answers a line that is no command. Behind a BDAT octets follow, whatever is wrong with it:
    /// they are never read as commands.
    pub(in crate::smtp::server) fn malformed(&mut self, line: &[u8], reply: &Reply) {
        match command::octets_behind(line) {
            None => self.error(reply),
            Some(Some(left)) => self.refuse_chunk(left, reply.clone()),
            Some(None) => self.end(reply),
        }
    }

    pub(in crate::smtp::server) fn bdat(&mut self, octets: u64, last: bool) {
        let so_far = match &self.chunks {
            Chunks::Some(chunks) => chunks.len() as u64,
            _ => 0,
        };
        let refused = matches!(self.chunks, Chunks::Refused)
            .then(|| Reply::new(503, status(5, 5, 1), "a chunk was refused: RSET first"));
        let large = so_far.saturating_add(octets) > self.config.message_octets_max;
        let refusal =
            refused.or_else(|| self.not_now()).or_else(|| large.then(|| self.too_large()));
        match refusal {
            None => self.expect = Expect::Chunk { left: octets, last },
            Some(reply) => self.refuse_chunk(octets, reply),
        }
    }

    /// RFC 3030 2: the octets come whatever we answer, and must be read.
    fn refuse_chunk(&mut self, left: u64, reply: Reply) {
        self.chunks = Chunks::Refused;
        self.expect = Expect::RefusedChunk { left, reply };
    }

    pub(in crate::smtp::server) fn chunk(&mut self) -> Option<Action> {
        let Expect::Chunk { left, last } = self.expect else { return None };
        let octets = usize::try_from(left).ok().filter(|octets| *octets <= self.input.len());
        let Some(octets) = octets else { return Some(Action::Read) };
        self.progress += 1;
        self.expect = Expect::Command;
        let chunk = self.input.split_to(octets);
        self.said.note(format_args!("chunk of {octets} octets"));
        let mut message = match std::mem::replace(&mut self.chunks, Chunks::None) {
            Chunks::Some(mut chunks) => {
                chunks.unsplit(chunk);
                chunks
            }
            _ => chunk,
        };
        if !last {
            let text = format!("{} octets", message.len());
            self.chunks = Chunks::Some(message);
            self.say(&Reply::new(250, status(2, 0, 0), &text));
            return None;
        }
        if let Err(flaw) = text::check(&message) {
            return self.refuse(&flaw_reply(flaw));
        }
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        self.offer(message.freeze())
    }

    pub(in crate::smtp::server) fn refused_chunk(&mut self) -> Option<Action> {
        let Expect::RefusedChunk { left, reply } = &mut self.expect else { return None };
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
        *left -= here as u64;
        self.input.advance(here);
        if here > UNENDED_LINE_OCTETS_MAX {
            self.input = BytesMut::from(self.input.as_ref());
        }
        if *left > 0 {
            return Some(Action::Read);
        }
        let reply = reply.clone();
        self.progress += 1;
        self.expect = Expect::Command;
        self.said.note(format_args!("the end of a chunk that is refused"));
        if reply.is_permanent() {
            self.error(&reply);
        } else {
            self.say(&reply);
        }
        None
    }

    /// Hands a whole message to the caller.
    fn offer(&mut self, message: Bytes) -> Option<Action> {
        let mail = self.mail.take()?;
        self.expect = Expect::Settlement;
        self.commands_idle = 0;
        // What is left of a large message's buffer is not kept for the next command.
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        let envelope = Envelope {
            reverse_path: mail.reverse_path,
            recipients: std::mem::take(&mut self.recipients),
            ret: mail.parameters.ret,
            envelope_id: mail.parameters.envelope_id,
            body_type: mail.parameters.body_type,
            smtputf8: mail.parameters.smtputf8,
        };
        Some(Action::Accept(Box::new(Transaction {
            envelope,
            message,
            user: self.user.clone(),
            helo: self.helo.clone(),
            extended: self.extended,
            tls: self.client.tls,
            trusted: self.is_trusted(),
        })))
    }

    pub(in crate::smtp::server) fn too_large(&self) -> Reply {
        let text = format!("a message may have {} octets", self.config.message_octets_max);
        Reply::new(552, status(5, 3, 4), &text)
    }
}

fn flaw_reply(flaw: Flaw) -> Reply {
    match flaw {
        Flaw::BareLineEnd => Reply::new(550, status(5, 6, 11), "bare CR or LF in the message"),
        Flaw::LongLine => Reply::new(554, status(5, 6, 0), "a line has over 998 octets"),
        Flaw::Nul => Reply::new(554, status(5, 6, 0), "NUL in the message"),
    }
}
