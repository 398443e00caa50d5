//! The envelope: the reverse-path and forward-paths of one mail transaction (RFC 5321 2.3.1), with
//! what the client asked for by extension (RFC 3461, 6152, 6531, 3030).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mail::address::Mailbox;

/// Where delivery reports go: `MAIL FROM:<…>`. Null for reports themselves (RFC 5321 4.5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`: nobody is told.
    Null,
    /// The mailbox that is told.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The mailbox; none if the path is null.
    pub const fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

/// Without angle brackets; empty if null.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// One recipient: `RCPT TO:<…>`. Never null, so no caller has to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForwardPath(pub Mailbox);

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When the sender wants to be told about a recipient (RFC 3461 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Notify {
    /// No NOTIFY parameter was given: on failure, and on delay if it suits us.
    Unspecified,
    /// `NOTIFY=NEVER`.
    Never,
    /// Any of SUCCESS, FAILURE and DELAY, at least one.
    On {
        /// Tell of delivery.
        success: bool,
        /// Tell of failure.
        failure: bool,
        /// Tell of delay.
        delay: bool,
    },
}

impl Notify {
    /// Whether a failure is reported.
    pub const fn wants_failure(self) -> bool {
        matches!(self, Self::Unspecified | Self::On { failure: true, .. })
    }

    /// Whether a delay is reported.
    pub const fn wants_delay(self) -> bool {
        matches!(self, Self::Unspecified | Self::On { delay: true, .. })
    }

    /// Whether a delivery is reported.
    pub const fn wants_success(self) -> bool {
        matches!(self, Self::On { success: true, .. })
    }
}

/// `ORCPT=addr-type;address` (RFC 3461 4.2), decoded from xtext.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// Such as `rfc822`.
    pub address_type: Box<str>,
    /// The address as the sender wrote it; printable US-ASCII only (RFC 6533 3 for the rest).
    pub address: Box<str>,
}

/// How much of the message a failure report returns (RFC 3461 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ret {
    /// `RET=FULL`.
    Full,
    /// `RET=HDRS`.
    Headers,
}

/// What BODY= declared (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BodyType {
    /// `7BIT`, or nothing declared.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// One forward-path and what was asked for it: the unit that is settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recipient {
    /// Where to.
    pub forward_path: ForwardPath,
    /// When to tell the sender.
    pub notify: Notify,
    /// The recipient as the sender first wrote it.
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub const fn plain(mailbox: Mailbox) -> Self {
        Self { forward_path: ForwardPath(mailbox), notify: Notify::Unspecified, original: None }
    }
}

/// Which of a message's recipients: its place in [`Envelope::recipients`], for the message's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RecipientIndex(pub u32);

/// Reverse-path and forward-paths of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Envelope {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Where the message goes; at least one.
    pub recipients: Vec<Recipient>,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded from xtext; printable US-ASCII, at most 100 characters (RFC 3461 4.4).
    pub envelope_id: Option<Box<str>>,
    /// `BODY=`.
    pub body_type: BodyType,
    /// `SMTPUTF8` was given: header fields or addresses may be UTF-8 (RFC 6531).
    pub smtputf8: bool,
}

impl Envelope {
    /// An envelope without extensions.
    pub const fn plain(reverse_path: ReversePath, recipients: Vec<Recipient>) -> Self {
        Self {
            reverse_path,
            recipients,
            ret: None,
            envelope_id: None,
            body_type: BodyType::SevenBit,
            smtputf8: false,
        }
    }
}

/// How urgent a message is: what the scheduler's first round robin goes over.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Class {
    /// One person waits for it: a password, a receipt, a delivery report.
    #[default]
    Transactional,
    /// One of many.
    Bulk,
}

impl Class {
    /// All there are, the most urgent first.
    pub const ALL: [Self; 2] = [Self::Transactional, Self::Bulk];

    /// Its name, as operators and programs see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transactional => "transactional",
            Self::Bulk => "bulk",
        }
    }
}

/// Whose message it is and to what mailing it belongs: the unit of fairness.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// How urgent.
    pub class: Class,
    /// Whose; empty for the installation's own.
    pub tenant: Box<str>,
    /// Of which mailing; empty for none.
    pub campaign: Box<str>,
}
