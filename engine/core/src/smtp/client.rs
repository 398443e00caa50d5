//! SMTP client session (RFC 5321), without I/O.
//!
//! The caller owns the socket, the TLS and the clock. It feeds replies in with
//! [`Client::on_reply`] and takes out what must happen next with [`Client::poll`].
//!
//! ```text
//! greeting -> EHLO -> [STARTTLS -> EHLO] -> (MAIL RCPT.. DATA -> message)* -> QUIT
//! ```
//!
//! What each coming reply will answer stands in one queue, so that pipelining (RFC 2920) needs no
//! code of its own.

mod words;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::mail::envelope::Recipient;
use crate::mail::envelope::RecipientIndex;
use crate::mail::envelope::Ret;
use crate::mail::envelope::ReversePath;
use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;
use crate::smtp::client::words::dsn_parameters;
use crate::smtp::client::words::line;
use crate::smtp::client::words::outcome;
use crate::smtp::client::words::told;
use crate::smtp::content::Content;
use crate::smtp::reply::Reply;
use crate::smtp::xtext;

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
}

/// One message for some recipients of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Who gets it; at least one.
    pub recipients: Vec<(RecipientIndex, Recipient)>,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`.
    pub envelope_id: Option<Box<str>>,
    /// Whether SMTPUTF8 was given with it.
    pub smtputf8: bool,
    /// What it says.
    pub content: Content,
}

impl Delivery {
    /// Whether it can only go with SMTPUTF8 (RFC 6531 3.2).
    fn needs_smtputf8(&self) -> bool {
        let ascii = self.reverse_path.mailbox().is_none_or(|mailbox| mailbox.is_ascii())
            && self.recipients.iter().all(|(_, to)| to.forward_path.0.is_ascii());
        self.smtputf8 || !ascii
    }
}

/// What the caller must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write these, in order.
    Write(Vec<Bytes>),
    /// Make TLS, then call [`Client::on_tls`]. What was read behind the reply must be nothing.
    StartTls,
    /// The delivery is over: one outcome for each recipient.
    Done(Vec<(RecipientIndex, Outcome)>),
    /// Close the connection.
    Close,
}

/// What the next reply will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Mail,
    Rcpt(usize),
    Data,
    Message,
    Quit,
}

impl Expect {
    /// RFC 5321 4.5.3.2.
    const fn timeout(self) -> Duration {
        let minutes = match self {
            Self::Data => 2,
            Self::Message => 10,
            _ => 5,
        };
        Duration::from_secs(minutes * 60)
    }
}

/// What the peer offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extensions {
    pipelining: bool,
    eight_bit: bool,
    smtputf8: bool,
    dsn: bool,
    starttls: bool,
    size_max: Option<u64>,
}

#[derive(Debug)]
struct InFlight {
    delivery: Delivery,
    outcomes: Vec<Option<Outcome>>,
    /// The final dot has been written.
    sent: bool,
}

/// One session.
#[derive(Debug)]
pub struct Client {
    ehlo_name: Box<str>,
    tls: TlsPolicy,
    tls_on: bool,
    extensions: Extensions,
    expected: VecDeque<Expect>,
    to_send: VecDeque<(Bytes, Expect)>,
    actions: VecDeque<Action>,
    in_flight: Option<InFlight>,
    ready: bool,
    over: Option<Diagnosis>,
}

impl Client {
    /// A session that waits for the greeting.
    pub fn new(ehlo_name: &str, tls: TlsPolicy) -> Self {
        Self {
            ehlo_name: ehlo_name.into(),
            tls,
            tls_on: false,
            extensions: Extensions::default(),
            expected: VecDeque::from([Expect::Greeting]),
            to_send: VecDeque::new(),
            actions: VecDeque::new(),
            in_flight: None,
            ready: false,
            over: None,
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

    /// How long the peer may take for its next reply; none if nothing is awaited.
    pub fn timeout(&self) -> Option<Duration> {
        self.expected.front().map(|expect| expect.timeout())
    }

    /// Begins a delivery. The session must be ready.
    pub fn submit(&mut self, delivery: Delivery) {
        debug_assert!(self.is_ready(), "one delivery at a time");
        let outcomes = vec![None; delivery.recipients.len()];
        let refusal = self.cannot_take(&delivery);
        let commands = self.commands(&delivery);
        self.in_flight = Some(InFlight { delivery, outcomes, sent: false });
        match refusal {
            Some(diagnosis) => {
                self.settle_rest(&Outcome::Bounced { scope: Scope::Message, diagnosis });
                self.finish();
            }
            None => {
                self.to_send = commands;
                self.send();
            }
        }
    }

    /// What the peer lacks for this message (RFC 1870 6.1, RFC 6152 3, RFC 6531 3.2).
    fn cannot_take(&self, delivery: &Delivery) -> Option<Diagnosis> {
        let ours = |status, text: &str| Some(Diagnosis::ours(status, Blame::Peer, text));
        let octets = delivery.content.octets() as u64;
        if self.extensions.size_max.is_some_and(|max| max > 0 && octets > max) {
            return ours(
                EnhancedStatus::new(5, 3, 4),
                "the next hop takes no message of this size",
            );
        }
        if delivery.needs_smtputf8() && !self.extensions.smtputf8 {
            return ours(EnhancedStatus::new(5, 6, 7), "the next hop does not offer SMTPUTF8");
        }
        if !self.extensions.eight_bit && delivery.content.is_eight_bit() {
            return ours(EnhancedStatus::new(5, 6, 3), "the next hop does not offer 8BITMIME");
        }
        None
    }

    fn commands(&self, delivery: &Delivery) -> VecDeque<(Bytes, Expect)> {
        let mut commands = VecDeque::with_capacity(delivery.recipients.len() + 2);
        let mut mail = format!("MAIL FROM:<{}>", delivery.reverse_path);
        if self.extensions.size_max.is_some() {
            mail += &format!(" SIZE={}", delivery.content.octets());
        }
        if delivery.content.is_eight_bit() {
            mail += " BODY=8BITMIME";
        }
        if delivery.needs_smtputf8() {
            mail += " SMTPUTF8";
        }
        if self.extensions.dsn {
            match delivery.ret {
                Some(Ret::Full) => mail += " RET=FULL",
                Some(Ret::Headers) => mail += " RET=HDRS",
                None => {}
            }
            if let Some(id) = &delivery.envelope_id {
                mail += &format!(" ENVID={}", xtext::encode(id));
            }
        }
        commands.push_back((line(mail), Expect::Mail));
        for (index, (_, recipient)) in delivery.recipients.iter().enumerate() {
            let mut rcpt = format!("RCPT TO:<{}>", recipient.forward_path);
            if self.extensions.dsn {
                rcpt += &dsn_parameters(recipient);
            }
            commands.push_back((line(rcpt), Expect::Rcpt(index)));
        }
        commands.push_back((Bytes::from_static(b"DATA\r\n"), Expect::Data));
        commands
    }

    /// Sends what may be sent now: all of it with PIPELINING, else one command.
    fn send(&mut self) {
        let mut octets = Vec::new();
        while let Some((command, expect)) = self.to_send.pop_front() {
            octets.extend_from_slice(&command);
            self.expected.push_back(expect);
            if !self.extensions.pipelining {
                break;
            }
        }
        if !octets.is_empty() {
            self.actions.push_back(Action::Write(vec![octets.into()]));
        }
    }

    /// Sends one command that must be the last of its group.
    fn say(&mut self, command: String, expect: Expect) {
        self.actions.push_back(Action::Write(vec![line(command)]));
        self.expected.push_back(expect);
    }

    /// TLS is there.
    pub fn on_tls(&mut self) {
        self.tls_on = true;
        self.extensions = Extensions::default();
        self.say(format!("EHLO {}", self.ehlo_name), Expect::Ehlo);
    }

    /// Asks for the end of an idle session.
    pub fn quit(&mut self) {
        self.ready = false;
        self.say("QUIT".to_owned(), Expect::Quit);
    }

    /// The connection is gone, or the peer broke the protocol or a time-out. What was sent to its
    /// last octet is in doubt, the rest is deferred.
    pub fn on_failure(&mut self, text: &str) {
        let diagnosis = Diagnosis::ours(EnhancedStatus::new(4, 4, 2), Blame::Network, text);
        self.fail(diagnosis);
    }

    fn fail(&mut self, diagnosis: Diagnosis) {
        if self.over.is_some() {
            return;
        }
        let in_doubt =
            self.in_flight.as_ref().is_some_and(|flight| flight.sent) && diagnosis.code.is_none();
        let outcome = if in_doubt {
            Outcome::InDoubt(diagnosis.clone())
        } else {
            Outcome::Deferred { scope: Scope::Host, diagnosis: diagnosis.clone() }
        };
        self.settle_rest(&outcome);
        self.finish();
        self.over = Some(diagnosis);
        self.to_send.clear();
        self.expected.clear();
        self.actions.push_back(Action::Close);
    }

    /// All that was to be written is written: from the final dot on, a lost reply leaves doubt.
    pub fn on_written(&mut self) {
        if self.expected.back() == Some(&Expect::Message)
            && let Some(flight) = &mut self.in_flight
        {
            flight.sent = true;
        }
    }

    /// Feeds the next reply.
    pub fn on_reply(&mut self, reply: &Reply) {
        let Some(expected) = self.expected.pop_front() else {
            return self.fail(told(reply));
        };
        if reply.code == 421 && expected != Expect::Quit {
            return self.fail(told(reply));
        }
        match expected {
            Expect::Greeting if reply.code == 220 => {
                self.say(format!("EHLO {}", self.ehlo_name), Expect::Ehlo);
            }
            Expect::Ehlo if reply.code == 250 => self.greeted(reply),
            // HELO has no STARTTLS: where TLS is required it is no way out.
            Expect::Ehlo
                if reply.is_permanent() && !self.tls_on && self.tls != TlsPolicy::Require =>
            {
                self.say(format!("HELO {}", self.ehlo_name), Expect::Helo);
            }
            Expect::Helo if reply.code == 250 => self.open(),
            Expect::StartTls if reply.code == 220 => self.actions.push_back(Action::StartTls),
            Expect::StartTls if self.tls == TlsPolicy::May => self.open(),
            // RFC 5321 4.3.2: neither MAIL nor RCPT is answered with 3xx.
            Expect::Mail | Expect::Rcpt(_) if (300..400).contains(&reply.code) => {
                self.fail(told(reply));
            }
            Expect::Mail => self.on_mail(reply),
            Expect::Rcpt(index) => self.on_rcpt(index, reply),
            Expect::Data => self.on_data(reply),
            Expect::Message => {
                let outcome = outcome(reply, Scope::Message);
                self.settle_rest(&outcome);
                self.finish();
            }
            _ => self.fail(told(reply)),
        }
    }

    fn greeted(&mut self, reply: &Reply) {
        let mut offered = Extensions::default();
        for text in reply.lines.iter().skip(1) {
            let upper = text.to_ascii_uppercase();
            let (keyword, value) = upper.split_once(' ').unwrap_or((&upper, ""));
            match keyword {
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.eight_bit = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "DSN" => offered.dsn = true,
                "STARTTLS" => offered.starttls = true,
                "SIZE" => offered.size_max = Some(value.trim().parse().unwrap_or(0)),
                _ => {}
            }
        }
        self.extensions = offered;
        match self.tls {
            _ if self.tls_on => self.open(),
            TlsPolicy::May | TlsPolicy::Require if offered.starttls => {
                self.say("STARTTLS".to_owned(), Expect::StartTls);
            }
            TlsPolicy::Require => {
                let text = "TLS is required and the next hop does not offer it";
                let status = EnhancedStatus::new(4, 7, 4);
                self.fail(Diagnosis::ours(status, Blame::Peer, text));
            }
            _ => self.open(),
        }
    }

    fn open(&mut self) {
        self.ready = true;
    }

    fn on_mail(&mut self, reply: &Reply) {
        if !reply.is_positive() {
            self.settle_rest(&outcome(reply, Scope::Message));
            if !self.extensions.pipelining {
                self.to_send.clear();
                return self.finish();
            }
        }
        self.send();
    }

    fn on_rcpt(&mut self, index: usize, reply: &Reply) {
        if !reply.is_positive() {
            self.settle(index, outcome(reply, Scope::Recipient));
        }
        let all = self.in_flight.as_ref().is_some_and(|f| f.outcomes.iter().all(Option::is_some));
        let last = matches!(self.to_send.front(), Some((_, Expect::Data)));
        if all && last {
            // Without PIPELINING there is no need for DATA: the next MAIL needs RSET first.
            self.to_send.clear();
            self.fail_softly();
            return;
        }
        self.send();
    }

    /// Every recipient was refused before DATA: the transaction is given up with the connection,
    /// which costs less code than RSET on servers that lack PIPELINING.
    fn fail_softly(&mut self) {
        self.finish();
        self.quit();
    }

    fn on_data(&mut self, reply: &Reply) {
        let Some(flight) = &mut self.in_flight else { return };
        let wanted = flight.outcomes.iter().any(Option::is_none);
        if reply.code == 354 {
            // RFC 2920 3.1: 354 though nobody is left: an empty message ends it.
            let pieces = if wanted {
                flight.delivery.content.pieces()
            } else {
                vec![Bytes::from_static(b".\r\n")]
            };
            self.actions.push_back(Action::Write(pieces));
            self.expected.push_back(Expect::Message);
        } else if reply.is_positive() {
            self.fail(told(reply));
        } else {
            self.settle_rest(&outcome(reply, Scope::Message));
            self.finish();
        }
    }

    fn settle(&mut self, index: usize, outcome: Outcome) {
        let place = self.in_flight.as_mut().and_then(|flight| flight.outcomes.get_mut(index));
        if let Some(place) = place.filter(|place| place.is_none()) {
            *place = Some(outcome);
        }
    }

    fn settle_rest(&mut self, outcome: &Outcome) {
        for place in self.in_flight.iter_mut().flat_map(|flight| &mut flight.outcomes) {
            if place.is_none() {
                *place = Some(outcome.clone());
            }
        }
    }

    fn finish(&mut self) {
        let Some(flight) = self.in_flight.take() else { return };
        let indices = flight.delivery.recipients.into_iter().map(|(index, _)| index);
        let done = indices.zip(flight.outcomes.into_iter().flatten()).collect();
        self.actions.push_back(Action::Done(done));
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
