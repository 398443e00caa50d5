//! What a session that is going on shows of itself: how far it is, and the last lines that were
//! said in it.
//!
//! Plain data with limits: [`said::Said`] is what a session has to tell since it was last asked,
//! [`record::Record`] all that is known of it, [`lines::Lines`] the ring of both. Messages and
//! secrets are never in it; a note says that they are left out.

pub mod lines;
pub mod record;
pub mod said;

/// Who opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Somebody else: mail comes in.
    In,
    /// We: mail goes out.
    Out,
}

/// How far a session is: what is under way, or awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection is being made.
    Connecting,
    /// The greeting, and EHLO.
    Greeting,
    /// STARTTLS, and the handshake.
    Tls,
    /// AUTH.
    Login,
    /// No mail transaction is open.
    Idle,
    /// MAIL, RCPT and DATA.
    Envelope,
    /// The message is being sent.
    Data,
    /// The message is there, its reply is not.
    Reply,
    /// The end.
    Closing,
}

impl Phase {
    /// In one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Greeting => "greeting",
            Self::Tls => "tls",
            Self::Login => "login",
            Self::Idle => "idle",
            Self::Envelope => "envelope",
            Self::Data => "data",
            Self::Reply => "reply",
            Self::Closing => "closing",
        }
    }

    /// Whether a session may end here without harm to anybody's mail.
    pub const fn is_harmless(self) -> bool {
        matches!(self, Self::Greeting | Self::Idle | Self::Closing)
    }
}
