//! The part of a session before mail: EHLO, STARTTLS (RFC 3207), AUTH (RFC 4954).

use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;
use crate::smtp::client::Action;
use crate::smtp::client::Client;
use crate::smtp::client::TlsPolicy;
use crate::smtp::client::expect::Expect;
use crate::smtp::client::extensions::Extensions;
use crate::smtp::client::login::Mechanism;
use crate::smtp::client::words::line;
use crate::smtp::client::words::told;
use crate::smtp::reply::Reply;

impl Client {
    /// Replies before the session is ready.
    pub(in crate::smtp::client) fn on_opening(&mut self, expected: Expect, reply: &Reply) {
        match expected {
            Expect::Greeting if reply.code == 220 => {
                self.say(format!("EHLO {}", self.options.ehlo_name), Expect::Ehlo);
            }
            Expect::Ehlo if reply.code == 250 => self.greeted(reply),
            // HELO has no STARTTLS: where TLS is required it is no way out.
            Expect::Ehlo if reply.is_permanent() && !self.tls_on && !self.options.tls.is_must() => {
                self.say(format!("HELO {}", self.options.ehlo_name), Expect::Helo);
            }
            Expect::Helo if reply.code == 250 => self.log_in(),
            Expect::StartTls if reply.code == 220 => self.actions.push_back(Action::StartTls),
            Expect::StartTls if !reply.is_positive() && self.options.tls == TlsPolicy::May => {
                self.log_in();
            }
            Expect::AuthUser | Expect::AuthPassword if reply.code == 334 => {
                self.on_challenge(expected);
            }
            Expect::Auth if reply.code == 235 => self.ready = true,
            _ => self.fail(told(reply)),
        }
    }

    fn greeted(&mut self, reply: &Reply) {
        self.extensions = Extensions::of(reply);
        match self.options.tls {
            _ if self.tls_on => self.log_in(),
            TlsPolicy::Off => self.log_in(),
            _ if self.extensions.starttls => self.say("STARTTLS".to_owned(), Expect::StartTls),
            TlsPolicy::May => self.log_in(),
            TlsPolicy::Require | TlsPolicy::Verify => {
                let text = "TLS is required and the next hop does not offer it";
                let status = EnhancedStatus::new(4, 7, 4);
                self.fail(Diagnosis::ours(status, Blame::Peer, text));
            }
        }
    }

    /// Authenticates if that was asked for; then the session is ready.
    fn log_in(&mut self) {
        let Some(login) = &self.options.login else {
            self.ready = true;
            return;
        };
        let refuse =
            |detail, text| Diagnosis::ours(EnhancedStatus::new(4, 7, detail), Blame::Config, text);
        if !self.tls_on && !self.options.login_in_clear {
            return self.fail(refuse(11, "the password is not given without TLS"));
        }
        match self.extensions.auth {
            Some(Mechanism::Plain) => {
                self.say_secret(
                    "AUTH PLAIN",
                    format!("AUTH PLAIN {}", login.plain()),
                    Expect::Auth,
                );
            }
            Some(Mechanism::Login) => self.say("AUTH LOGIN".to_owned(), Expect::AuthUser),
            None => self.fail(refuse(0, "the next hop offers neither AUTH PLAIN nor LOGIN")),
        }
    }

    fn on_challenge(&mut self, expected: Expect) {
        let Some(login) = self.options.login.clone() else { return };
        if expected == Expect::AuthUser {
            self.say_secret("", login.encoded_user(), Expect::AuthPassword);
        } else {
            self.say_secret("", login.encoded_password(), Expect::Auth);
        }
    }

    /// Sends what nobody may see; this is shown instead.
    fn say_secret(&mut self, shown: &str, command: String, expect: Expect) {
        self.said.commands(shown.as_bytes());
        self.said.note(format_args!("{} octets of AUTH are left out", command.len()));
        self.write(vec![line(command)]);
        self.expected.push_back((expect, self.queued));
    }
}
