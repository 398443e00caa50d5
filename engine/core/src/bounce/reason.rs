//! What a reply can mean, and what follows from it.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// What a reply is about: what is done depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// There is no such mailbox.
    BadAddress,
    /// The mailbox is there, and nobody uses it or nobody may.
    Inactive,
    /// The mailbox has no room.
    MailboxFull,
    /// A rule of the receiver's forbids it.
    Policy,
    /// Whom it comes from is not trusted.
    Reputation,
    /// What it says is not wanted.
    Content,
    /// It is too large.
    Size,
    /// The host is not responsible for the recipient.
    Relay,
    /// The domain cannot be found, or takes no mail.
    Dns,
    /// Too much at once.
    RateLimited,
    /// It should come again.
    Greylisted,
    /// The two hosts do not understand each other.
    Protocol,
    /// The host or the way to it is out of order.
    Transient,
    /// Nobody knows.
    Unknown,
}

/// Whom what a reply says holds for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// The recipient.
    Recipient,
    /// The message.
    Message,
    /// The host that said it, and whence we speak to it.
    Host,
    /// The recipient's domain.
    Destination,
}

/// Whether the address itself is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permanence {
    /// It is.
    Hard,
    /// It is not: another message, or a later one, may come through.
    Soft,
    /// Nobody knows.
    Unknown,
}

impl Permanence {
    /// Its name, as programs see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Unknown => "unknown",
        }
    }
}

/// Defines the reasons with what follows from each, so that nothing is forgotten.
macro_rules! reasons {
    ($(
        $(#[$doc:meta])*
        $name:ident $word:literal $class:ident $scope:ident $permanence:ident;
    )*) => {
        /// Why mail was not taken, as a rule says it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its word in rules, events and output.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What it is about.
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// Whom it holds for.
            pub const fn scope(self) -> Scope {
                match self { $(Self::$name => Scope::$scope,)* }
            }

            /// Whether the address is dead.
            pub const fn permanence(self) -> Permanence {
                match self { $(Self::$name => Permanence::$permanence,)* }
            }
        }
    };
}

reasons! {
    /// No such mailbox.
    UserUnknown "userunknown" BadAddress Recipient Hard;
    /// The mailbox has another address now.
    HasMoved "hasmoved" BadAddress Recipient Hard;
    /// The domain is not there.
    HostUnknown "hostunknown" Dns Destination Hard;
    /// The domain takes no mail (RFC 7505).
    NotAccept "notaccept" Dns Destination Hard;
    /// The mailbox has no room.
    MailboxFull "mailboxfull" MailboxFull Recipient Soft;
    /// The mailbox is closed for now.
    Suspend "suspend" Inactive Recipient Soft;
    /// The recipient, or a rule of theirs, does not want it.
    Filtered "filtered" Policy Recipient Soft;
    /// Whom it comes from is on a list, or unknown, or wrong.
    Blocked "blocked" Reputation Host Soft;
    /// The address it comes from has a bad name.
    BadReputation "badreputation" Reputation Host Soft;
    /// The address it comes from has no name.
    RequirePtr "requireptr" Reputation Host Soft;
    /// Its sender is not wanted.
    Rejected "rejected" Policy Message Soft;
    /// It fails SPF, DKIM or DMARC.
    AuthFailure "authfailure" Policy Message Soft;
    /// A rule of the receiver's.
    PolicyViolation "policyviolation" Policy Message Soft;
    /// It takes a login or TLS.
    SecurityError "securityerror" Policy Host Soft;
    /// It is not written as RFC 5322 says.
    NotCompliantRfc "notcompliantrfc" Policy Message Soft;
    /// It looks like spam.
    SpamDetected "spamdetected" Content Message Soft;
    /// It looks like malware.
    VirusDetected "virusdetected" Content Message Soft;
    /// Something in it cannot be taken.
    ContentError "contenterror" Content Message Soft;
    /// It is too large for the host.
    MessageTooBig "mesgtoobig" Size Message Soft;
    /// It is too large for the recipient.
    ExceedLimit "exceedlimit" Size Message Soft;
    /// The host is not responsible.
    NoRelaying "norelaying" Relay Host Soft;
    /// Too much at once.
    TooManyConnections "toomanyconn" RateLimited Host Soft;
    /// Too fast.
    Speeding "speeding" RateLimited Host Soft;
    /// Come again.
    Greylisting "greylisting" Greylisted Host Soft;
    /// It waited too long.
    Expired "expired" Transient Destination Soft;
    /// The way to the host is out of order.
    NetworkError "networkerror" Transient Destination Soft;
    /// The host is out of order.
    SystemError "systemerror" Transient Host Soft;
    /// The host has no room.
    SystemFull "systemfull" Transient Host Soft;
    /// What delivers there is out of order.
    MailerError "mailererror" Transient Host Soft;
    /// The two do not understand each other.
    SyntaxError "syntaxerror" Protocol Host Soft;
    /// It was said that nothing is said.
    OnHold "onhold" Unknown Message Unknown;
    /// Nothing fits.
    Undefined "undefined" Unknown Message Soft;
}

impl Reason {
    /// The reason of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.word() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dead_addresses_are_hard_for_a_recipient() {
        for reason in Reason::ALL {
            assert_eq!(Reason::of_word(reason.word()), Some(*reason));
            let dead = reason.class() == Class::BadAddress;
            let hard = reason.permanence() == Permanence::Hard;
            assert_eq!(dead, hard && reason.scope() == Scope::Recipient, "{reason}");
        }
    }
}
