//! What the next reply will answer, and how long it may take.

use std::time::Duration;

/// RFC 5321 4.5.3.2.5: how long the peer may take to read one block of a message.
pub(super) const BLOCK_TIMEOUT: Duration = minutes(3);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// What the next reply will answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    /// The user's name is asked for by AUTH LOGIN, then the password.
    AuthUser,
    AuthPassword,
    /// The end of AUTH.
    Auth,
    Reset,
    Mail,
    /// The recipient of the delivery at this place.
    Rcpt(usize),
    Data,
    /// The final dot.
    Message,
    /// `BDAT … LAST` and its octets.
    Chunk,
    Quit,
}

impl Expect {
    /// RFC 5321 4.5.3.2; BDAT LAST ends a message as the final dot does (RFC 3030 2).
    pub(super) const fn timeout(self) -> Duration {
        match self {
            Self::Data => minutes(2),
            Self::Message | Self::Chunk => minutes(10),
            _ => minutes(5),
        }
    }
}
