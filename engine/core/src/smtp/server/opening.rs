//! The part of a session before mail: EHLO, STARTTLS (RFC 3207), AUTH (RFC 4954).

use crate::smtp::reply::Reply;
use crate::smtp::server::Action;
use crate::smtp::server::Expect;
use crate::smtp::server::Line;
use crate::smtp::server::Server;
use crate::smtp::server::config;
use crate::smtp::server::login;
use crate::smtp::server::status;

impl Server {
    pub(in crate::smtp::server) fn helo(&mut self, name: Box<str>) {
        self.reset();
        self.helo = name;
        self.extended = false;
        let reply = Reply::bare(250, &self.config.hostname);
        self.say(&reply);
    }

    pub(in crate::smtp::server) fn ehlo(&mut self, name: Box<str>) {
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

    pub(in crate::smtp::server) fn start_tls(&mut self) {
        let wrong = if !self.offers_tls() {
            Some("no TLS now")
        } else if !self.extended {
            Some("EHLO first")
        } else if self.mail.is_some() {
            Some("not inside a mail transaction")
        } else {
            None
        };
        if let Some(text) = wrong {
            return self.error(&Reply::new(503, status(5, 5, 1), text));
        }
        // RFC 3207 4.2: what was sent behind the command is thrown away unread.
        self.input.clear();
        self.say(&Reply::new(220, status(2, 0, 0), "ready for TLS"));
        self.expect = Expect::Tls;
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

    pub(in crate::smtp::server) fn auth(
        &mut self,
        mechanism: &str,
        initial: Option<&str>,
    ) -> Option<Action> {
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

    pub(in crate::smtp::server) fn login_line(&mut self) -> Option<Action> {
        let too_long = Reply::new(500, status(5, 5, 6), "line too long");
        let line = match self.line(config::AUTH_LINE_OCTETS_MAX, &too_long) {
            Line::Part => return Some(Action::Read),
            Line::TooLong => return None,
            Line::Whole(line) => line,
        };
        let Expect::Login(login) = std::mem::replace(&mut self.expect, Expect::Command) else {
            return None;
        };
        self.said.note(format_args!("a line of AUTH is left out"));
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
}
