//! What a session shows of itself to operators. It changes nothing.

use crate::live::Phase;
use crate::live::said::Said;
use crate::smtp::server::Expect;
use crate::smtp::server::Server;
use crate::smtp::shown::Shown;
use crate::smtp::shown::shown;

impl Server {
    /// What was said since this was last taken away.
    pub const fn said(&mut self) -> &mut Said {
        &mut self.said
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        match &self.expect {
            Expect::Nothing => Phase::Closing,
            Expect::Tls => Phase::Tls,
            Expect::Login(_) | Expect::Verdict => Phase::Login,
            Expect::Admission(_) => Phase::Envelope,
            Expect::Settlement => Phase::Reply,
            _ if self.in_text() => Phase::Data,
            _ if self.mail.is_some() => Phase::Envelope,
            _ if self.helo.is_empty() => Phase::Greeting,
            _ => Phase::Idle,
        }
    }

    /// Tells of a line, as far as it may be shown.
    pub(in crate::smtp::server) fn hear(&mut self, line: &[u8]) {
        match shown(line) {
            Shown::Whole(line) => self.said.commands(line),
            Shown::Login(None) => self.said.note(format_args!("AUTH, the rest is left out")),
            Shown::Login(Some(mechanism)) => {
                self.said.commands(format!("AUTH {mechanism}").as_bytes());
                if line.trim_ascii_end().len() > "AUTH ".len() + mechanism.len() {
                    self.said.note(format_args!("the initial response is left out"));
                }
            }
            Shown::Nothing => self.leave_out(line.len()),
        }
    }

    /// Tells that a line came that is not shown.
    pub(in crate::smtp::server) fn leave_out(&mut self, octets: usize) {
        self.said.note(format_args!("a line of {octets} octets that is no command is left out"));
    }
}
