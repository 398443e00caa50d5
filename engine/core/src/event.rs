//! What happened to a message: the record of its life (RFC 5321 4.4 asks for a trace).
//!
//! Events are values. They are written once, by few hands, to the event log, and everything that is
//! counted or shown is folded from them. The set only grows: a variant or field is never removed or
//! reordered, because logs outlive versions.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::bounce::reason::Reason;
use crate::clock::Timestamp;
use crate::mail::address::{Domain, Mailbox};
use crate::mail::envelope::{ForwardPath, RecipientIndex, ReversePath, Stream};
use crate::mail::id::QueueId;
use crate::mail::outcome::{EnhancedStatus, Outcome, Settlement};

/// One thing that happened to one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To which message.
    pub id: QueueId,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// We took responsibility (RFC 5321 6.1).
    Accepted(Box<Accepted>),
    /// A next hop was tried for some recipients, or could not be found.
    Attempted(Box<Attempted>),
    /// A delivery status notification was written (RFC 3464).
    Reported {
        /// The message that carries the report.
        report: QueueId,
        /// Failed, delayed, or relayed.
        kind: ReportKind,
        /// Whom it tells of.
        recipients: Vec<RecipientIndex>,
    },
    /// An operator removed the message.
    Removed {
        /// Who, and why.
        reason: Box<str>,
    },
    /// The pixel for a recipient was fetched.
    Opened(Box<Hit>),
    /// A link for a recipient was followed.
    Clicked {
        /// How.
        hit: Box<Hit>,
        /// Which of the message's links, from 0.
        link: u16,
        /// Where it goes.
        url: Box<str>,
    },
    /// A recipient wants no more of this.
    Unsubscribed(Box<Unsubscribed>),
    /// A recipient was not sent the message, because it must not be written to.
    Suppressed {
        /// Which.
        recipient: RecipientIndex,
        /// Why.
        reason: SuppressionReason,
    },
    /// A host that had taken the message reported later what became of it (RFC 3464).
    Returned(Box<Returned>),
    /// A recipient told its provider that it does not want this (RFC 5965).
    Complained(Box<Complained>),
    /// Plugins had something to say of what happened.
    Tagged(Box<Tagged>),
}

/// What plugins say of what happened to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// Whose message it is; empty if it is nobody's.
    pub project: Box<str>,
    /// Whom it is about.
    pub mailbox: Mailbox,
    /// The type of the event that they speak of, such as `message.bounced`.
    pub about: Box<str>,
    /// Their words for it.
    pub tags: Vec<Box<str>>,
    /// Whether the mailbox is not to be written to any more; none leaves it as it is.
    pub suppress: Option<bool>,
    /// Which plugins, with their versions.
    pub by: Vec<Box<str>>,
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} by {}", self.mailbox, self.about, self.by.join(", "))?;
        if !self.tags.is_empty() {
            write!(f, ", tags {}", self.tags.join(", "))?;
        }
        match self.suppress {
            Some(true) => f.write_str(", to be suppressed"),
            Some(false) => f.write_str(", not to be suppressed"),
            None => Ok(()),
        }
    }
}

/// Octets of what a report says that are kept.
pub const RETURNED_OCTETS_MAX: usize = 1_000;

/// What came back, and how it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// Whom it is about.
    pub recipient: RecipientIndex,
    /// Given up; else it still waits there.
    pub failed: bool,
    /// The status that it tells.
    pub status: Option<EnhancedStatus>,
    /// What was said, up to [`RETURNED_OCTETS_MAX`].
    pub text: Box<str>,
    /// What that means.
    pub reason: Reason,
    /// Whether the address is dead.
    pub hard: bool,
    /// File and line of the rule that says so; empty if none did.
    pub rule: Box<str>,
    /// As whom the report knows the recipient; empty if it does not say.
    pub address: Box<str>,
}

/// Who complained of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complained {
    /// Whom it is about.
    pub recipient: RecipientIndex,
    /// The kind of complaint, such as `abuse` (RFC 5965 7.3); empty if it does not say.
    pub kind: Box<str>,
    /// Who told it to us, such as the provider's program; empty if it does not say.
    pub by: Box<str>,
}

/// Octets of a user agent that are kept.
pub const USER_AGENT_OCTETS_MAX: usize = 512;
/// Octets of a link's target that are kept.
pub const URL_OCTETS_MAX: usize = 2_048;

/// The beginning of a text from outside: so much of it as is kept.
pub fn bounded(text: &str, octets_max: usize) -> Box<str> {
    text.get(..text.floor_char_boundary(octets_max)).unwrap_or(text).into()
}

/// A fetch of a pixel or link: raw facts, so that it can be judged again, and how it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// For whom the pixel or link was made.
    pub recipient: RecipientIndex,
    /// The request's method (RFC 9110 9).
    pub method: Box<str>,
    /// Its User-Agent field, up to [`USER_AGENT_OCTETS_MAX`].
    pub user_agent: Box<str>,
    /// Whence it came, without the part that tells one person from another.
    pub network: IpAddr,
    /// Seconds since the pixel or link was made.
    pub age: u64,
    /// It came before the next hop had taken the message.
    pub before_delivered: bool,
    /// Who it was, probably.
    pub verdict: Verdict,
    /// Why that is thought, in words that do not change.
    pub reasons: Vec<Box<str>>,
}

/// Who fetched a pixel or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// A person.
    Human,
    /// A scanner, a proxy that fetches ahead, a robot.
    Machine,
    /// Nothing speaks for either.
    Unknown,
}

/// Who wants no more of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// Whose mail.
    pub project: Box<str>,
    /// Of which list; empty for all of it.
    pub list: Box<str>,
    /// Who.
    pub mailbox: Mailbox,
    /// How it was said.
    pub how: UnsubscribedBy,
}

/// How somebody unsubscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnsubscribedBy {
    /// By the mail program's button (RFC 8058).
    OneClick,
    /// By the button on our page.
    Page,
    /// By mail to the address in List-Unsubscribe (RFC 2369).
    Mail,
    /// By an application or operator in the recipient's name.
    Api,
}

/// Why a mailbox must not be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SuppressionReason {
    /// It unsubscribed.
    Unsubscribed,
    /// It complained.
    Complained,
    /// There is no such mailbox.
    Bounced,
    /// An operator said so.
    Operator,
}

/// What a report says (RFC 3464 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportKind {
    /// Given up.
    Failed,
    /// Not yet delivered, still trying.
    Delayed,
    /// Handed to a server that does not promise reports (RFC 3461 5.2.7).
    Relayed,
}

/// How a message came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Where it goes.
    pub recipients: Vec<ForwardPath>,
    /// The Message-ID field without its angle brackets; empty if there is none.
    pub message_id: Box<str>,
    /// Octets of the message as stored.
    pub octets: u64,
    /// Whose it is.
    pub stream: Stream,
    /// By what door.
    pub origin: Origin,
}

/// By what door a message came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// By SMTP.
    Smtp {
        /// The client's address.
        client: IpAddr,
        /// The name it gave in EHLO or HELO.
        helo: Box<str>,
        /// As whom it authenticated; empty if it did not.
        user: Box<str>,
        /// Whether the session was under TLS.
        tls: bool,
    },
    /// We wrote it: a delivery report about the message with this id.
    Report(QueueId),
    /// By HTTP.
    Http {
        /// The client's address; none if it came through a local socket.
        client: Option<IpAddr>,
        /// The id of the token that it came with, never the token.
        token: Box<str>,
        /// Whose it is.
        project: Box<str>,
    },
    /// By HTTP, with words of whoever handed it in.
    HttpLabelled {
        /// The client's address; none if it came through a local socket.
        client: Option<IpAddr>,
        /// The id of the token that it came with, never the token.
        token: Box<str>,
        /// Whose it is.
        project: Box<str>,
        /// The words.
        labels: Box<Labels>,
    },
}

/// What whoever handed a message in wants to find in all that is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// Words to find it by.
    pub tags: Vec<Box<str>>,
    /// Names and values.
    pub meta: Vec<(Box<str>, Box<str>)>,
}

impl Labels {
    /// None at all.
    pub const fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.meta.is_empty()
    }
}

impl Origin {
    /// What whoever handed it in said beside it, if anything.
    pub fn labels(&self) -> Option<&Labels> {
        match self {
            Self::HttpLabelled { labels, .. } => Some(labels),
            Self::Smtp { .. } | Self::Report(_) | Self::Http { .. } => None,
        }
    }
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempted {
    /// The recipients' domain.
    pub domain: Domain,
    /// The site that serves it; empty if none was found.
    pub site: Box<str>,
    /// Which try this was; the first is 1.
    pub attempt: u32,
    /// With whom we spoke; none if no connection came about.
    pub peer: Option<Peer>,
    /// From handing the message to the connection until the last outcome, in microseconds.
    pub micros: u64,
    /// What became of each recipient, and what follows.
    pub recipients: Vec<Attempt>,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The name of the MX host or smarthost.
    pub host: Box<str>,
    /// Its address.
    pub address: IpAddr,
    /// The egress source we used.
    pub source: Box<str>,
    /// The TLS version and cipher suite; empty in clear.
    pub tls: Box<str>,
}

/// One recipient's part in an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Which recipient.
    pub recipient: RecipientIndex,
    /// What the next hop did.
    pub outcome: Outcome,
    /// What we do about it.
    pub settlement: Settlement,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_kept_up_to_its_limit_and_no_letter_is_cut() {
        let exact = "x".repeat(USER_AGENT_OCTETS_MAX);
        assert_eq!(*bounded(&exact, USER_AGENT_OCTETS_MAX), exact);
        let longer = format!("{exact}y");
        assert_eq!(*bounded(&longer, USER_AGENT_OCTETS_MAX), exact);
        let url = "ü".repeat(URL_OCTETS_MAX);
        assert_eq!(bounded(&url, URL_OCTETS_MAX).len(), URL_OCTETS_MAX);
        assert_eq!(&*bounded("aü", 2), "a");
        assert_eq!(&*bounded("", 2), "");
    }
}
