//! Whether there is room for one more message: asked at MAIL, before anything of it is sent.
//!
//! What was accepted before is not touched, and its delivery goes on and makes room again.

use crate::mail::outcome::EnhancedStatus;
use crate::smtp::reply::Reply;

/// The answer of the one who knows how full the house is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Open,
    /// Messages that are being received fill the memory set aside for them.
    Memory,
    /// The disk is full up to its reserve.
    Disk,
    /// As many messages wait as may.
    Queue,
    /// The daemon ends.
    Draining,
}

impl Admission {
    /// The reply to MAIL; none if there is room. All are for now: the client comes again.
    pub fn refusal(self) -> Option<Reply> {
        let (code, detail, text) = match self {
            Self::Open => return None,
            Self::Memory => (452, 2, "many messages are coming in, try again later"),
            Self::Disk => (452, 1, "not enough room on disk, try again later"),
            Self::Queue => (452, 2, "too many messages wait here, try again later"),
            Self::Draining => (421, 2, "going down, try again later"),
        };
        Some(Reply::new(code, EnhancedStatus::new(4, 3, detail), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_for_now_and_says_why() {
        assert_eq!(Admission::Open.refusal(), None);
        for (full, start) in [
            (Admission::Memory, "452 4.3.2 many"),
            (Admission::Disk, "452 4.3.1 not enough room on disk"),
            (Admission::Queue, "452 4.3.2 too many messages wait"),
            (Admission::Draining, "421 4.3.2 going down"),
        ] {
            let reply = full.refusal().unwrap();
            assert!(reply.to_string().starts_with(start), "{reply}");
        }
    }
}
