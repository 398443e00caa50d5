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

pub mod admission;
pub mod config;
mod envelope;
mod login;
mod opening;
mod receiving;
pub mod trace;
mod watched;

use std::sync::Arc;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::live::said::Said;
use crate::mail::envelope::Envelope;
use crate::mail::envelope::Recipient;
use crate::mail::outcome::EnhancedStatus;
use crate::smtp::command;
use crate::smtp::command::Command;
use crate::smtp::command::Mail;
use crate::smtp::reply::Reply;
use crate::smtp::server::config::COMMANDS_IDLE_MAX;
use crate::smtp::server::config::Client;
use crate::smtp::server::config::ERRORS_MAX;
use crate::smtp::server::config::ServerConfig;
use crate::smtp::server::login::Login;
use crate::smtp::text::TextScanner;

/// What the caller must do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write [`Server::output`], then read more into [`Server::input`].
    Read,
    /// Write the output, then make TLS and call [`Server::on_tls`].
    StartTls,
    /// A message wants to come in: say whether there is room for it, by
    /// [`Server::on_admission`].
    Admit {
        /// Its octets, if the client told them.
        octets: Option<u64>,
    },
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
    /// Whether the client may relay: by its network or because it authenticated.
    pub trusted: bool,
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
    /// A text that is already refused, to its end, and then this answer.
    RefusedText(TextScanner, Reply),
    Chunk {
        left: u64,
        last: bool,
    },
    /// A chunk that is already refused, and then this answer (RFC 3030 2: its octets come anyway).
    RefusedChunk {
        left: u64,
        reply: Reply,
    },
    Tls,
    Admission(Box<Mail>),
    Verdict,
    Settlement,
    Nothing,
}

/// What came by BDAT in this transaction (RFC 3030).
#[derive(Debug)]
enum Chunks {
    None,
    Some(BytesMut),
    /// One was refused: so are all until RSET.
    Refused,
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
    chunks: Chunks,
    transactions: u32,
    errors: u32,
    logins_failed: u32,
    /// Commands since the last message.
    commands_idle: u32,
    progress: u64,
    said: Said,
}

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(class, subject, detail)
}

/// What there is of the next line.
enum Line {
    Part,
    TooLong,
    Whole(BytesMut),
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
            chunks: Chunks::None,
            transactions: 0,
            errors: 0,
            logins_failed: 0,
            commands_idle: 0,
            progress: 0,
            said: Said::default(),
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

    /// Whether the client is sending a message now: other time-outs apply (RFC 5321 4.5.3.2).
    pub const fn in_text(&self) -> bool {
        matches!(
            self.expect,
            Expect::Text(_)
                | Expect::RefusedText(..)
                | Expect::Chunk { .. }
                | Expect::RefusedChunk { .. }
        ) || (self.mail.is_some() && !matches!(self.chunks, Chunks::None))
    }

    /// Rises with every line, chunk and text that is whole: a client that sends octets without ever
    /// coming to an end makes none.
    pub const fn progress(&self) -> u64 {
        self.progress
    }

    /// Octets that the session keeps in memory for the client.
    pub fn held_octets(&self) -> usize {
        let chunks = match &self.chunks {
            Chunks::Some(chunks) => chunks.len(),
            _ => 0,
        };
        self.input.len() + chunks
    }

    /// Ends the session with this reply, now: a time-out, a shutdown.
    pub fn end(&mut self, reply: &Reply) {
        self.say(reply);
        self.expect = Expect::Nothing;
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
                Expect::Admission(mail) => Some(Action::Admit { octets: mail.parameters.size }),
                Expect::Verdict | Expect::Settlement => Some(Action::Read),
                Expect::Nothing => Some(Action::Close),
            };
            if let Some(action) = action {
                return action;
            }
        }
    }

    fn say(&mut self, reply: &Reply) {
        let text = reply.to_string();
        self.output.extend_from_slice(text.as_bytes());
        self.said.replies(reply.code, text.as_bytes());
    }

    fn reset(&mut self) {
        self.mail = None;
        self.recipients = Vec::new();
        self.chunks = Chunks::None;
    }

    /// The next line with its end, if it is whole; one that is too long is answered.
    fn line(&mut self, octets_max: usize, too_long: &Reply) -> Line {
        let Some(end) = memchr::memchr(b'\n', &self.input) else {
            if self.input.len() < octets_max {
                return Line::Part;
            }
            self.expect = Expect::LineEnd;
            self.leave_out(self.input.len());
            self.error(too_long);
            return Line::TooLong;
        };
        self.progress += 1;
        let line = self.input.split_to(end + 1);
        if line.len() > octets_max {
            self.expect = Expect::Command;
            self.leave_out(line.len());
            self.error(too_long);
            return Line::TooLong;
        }
        Line::Whole(line)
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
                self.progress += 1;
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
        let too_long = Reply::new(500, status(5, 5, 2), "line too long");
        let line = match self.line(command::LINE_OCTETS_MAX, &too_long) {
            Line::Part => return Some(Action::Read),
            Line::TooLong => return None,
            Line::Whole(line) => line,
        };
        self.hear(&line);
        if line.len() > command::line_octets_max(&line) {
            self.error(&too_long);
            return None;
        }
        if command::is_http(&line) {
            self.end(&Reply::new(421, status(4, 7, 0), "this is not a web server"));
            return None;
        }
        let Some(line) = line.strip_suffix(b"\r\n") else {
            let reply = Reply::new(500, status(5, 5, 2), "a line ends with CR LF");
            self.malformed(&line, &reply);
            return None;
        };
        match command::parse(line) {
            Ok(command) if command.is_idle() && !self.may_idle() => None,
            Ok(command) => self.command(command),
            Err(reply) => {
                self.malformed(line, &reply);
                None
            }
        }
    }

    /// Counts a command that brings no message nearer; too many end the session.
    fn may_idle(&mut self) -> bool {
        self.commands_idle += 1;
        let may = self.commands_idle <= COMMANDS_IDLE_MAX;
        if !may {
            let text = "many commands and no message: connect again when there is mail";
            self.end(&Reply::new(421, status(4, 7, 0), text));
        }
        may
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
            Command::Expn => {
                self.error(&Reply::new(502, status(5, 5, 1), "there are no lists here"));
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
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
