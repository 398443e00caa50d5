//! The part of a session in which the client sends a message: DATA (RFC 5321 4.1.1.4) and BDAT
//! (RFC 3030).

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::mail::envelope::Envelope;
use crate::smtp::reply::Reply;
use crate::smtp::server::Action;
use crate::smtp::server::Expect;
use crate::smtp::server::Server;
use crate::smtp::server::Transaction;
use crate::smtp::server::status;
use crate::smtp::text;
use crate::smtp::text::Flaw;
use crate::smtp::text::TextScanner;

impl Server {
    /// What stands in the way of a message now.
    pub(in crate::smtp::server) fn not_now(&self) -> Option<Reply> {
        if self.mail.is_none() {
            Some(Reply::new(503, status(5, 5, 1), "MAIL first"))
        } else if self.recipients.is_empty() {
            Some(Reply::new(554, status(5, 5, 1), "no valid recipients"))
        } else {
            None
        }
    }

    pub(in crate::smtp::server) fn data(&mut self) {
        let mixed = !self.chunks.is_empty() || self.chunks_refused;
        let mixed = mixed.then(|| Reply::new(503, status(5, 5, 1), "BDAT was begun: RSET first"));
        if let Some(reply) = self.not_now().or(mixed) {
            return self.error(&reply);
        }
        self.say(&Reply::bare(354, "end with <CRLF>.<CRLF>"));
        self.expect = Expect::Text(TextScanner::default());
    }

    pub(in crate::smtp::server) fn text(&mut self) -> Option<Action> {
        let Expect::Text(scanner) = &mut self.expect else { return None };
        let Some(end) = scanner.scan(&self.input) else {
            if self.input.len() as u64 <= self.config.message_octets_max {
                return Some(Action::Read);
            }
            let scanner = std::mem::take(scanner);
            self.expect = Expect::RefusedText(scanner, Flaw::TooLarge);
            return None;
        };
        let text = self.input.split_to(end);
        self.input.advance(3);
        let flaw = scanner.flaw();
        let message = scanner.unstuff(text);
        let large = message.len() as u64 > self.config.message_octets_max;
        match flaw.or_else(|| large.then_some(Flaw::TooLarge)) {
            None => self.offer(message),
            Some(flaw) => self.refuse(flaw),
        }
    }

    pub(in crate::smtp::server) fn refused_text(&mut self) -> Option<Action> {
        let Expect::RefusedText(scanner, flaw) = &mut self.expect else { return None };
        let flaw = *flaw;
        match scanner.scan(&self.input) {
            Some(end) => {
                self.input.advance(end + 3);
                self.refuse(flaw)
            }
            None => {
                let octets = scanner.forget();
                self.input.advance(octets);
                // A line without end: what it says no longer matters, that it ends does.
                if self.input.len() > text::TEXT_LINE_OCTETS_MAX * 64 {
                    self.end(&Reply::new(421, status(4, 3, 0), "line without end"));
                    return None;
                }
                Some(Action::Read)
            }
        }
    }

    fn refuse(&mut self, flaw: Flaw) -> Option<Action> {
        self.expect = Expect::Command;
        let reply = self.flaw_reply(flaw);
        self.error(&reply);
        self.reset();
        None
    }

    fn flaw_reply(&self, flaw: Flaw) -> Reply {
        match flaw {
            Flaw::BareLineEnd => Reply::new(550, status(5, 6, 11), "bare CR or LF in the message"),
            Flaw::LongLine => Reply::new(554, status(5, 6, 0), "a line has over 998 octets"),
            Flaw::Nul => Reply::new(554, status(5, 6, 0), "NUL in the message"),
            Flaw::TooLarge => self.too_large(),
        }
    }

    pub(in crate::smtp::server) fn bdat(&mut self, octets: u64, last: bool) {
        let so_far = self.chunks.len() as u64;
        let refused = self
            .chunks_refused
            .then(|| Reply::new(503, status(5, 5, 1), "a chunk was refused: RSET first"));
        let large = so_far.saturating_add(octets) > self.config.message_octets_max;
        let refusal =
            refused.or_else(|| self.not_now()).or_else(|| large.then(|| self.too_large()));
        match refusal {
            None => self.expect = Expect::Chunk { left: octets, last },
            Some(reply) => {
                // RFC 3030 2: the octets come whatever we answer, and must be read.
                self.chunks = BytesMut::new();
                self.chunks_refused = true;
                self.error(&reply);
                if !matches!(self.expect, Expect::Nothing) {
                    self.expect = Expect::RefusedChunk { left: octets };
                }
            }
        }
    }

    pub(in crate::smtp::server) fn chunk(&mut self) -> Option<Action> {
        let Expect::Chunk { left, last } = &mut self.expect else { return None };
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
        *left -= here as u64;
        let (whole, last) = (*left == 0, *last);
        self.chunks.unsplit(self.input.split_to(here));
        if !whole {
            return Some(Action::Read);
        }
        self.expect = Expect::Command;
        if !last {
            let text = format!("{} octets", self.chunks.len());
            self.say(&Reply::new(250, status(2, 0, 0), &text));
            return None;
        }
        let mut message = std::mem::take(&mut self.chunks);
        if let Err(flaw) = text::check(&message) {
            return self.refuse(flaw);
        }
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        self.offer(message.freeze())
    }

    pub(in crate::smtp::server) fn refused_chunk(&mut self) -> Option<Action> {
        let Expect::RefusedChunk { left } = &mut self.expect else { return None };
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.input.len());
        *left -= here as u64;
        self.input.advance(here);
        if *left > 0 {
            return Some(Action::Read);
        }
        self.expect = Expect::Command;
        None
    }

    /// Hands a whole message to the caller.
    fn offer(&mut self, message: Bytes) -> Option<Action> {
        let mail = self.mail.take()?;
        self.expect = Expect::Settlement;
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
        })))
    }
}
