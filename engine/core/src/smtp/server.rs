//! SMTP server session (RFC 5321 and extensions), without I/O.
//!
//! The caller owns the socket, the TLS, the passwords and the spool. It puts octets into
//! [`Server::input`], takes out what must happen with [`Server::poll`], and answers the questions
//! among it. Replies gather in [`Server::output`], so that pipelined commands are answered with one
//! write (RFC 2920).
//!
//! ```text
//! greeting -> EHLO -> [STARTTLS -> EHLO] -> [AUTH] -> (MAIL RCPT.. DATA|BDAT..)* -> QUIT
//! ```

pub mod config;
mod login;
mod receiving;

use std::sync::Arc;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::mail::envelope::Envelope;
use crate::mail::envelope::ForwardPath;
use crate::mail::envelope::Recipient;
use crate::mail::outcome::EnhancedStatus;
use crate::smtp::command;
use crate::smtp::command::Command;
use crate::smtp::command::Mail;
use crate::smtp::command::Rcpt;
use crate::smtp::reply::Reply;
use crate::smtp::server::config::COMMAND_LINE_OCTETS_MAX;
use crate::smtp::server::config::Client;
use crate::smtp::server::config::ERRORS_MAX;
use crate::smtp::server::config::ServerConfig;
use crate::smtp::server::login::Login;
use crate::smtp::text::Flaw;
use crate::smtp::text::TextScanner;

/// What the caller must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write [`Server::output`], then read more into [`Server::input`].
    Read,
    /// Write the output, then make TLS and call [`Server::on_tls`].
    StartTls,
    /// Prove this name and password and call [`Server::on_authenticated`].
    Authenticate {
        /// The name.
        user: Box<str>,
        /// The password.
        password: Box<str>,
    },
    /// Take this message or not and call [`Server::on_settled`].
    Accept(Box<Transaction>),
    /// Write the output, then close.
    Close,
}

/// A whole mail transaction: what MAIL, RCPT and DATA said.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who to whom.
    pub envelope: Envelope,
    /// The message, without dot-stuffing, with CRLF line ends.
    pub message: Bytes,
    /// As whom the client authenticated.
    pub user: Option<Box<str>>,
    /// The name that it gave in EHLO or HELO.
    pub helo: Box<str>,
    /// Whether it said EHLO.
    pub extended: bool,
    /// Whether the session is under TLS.
    pub tls: bool,
}

/// What the next octets are, or whose answer is awaited.
#[derive(Debug)]
enum Expect {
    Command,
    /// An over-long command line: skipped to its end.
    LineEnd,
    /// A line of an AUTH exchange.
    Login(Login),
    Text(TextScanner),
    /// A text that is already refused, to its end.
    RefusedText(TextScanner, Flaw),
    Chunk {
        left: u64,
        last: bool,
    },
    RefusedChunk {
        left: u64,
    },
    Tls,
    Verdict,
    Settlement,
    Nothing,
}

/// One session.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    client: Client,
    input: BytesMut,
    output: Vec<u8>,
    expect: Expect,
    helo: Box<str>,
    extended: bool,
    user: Option<Box<str>>,
    mail: Option<Mail>,
    recipients: Vec<Recipient>,
    chunks: BytesMut,
    /// A chunk of this transaction was refused: so are all until RSET (RFC 3030 2).
    chunks_refused: bool,
    transactions: u32,
    errors: u32,
    logins_failed: u32,
    refuse_new: Option<Reply>,
}

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail)
}

impl Server {
    /// A session that begins with our greeting.
    pub fn new(config: Arc<ServerConfig>, client: Client) -> Self {
        let greeting = Reply::bare(220, &format!("{} ESMTP Maily", config.hostname));
        let mut server = Self {
            config,
            client,
            input: BytesMut::new(),
            output: Vec::new(),
            expect: Expect::Command,
            helo: Box::default(),
            extended: false,
            user: None,
            mail: None,
            recipients: Vec::new(),
            chunks: BytesMut::new(),
            chunks_refused: false,
            transactions: 0,
            errors: 0,
            logins_failed: 0,
            refuse_new: None,
        };
        server.say(&greeting);
        server
    }

    /// Where what is read from the peer goes.
    pub const fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// What is to be written to the peer; the caller empties it.
    pub const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether the client is sending a message now: another time-out applies (RFC 5321 4.5.3.2.5).
    pub const fn in_text(&self) -> bool {
        matches!(
            self.expect,
            Expect::Text(_)
                | Expect::RefusedText(..)
                | Expect::Chunk { .. }
                | Expect::RefusedChunk { .. }
        )
    }

    /// From now on each MAIL gets this answer; none takes mail again. For back-pressure.
    pub fn refuse_mail(&mut self, reply: Option<Reply>) {
        self.refuse_new = reply;
    }

    /// Ends the session with this reply, now: a time-out, a shutdown.
    pub fn end(&mut self, reply: &Reply) {
        self.say(reply);
        self.expect = Expect::Nothing;
    }

    /// TLS is there: the session begins anew (RFC 3207 4.2).
    pub fn on_tls(&mut self) {
        self.client.tls = true;
        self.input.clear();
        self.helo = Box::default();
        self.extended = false;
        self.user = None;
        self.reset();
        self.expect = Expect::Command;
    }

    /// The answer to [`Action::Authenticate`]: the name if the password is right.
    pub fn on_authenticated(&mut self, user: Option<Box<str>>) {
        self.expect = Expect::Command;
        if let Some(user) = user {
            self.user = Some(user);
            return self.say(&Reply::new(235, status(2, 7, 0), "authenticated"));
        }
        self.logins_failed += 1;
        if self.logins_failed >= self.config.logins_failed_max {
            return self.end(&Reply::new(421, status(4, 7, 0), "too many failed logins"));
        }
        self.say(&Reply::new(535, status(5, 7, 8), "name or password not right"));
    }

    /// The answer to [`Action::Accept`].
    pub fn on_settled(&mut self, reply: &Reply) {
        self.expect = Expect::Command;
        self.say(reply);
        self.reset();
    }

    /// What must happen next.
    pub fn poll(&mut self) -> Action {
        loop {
            let action = match &self.expect {
                Expect::Command => self.command_line(),
                Expect::LineEnd => self.skip_line(),
                Expect::Login(_) => self.login_line(),
                Expect::Text(_) => self.text(),
                Expect::RefusedText(..) => self.refused_text(),
                Expect::Chunk { .. } => self.chunk(),
                Expect::RefusedChunk { .. } => self.refused_chunk(),
                // Nothing is read before the question that was put is answered.
                Expect::Tls => Some(Action::StartTls),
                Expect::Verdict | Expect::Settlement => Some(Action::Read),
                Expect::Nothing => Some(Action::Close),
            };
            if let Some(action) = action {
                return action;
            }
        }
    }

    fn say(&mut self, reply: &Reply) {
        self.output.extend_from_slice(reply.to_string().as_bytes());
    }

    fn reset(&mut self) {
        self.mail = None;
        self.recipients = Vec::new();
        self.chunks = BytesMut::new();
        self.chunks_refused = false;
    }

    /// The next line without its CRLF, if it is whole; a line that is too long is answered.
    fn line(&mut self, octets_max: usize) -> Option<BytesMut> {
        let Some(end) = memchr::memchr(b'\n', &self.input) else {
            if self.input.len() >= octets_max {
                self.too_long();
                self.expect = Expect::LineEnd;
            }
            return None;
        };
        let line = self.input.split_to(end + 1);
        if line.len() > octets_max {
            self.too_long();
            return None;
        }
        Some(line)
    }

    fn too_long(&mut self) {
        self.error(&Reply::new(500, status(5, 5, 2), "line too long"));
    }

    /// Answers a mistake of the client; too many end the session.
    fn error(&mut self, reply: &Reply) {
        self.errors += 1;
        if self.errors > ERRORS_MAX {
            return self.end(&Reply::new(421, status(4, 7, 0), "too many errors, bye"));
        }
        self.say(reply);
    }

    fn skip_line(&mut self) -> Option<Action> {
        match memchr::memchr(b'\n', &self.input) {
            Some(end) => {
                self.input.advance(end + 1);
                self.expect = Expect::Command;
                None
            }
            None => {
                self.input.clear();
                Some(Action::Read)
            }
        }
    }

    fn command_line(&mut self) -> Option<Action> {
        let had = self.input.len();
        let Some(line) = self.line(COMMAND_LINE_OCTETS_MAX) else {
            let waits = self.input.len() == had && matches!(self.expect, Expect::Command);
            return waits.then_some(Action::Read);
        };
        let Some(line) = line.strip_suffix(b"\r\n") else {
            self.error(&Reply::new(500, status(5, 5, 2), "a line ends with CR LF"));
            return None;
        };
        if self.helo.is_empty() && command::is_http(line) {
            self.end(&Reply::new(421, status(4, 7, 0), "this is not a web server"));
            return None;
        }
        match command::parse(line) {
            Ok(command) => self.command(command),
            Err(reply) => {
                self.error(&reply);
                None
            }
        }
    }

    fn command(&mut self, command: Command) -> Option<Action> {
        let ok = |text| Reply::new(250, status(2, 0, 0), text);
        match command {
            Command::Ehlo(name) => self.ehlo(name),
            Command::Helo(name) => self.helo(name),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(rcpt) => self.rcpt(rcpt),
            Command::Data => self.data(),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            Command::Rset => {
                self.reset();
                self.say(&ok("reset"));
            }
            Command::Noop => self.say(&ok("OK")),
            Command::Vrfy => {
                let text = "cannot verify, but will take mail and try";
                self.say(&Reply::new(252, status(2, 1, 5), text));
            }
            Command::Help => self.say(&Reply::new(214, status(2, 0, 0), "see RFC 5321")),
            Command::Quit => self.end(&Reply::new(221, status(2, 0, 0), "bye")),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => {
                return self.auth(&mechanism, initial.as_deref());
            }
        }
        None
    }

    fn helo(&mut self, name: Box<str>) {
        self.reset();
        self.helo = name;
        self.extended = false;
        let reply = Reply::bare(250, &self.config.hostname);
        self.say(&reply);
    }

    fn ehlo(&mut self, name: Box<str>) {
        self.reset();
        self.helo = name;
        self.extended = true;
        let mut lines: Vec<Box<str>> = vec![self.config.hostname.clone()];
        let size = format!("SIZE {}", self.config.message_octets_max);
        for keyword in ["PIPELINING", &size, "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN"] {
            lines.push(keyword.into());
        }
        lines.push("ENHANCEDSTATUSCODES".into());
        if self.offers_tls() {
            lines.push("STARTTLS".into());
        }
        if self.offers_auth() {
            lines.push("AUTH PLAIN LOGIN".into());
        }
        self.say(&Reply { code: 250, status: None, lines });
    }

    fn offers_tls(&self) -> bool {
        self.config.starttls && !self.client.tls
    }

    /// RFC 4954 4: never in clear, but for a client on this machine.
    fn offers_auth(&self) -> bool {
        self.config.auth && (self.client.tls || self.client.local)
    }

    fn start_tls(&mut self) {
        if !self.offers_tls() {
            return self.error(&Reply::new(503, status(5, 5, 1), "no TLS now"));
        }
        // RFC 3207 4.2: what was sent behind the command is thrown away unread.
        self.input.clear();
        self.say(&Reply::new(220, status(2, 0, 0), "ready for TLS"));
        self.expect = Expect::Tls;
    }

    fn auth(&mut self, mechanism: &str, initial: Option<&str>) -> Option<Action> {
        let wrong = if !self.offers_auth() {
            Some(Reply::new(538, status(5, 7, 11), "encryption required before AUTH"))
        } else if self.user.is_some() || self.mail.is_some() {
            Some(Reply::new(503, status(5, 5, 1), "not now: once a session, outside mail"))
        } else if !self.extended {
            Some(Reply::new(503, status(5, 5, 1), "EHLO first"))
        } else {
            None
        };
        if let Some(reply) = wrong {
            self.error(&reply);
            return None;
        }
        self.login_step(login::begin(mechanism, initial))
    }

    fn login_line(&mut self) -> Option<Action> {
        let Expect::Login(login) = std::mem::replace(&mut self.expect, Expect::Command) else {
            return None;
        };
        let had = self.input.len();
        let Some(line) = self.line(config::AUTH_LINE_OCTETS_MAX) else {
            if self.input.len() == had && matches!(self.expect, Expect::Command) {
                self.expect = Expect::Login(login);
                return Some(Action::Read);
            }
            return None;
        };
        let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        self.login_step(login.answer(&line))
    }

    fn login_step(&mut self, step: login::Step) -> Option<Action> {
        match step {
            login::Step::Ask(prompt, login) => {
                self.say(&Reply::bare(334, prompt));
                self.expect = Expect::Login(login);
                None
            }
            login::Step::Prove { user, password } => {
                self.expect = Expect::Verdict;
                Some(Action::Authenticate { user, password })
            }
            login::Step::Wrong(reply) => {
                self.error(&reply);
                None
            }
        }
    }

    fn mail(&mut self, mail: Mail) {
        let refusal = if self.helo.is_empty() {
            Some(Reply::new(503, status(5, 5, 1), "EHLO first"))
        } else if self.mail.is_some() {
            Some(Reply::new(503, status(5, 5, 1), "one MAIL at a time: RSET first"))
        } else if !self.client.may_relay && self.user.is_none() {
            Some(Reply::new(530, status(5, 7, 0), "authentication required"))
        } else if mail.parameters.size.is_some_and(|size| size > self.config.message_octets_max) {
            Some(self.too_large())
        } else {
            None
        };
        if let Some(reply) = refusal {
            return self.error(&reply);
        }
        if let Some(reply) = self.refuse_new.clone() {
            return self.say(&reply);
        }
        if self.transactions >= self.config.transactions_max {
            let text = "enough for one session: connect again";
            return self.end(&Reply::new(421, status(4, 7, 0), text));
        }
        self.transactions += 1;
        self.mail = Some(mail);
        self.say(&Reply::new(250, status(2, 1, 0), "OK"));
    }

    fn too_large(&self) -> Reply {
        let text = format!("a message may have {} octets", self.config.message_octets_max);
        Reply::new(552, status(5, 3, 4), &text)
    }

    fn rcpt(&mut self, rcpt: Rcpt) {
        let Some(mail) = &self.mail else {
            return self.error(&Reply::new(503, status(5, 5, 1), "MAIL first"));
        };
        let smtputf8 = mail.parameters.smtputf8;
        if self.recipients.len() >= self.config.recipients_max {
            // RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in another transaction.
            return self.say(&Reply::new(452, status(4, 5, 3), "too many recipients"));
        }
        let mailbox = rcpt.mailbox.or_else(|| self.config.postmaster.clone());
        let Some(mailbox) = mailbox else {
            return self.error(&Reply::new(550, status(5, 1, 1), "no postmaster is configured"));
        };
        if !mailbox.is_ascii() && !smtputf8 {
            return self.error(&command::needs_smtputf8());
        }
        self.recipients.push(Recipient {
            forward_path: ForwardPath(mailbox),
            notify: rcpt.parameters.notify,
            original: rcpt.parameters.original,
        });
        self.say(&Reply::new(250, status(2, 1, 5), "OK"));
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
