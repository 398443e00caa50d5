//! What happened to a message: the record of its life (RFC 5321 4.4 asks for a trace).
//!
//! Events are values. They are written once, by few hands, to the event log, and everything that is
//! counted or shown is folded from them. The set only grows: a variant or field is never removed or
//! reordered, because logs outlive versions.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::{ForwardPath, RecipientIndex, ReversePath, Stream};
use crate::mail::id::QueueId;
use crate::mail::outcome::{Outcome, Settlement};

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
