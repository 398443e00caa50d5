//! The hosts of a site, and what they do to mail.

use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;

use crate::chance::Chance;

/// How the hosts of a site are today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Greylists,
    Refuses,
    Throttles,
    Dead,
    LosesReplies,
    Mixed,
}

impl Mood {
    pub(crate) const ALL: [Self; 7] = [
        Self::Good,
        Self::Greylists,
        Self::Refuses,
        Self::Throttles,
        Self::Dead,
        Self::LosesReplies,
        Self::Mixed,
    ];

    /// What the hosts of a site do to a recipient.
    pub(crate) fn outcome(self, chance: &mut Chance, attempts: u32) -> Outcome {
        let deferred = |scope, text| Outcome::Deferred { scope, diagnosis: says(4, text) };
        let mood = match self {
            Self::Mixed => [Self::Good, Self::Greylists, Self::Refuses][chance.roll(3) as usize],
            other => other,
        };
        match mood {
            Self::Greylists if attempts == 0 || chance.once_in(4) => {
                deferred(Scope::Recipient, "greylisted")
            }
            Self::Refuses => {
                Outcome::Bounced { scope: Scope::Recipient, diagnosis: says(5, "no such user") }
            }
            Self::Throttles => deferred(Scope::Host, "go away"),
            Self::Dead => deferred(Scope::Host, "no answer"),
            Self::LosesReplies => Outcome::InDoubt(says(4, "cut")),
            _ => Outcome::Delivered(says(2, "taken")),
        }
    }
}

pub(crate) fn says(class: u8, text: &str) -> Diagnosis {
    Diagnosis::ours(EnhancedStatus::new(class, 0, 0), Blame::Peer, text)
}
