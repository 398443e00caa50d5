//! SMTP client session (RFC 5321), without I/O.
//!
//! The caller owns the socket, the TLS and the clock. It feeds replies in with
//! [`Client::on_reply`] and takes out what must happen next with [`Client::poll`].
//!
//! ```text
//! greeting -> EHLO -> [STARTTLS -> EHLO] -> [AUTH] -> (MAIL RCPT.. BDAT | DATA message)* -> QUIT
//! ```
//!
//! What each coming reply will answer stands in one queue, so that pipelining (RFC 2920) needs no
//! code of its own. Beside it stands how many octets must be on their way before that reply can be
//! an honest one: a peer that answers sooner is out of step, and nothing is delivered to it.
//!
//! One message is under way at a time. A second one behind it would save some 5 of 19 µs of CPU at
//! both ends together, and would put twice as much in doubt whenever a connection breaks.

mod expect;
mod extensions;
mod in_flight;
pub mod login;
mod opening;
mod script;
mod watched;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::live::said::Said;
use crate::mail::envelope::RecipientIndex;
use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;
use crate::smtp::client::expect::Expect;
use crate::smtp::client::extensions::Extensions;
use crate::smtp::client::in_flight::InFlight;
use crate::smtp::client::login::Login;
use crate::smtp::client::script::Manner;
use crate::smtp::client::script::Script;
use crate::smtp::client::words::line;
use crate::smtp::client::words::out_of_turn;
use crate::smtp::client::words::outcome;
use crate::smtp::client::words::refusal;
use crate::smtp::client::words::told;
use crate::smtp::content::Form;
use crate::smtp::delivery::Delivery;
use crate::smtp::reply::Reply;
use crate::smtp::text::Flaw;

/// RFC 5321 4.5.3.2.5: how long the peer may take to read one block of a message.
pub const BLOCK_TIMEOUT: Duration = expect::BLOCK_TIMEOUT;

/// When TLS is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// Never.
    Off,
    /// If it is offered (RFC 7435).
    #[default]
    May,
    /// Or not at all.
    Require,
    /// With a valid certificate, or not at all.
    Verify,
}

impl TlsPolicy {
    /// Whether nothing may be sent in clear.
    pub const fn is_must(self) -> bool {
        matches!(self, Self::Require | Self::Verify)
    }
}

/// How a session is held.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name given in EHLO.
    pub ehlo_name: Box<str>,
    /// When TLS is used.
    pub tls: TlsPolicy,
    /// As whom to authenticate (RFC 4954).
    pub login: Option<Arc<Login>>,
    /// Whether a password may be given without TLS: on this machine only.
    pub login_in_clear: bool,
}

/// What the caller must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write these, in order; tell [`Client::on_written`] how far it has come.
    Write(Vec<Bytes>),
    /// Make TLS, then call [`Client::on_tls`]. What was read behind the reply must be nothing.
    StartTls,
    /// The delivery is over: one outcome for each recipient.
    Done(Vec<(RecipientIndex, Outcome)>),
    /// Close the connection.
    Close,
}

/// One session.
#[derive(Debug)]
pub struct Client {
    options: Options,
    tls_on: bool,
    extensions: Extensions,
    /// What each reply will answer, and the octets of the session that it can come after.
    expected: VecDeque<(Expect, u64)>,
    actions: VecDeque<Action>,
    /// Octets given out to be written, and those of them that are.
    queued: u64,
    written: u64,
    in_flight: Option<InFlight>,
    /// The last transaction was not ended by its message: RSET goes before the next.
    left_open: bool,
    ready: bool,
    over: Option<Diagnosis>,
    said: Said,
}

impl Client {
    /// Waits for the greeting.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            tls_on: false,
            extensions: Extensions::default(),
            expected: VecDeque::from([(Expect::Greeting, 0)]),
            actions: VecDeque::new(),
            queued: 0,
            written: 0,
            in_flight: None,
            left_open: false,
            ready: false,
            over: None,
            said: Said::default(),
        }
    }

    /// What must happen next; none: read a reply, or submit if [`Client::is_ready`].
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether a delivery may be submitted.
    pub const fn is_ready(&self) -> bool {
        self.ready && self.in_flight.is_none() && self.over.is_none()
    }

    /// Why the session is over, if it is.
    pub const fn over(&self) -> Option<&Diagnosis> {
        self.over.as_ref()
    }

    /// Whether the peer offers DSN (RFC 3461).
    pub const fn offers_dsn(&self) -> bool {
        self.extensions.dsn
    }

    /// Whether a reply may come now: something that was sent is unanswered.
    pub fn is_owed(&self) -> bool {
        self.expected.front().is_some_and(|(_, end)| *end <= self.written)
    }

    /// How long the peer may take for its next reply; none if nothing is awaited.
    pub fn timeout(&self) -> Option<Duration> {
        self.expected.front().map(|(expect, _)| expect.timeout())
    }

    /// Begins a delivery. The session must be ready.
    pub fn submit(&mut self, delivery: Delivery) {
        debug_assert!(self.is_ready(), "one delivery at a time");
        let form = delivery.content.form();
        let refusal = self.cannot_take(&delivery, &form);
        self.in_flight = Some(InFlight::new(delivery, form.eight_bit));
        match refusal {
            Some(diagnosis) => {
                self.settle_all(&Outcome::Bounced { scope: Scope::Message, diagnosis });
                self.done();
            }
            None => self.begin(0),
        }
    }

    /// What the peer lacks for this message (RFC 1870 6.1, RFC 6152 3, RFC 6531 3.2), or what the
    /// message has that must never be on the wire (RFC 5321 2.3.8 and 4.5.3.1.6).
    fn cannot_take(&self, delivery: &Delivery, form: &Form) -> Option<Diagnosis> {
        let ours = |detail: (u16, u16), blame, text: &str| {
            Some(Diagnosis::ours(EnhancedStatus::new(5, detail.0, detail.1), blame, text))
        };
        let octets = delivery.content.wire_octets() as u64;
        if self.extensions.size_max.is_some_and(|max| max > 0 && octets > max) {
            return ours((3, 4), Blame::Peer, "the next hop takes no message of this size");
        }
        if delivery.needs_smtputf8() && !self.extensions.smtputf8 {
            return ours((6, 7), Blame::Peer, "the next hop does not offer SMTPUTF8");
        }
        if !self.extensions.eight_bit && form.eight_bit {
            return ours((6, 3), Blame::Peer, "the next hop does not offer 8BITMIME");
        }
        match form.flaw {
            Some(Flaw::LongLine) => {
                ours((6, 0), Blame::Us, "the message has a line of more than 998 octets")
            }
            Some(_) => ours((6, 0), Blame::Us, "the message has a bare CR or LF, or a NUL"),
            None => None,
        }
    }

    /// Begins the transaction for the recipients from this one on.
    fn begin(&mut self, from: usize) {
        let Some(flight) = &mut self.in_flight else { return };
        // RFC 9422: those beyond what the peer takes at once follow in further transactions.
        let most = self.extensions.recipients_max.unwrap_or(usize::MAX);
        flight.move_on(from, most);
        let manner = Manner {
            extensions: &self.extensions,
            eight_bit: flight.eight_bit,
            reset: std::mem::take(&mut self.left_open),
        };
        flight.script = Script::new(&flight.delivery, flight.range.clone(), &manner);
        self.send();
    }

    /// Sends what may be sent now: all of it with PIPELINING, else one command. A message goes with
    /// its BDAT, so that with both extensions the whole transaction is one write.
    fn send(&mut self) {
        let Some(flight) = &mut self.in_flight else { return };
        let mut octets = 0;
        let mut pieces = vec![Bytes::new()];
        while let Some((expect, length)) = flight.script.next() {
            octets += length;
            let mut end = self.queued + octets as u64;
            if expect == Expect::Chunk {
                end += flight.delivery.content.wire_octets() as u64;
                flight.message_end = Some(end);
                pieces.extend(flight.delivery.content.plain_pieces());
            }
            self.expected.push_back((expect, end));
            if !self.extensions.pipelining {
                break;
            }
        }
        if let (true, Some(first)) = (octets > 0, pieces.first_mut()) {
            *first = flight.script.take(octets);
            self.said.commands(first);
            if pieces.len() > 1 {
                let octets = flight.delivery.content.wire_octets();
                self.said.note(format_args!("message of {octets} octets"));
            }
            self.write(pieces);
        }
    }

    fn write(&mut self, pieces: Vec<Bytes>) {
        self.queued += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.actions.push_back(Action::Write(pieces));
    }

    /// Sends one command that must be the last of its group.
    fn say(&mut self, command: String, expect: Expect) {
        self.said.commands(command.as_bytes());
        self.write(vec![line(command)]);
        self.expected.push_back((expect, self.queued));
    }

    /// TLS is there.
    pub fn on_tls(&mut self) {
        self.tls_on = true;
        self.extensions = Extensions::default();
        self.say(format!("EHLO {}", self.options.ehlo_name), Expect::Ehlo);
    }

    /// TLS failed.
    pub fn on_tls_failure(&mut self, text: &str) {
        self.fail(Diagnosis::ours(EnhancedStatus::new(4, 7, 5), Blame::Peer, text));
    }

    /// Asks for the end of an idle session.
    pub fn quit(&mut self) {
        self.ready = false;
        self.say("QUIT".to_owned(), Expect::Quit);
    }

    /// The connection is gone, or the peer broke the protocol or a time-out. What was sent to its
    /// last octet is in doubt, the rest is deferred.
    pub fn on_failure(&mut self, text: &str) {
        self.fail(Diagnosis::ours(EnhancedStatus::new(4, 4, 2), Blame::Network, text));
    }

    fn fail(&mut self, diagnosis: Diagnosis) {
        if self.over.is_some() {
            return;
        }
        // Who leaves while nothing is to be done harms nobody.
        self.said.failed |= !self.is_ready();
        if diagnosis.code.is_none() {
            self.said.note(format_args!("{}", diagnosis.text()));
        }
        let sent = self.in_flight.as_ref().and_then(|flight| flight.message_end);
        // After a 421 the message is not theirs (RFC 5321 3.8); after any other end it may be.
        if sent.is_some_and(|end| end <= self.written) && diagnosis.code != Some(421) {
            self.settle_rest(&Outcome::InDoubt(diagnosis.clone()));
        }
        let scope = Scope::Host;
        self.settle_all(&Outcome::Deferred { scope, diagnosis: diagnosis.clone() });
        self.done();
        self.over = Some(diagnosis);
        self.expected.clear();
        self.actions.push_back(Action::Close);
    }

    /// So many more octets are written.
    pub const fn on_written(&mut self, octets: usize) {
        self.written += octets as u64;
    }

    /// Feeds the next reply.
    pub fn on_reply(&mut self, reply: &Reply) {
        self.hear(reply);
        let Some((expected, end)) = self.expected.pop_front() else {
            let diagnosis = if reply.code == 421 { told(reply) } else { out_of_turn(reply) };
            return self.fail(diagnosis);
        };
        if reply.code == 421 && expected != Expect::Quit {
            return self.fail(told(reply));
        }
        if end > self.written {
            return self.on_early(expected, reply);
        }
        match expected {
            // RFC 5321 4.3.2: neither MAIL nor RCPT is answered with 3xx, nor is a message.
            Expect::Mail | Expect::Rcpt(_) | Expect::Message | Expect::Chunk
                if (300..400).contains(&reply.code) =>
            {
                self.fail(out_of_turn(reply));
            }
            Expect::Mail => self.on_mail(reply),
            Expect::Rcpt(index) => self.on_rcpt(index, reply),
            Expect::Data => self.on_data(reply),
            Expect::Message | Expect::Chunk => self.on_message(expected, reply),
            Expect::Reset if reply.code == 250 => self.send(),
            Expect::Quit => {}
            _ => self.on_opening(expected, reply),
        }
    }

    /// A reply to what is not yet sent to its end. A refusal is taken at its word; nothing else is.
    fn on_early(&mut self, expected: Expect, reply: &Reply) {
        if matches!(expected, Expect::Message | Expect::Chunk) && !reply.is_positive() {
            self.settle_rest(&outcome(reply, Scope::Message));
        }
        self.fail(out_of_turn(reply));
    }

    fn on_mail(&mut self, reply: &Reply) {
        self.left_open = reply.is_positive();
        if !reply.is_positive() {
            self.settle_all(&outcome(reply, Scope::Message));
            if !self.extensions.pipelining {
                return self.finish();
            }
        }
        self.send();
    }

    fn on_rcpt(&mut self, index: usize, reply: &Reply) {
        let Some(flight) = &mut self.in_flight else { return };
        if !reply.is_positive() {
            flight.settle(index, refusal(reply, flight.has_taken_before(index)));
        }
        if flight.script.is_at_content() && !flight.is_wanted() {
            // Nobody is left: no need to send the message.
            return self.finish();
        }
        self.send();
    }

    fn on_data(&mut self, reply: &Reply) {
        let Some(flight) = &mut self.in_flight else { return };
        if reply.code == 354 {
            // RFC 2920 3.1: 354 though nobody is left: an empty message ends it.
            let pieces = if flight.is_wanted() {
                let octets = flight.delivery.content.wire_octets();
                self.said.note(format_args!("message of {octets} octets"));
                flight.delivery.content.pieces()
            } else {
                vec![Bytes::from_static(b".\r\n")]
            };
            self.write(pieces);
            let end = self.queued;
            if let Some(flight) = &mut self.in_flight {
                flight.message_end = Some(end);
            }
            self.expected.push_back((Expect::Message, end));
        } else if reply.is_positive() {
            self.fail(out_of_turn(reply));
        } else {
            self.settle_rest(&outcome(reply, Scope::Message));
            self.finish();
        }
    }

    /// The message is answered.
    fn on_message(&mut self, expected: Expect, reply: &Reply) {
        // RFC 5321 4.1.1.4: whatever the reply to the final dot, the transaction is over. After a
        // chunk that failed only RSET makes sure of that (RFC 3030 2).
        self.left_open = expected == Expect::Chunk && !reply.is_positive();
        let outcome = outcome(reply, Scope::Message);
        if reply.is_positive() {
            self.settle_rest(&outcome);
        } else if self.in_flight.as_ref().is_some_and(InFlight::is_wanted) {
            // What is said of the message holds for those who were not asked about yet.
            self.settle_all(&outcome);
        }
        self.finish();
    }

    fn settle_rest(&mut self, outcome: &Outcome) {
        self.in_flight.iter_mut().for_each(|flight| flight.settle_rest(outcome));
    }

    fn settle_all(&mut self, outcome: &Outcome) {
        self.in_flight.iter_mut().for_each(|flight| flight.settle_all(outcome));
    }

    /// The transaction is over: on to the recipients of the next one, if there are any left.
    fn finish(&mut self) {
        let Some(flight) = &mut self.in_flight else { return };
        flight.script.clear();
        let next = flight.range.end;
        if flight.has_more() { self.begin(next) } else { self.done() }
    }

    fn done(&mut self) {
        if let Some(flight) = self.in_flight.take() {
            self.actions.push_back(Action::Done(flight.done()));
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
