//! The part of a session that says who mails to whom: MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3).

use crate::mail::address::Mailbox;
use crate::mail::envelope::ForwardPath;
use crate::mail::envelope::Recipient;
use crate::smtp::command;
use crate::smtp::command::Mail;
use crate::smtp::command::Rcpt;
use crate::smtp::reply::Reply;
use crate::smtp::server::Chunks;
use crate::smtp::server::Expect;
use crate::smtp::server::Server;
use crate::smtp::server::status;
use crate::tracking::links::Return;

impl Server {
    /// Whether it may send to anyone.
    pub(in crate::smtp::server) const fn is_trusted(&self) -> bool {
        self.client.may_relay || self.user.is_some()
    }

    pub(in crate::smtp::server) fn mail(&mut self, mail: Mail) {
        let refusal = if self.helo.is_empty() {
            Some(Reply::new(503, status(5, 5, 1), "EHLO first"))
        } else if self.mail.is_some() {
            Some(Reply::new(503, status(5, 5, 1), "one MAIL at a time: RSET first"))
        } else if !self.is_trusted() && !self.is_open() {
            Some(Reply::new(530, status(5, 7, 0), "authentication required"))
        } else if mail.parameters.size.is_some_and(|size| size > self.config.message_octets_max) {
            Some(self.too_large())
        } else {
            None
        };
        if let Some(reply) = refusal {
            return self.error(&reply);
        }
        if self.transactions >= self.config.transactions_max {
            let text = "enough for one session: connect again";
            return self.end(&Reply::new(421, status(4, 7, 0), text));
        }
        self.expect = Expect::Admission(Box::new(mail));
    }

    /// The answer to [`Action::Admit`](crate::smtp::server::Action::Admit): a reply if there is no
    /// room for a message now. A 421 ends the session.
    pub fn on_admission(&mut self, refusal: Option<&Reply>) {
        let Expect::Admission(mail) = std::mem::replace(&mut self.expect, Expect::Command) else {
            return;
        };
        match refusal {
            None => {
                self.transactions += 1;
                self.mail = Some(*mail);
                self.chunks = Chunks::None;
                self.say(&Reply::new(250, status(2, 1, 0), "OK"));
            }
            Some(reply) if reply.code == 421 => self.end(reply),
            Some(reply) => self.say(reply),
        }
    }

    pub(in crate::smtp::server) fn rcpt(&mut self, rcpt: Rcpt) {
        let Some(mail) = &self.mail else {
            return self.error(&Reply::new(503, status(5, 5, 1), "MAIL first"));
        };
        if !matches!(self.chunks, Chunks::None) {
            return self.error(&Reply::new(503, status(5, 5, 1), "BDAT was begun: RSET first"));
        }
        if !rcpt.is_ascii && !mail.parameters.smtputf8 {
            return self.error(&command::needs_smtputf8());
        }
        if self.recipients.len() >= self.config.recipients_max {
            // RFC 5321 4.5.3.1.10: 452, so that the client sends the rest in another transaction.
            return self.say(&Reply::new(452, status(4, 5, 3), "too many recipients"));
        }
        let mailbox = match self.resolved(rcpt.mailbox) {
            Ok(mailbox) => mailbox,
            Err(reply) => return self.error(&reply),
        };
        self.recipients.push(Recipient {
            forward_path: ForwardPath(mailbox),
            notify: rcpt.parameters.notify,
            original: rcpt.parameters.original,
        });
        self.say(&Reply::new(250, status(2, 1, 5), "OK"));
    }

    /// Whether there is an address that everyone may write to.
    fn is_open(&self) -> bool {
        self.config.postmaster.is_some()
            || !self.config.open.is_empty()
            || self.config.links.is_some()
    }

    /// Where mail for this address goes, if this client may send there. Everyone reaches the
    /// postmaster (RFC 5321 4.5.1) and our open address; only clients that we trust reach others.
    fn resolved(&self, mailbox: Option<Mailbox>) -> Result<Mailbox, Reply> {
        let postmaster = &self.config.postmaster;
        match mailbox {
            None => postmaster
                .clone()
                .ok_or_else(|| Reply::new(550, status(5, 1, 1), "no postmaster is configured")),
            Some(mailbox) => match postmaster {
                Some(postmaster) if self.is_own_postmaster(&mailbox) => Ok(postmaster.clone()),
                _ if self.is_open_address(&mailbox) => Ok(mailbox),
                // Who may send anywhere sends no false reports either.
                _ if self.is_return(&mailbox) == Some(Return::Forged) => {
                    Err(Reply::new(550, status(5, 1, 1), "no mail of ours has this return path"))
                }
                _ if self.is_trusted() => Ok(mailbox),
                _ => Err(Reply::new(550, status(5, 7, 1), "relaying denied")),
            },
        }
    }

    fn is_open_address(&self, mailbox: &Mailbox) -> bool {
        let same = |own: &Mailbox| own.to_string().eq_ignore_ascii_case(&mailbox.to_string());
        self.config.open.iter().any(same)
            || matches!(self.is_return(mailbox), Some(Return::Ours(..)))
    }

    fn is_return(&self, mailbox: &Mailbox) -> Option<Return> {
        self.config.links.as_ref()?.returned(mailbox)
    }

    fn is_own_postmaster(&self, mailbox: &Mailbox) -> bool {
        mailbox.local_part().eq_ignore_ascii_case("postmaster")
            && mailbox.domain().as_str().eq_ignore_ascii_case(&self.config.hostname)
    }
}
