//! How a sink behaves: as the kinds of provider that senders meet.

use std::str::FromStr;
use std::time::Duration;

/// One way to behave. Each is what some real provider does every day.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// Takes everything.
    Accept,
    /// Answers 450 to a recipient until this long after it was first seen (RFC 6647).
    Greylist(Duration),
    /// Takes this many messages on a connection, then says 421 and closes it.
    Throttle(u32),
    /// Answers 550 5.1.1 to this share of recipients, chosen by their address.
    Reject(f64),
    /// Takes this long to answer the end of data.
    Slow(Duration),
    /// Takes the whole message, then closes the connection without a reply, once per this many
    /// messages: what leaves a delivery in doubt.
    Cut(u32),
}

/// A behaviour's text was not understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no behaviour: use accept, greylist:SECONDS, throttle:MESSAGES, reject:SHARE, \
     slow:MILLISECONDS or cut:MESSAGES"
)]
pub struct UnknownBehaviour(String);

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    fn from_str(text: &str) -> Result<Self, UnknownBehaviour> {
        let unknown = || UnknownBehaviour(text.to_owned());
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let number = || value.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(unknown);
        Ok(match name {
            "accept" if value.is_empty() => Self::Accept,
            "greylist" => Self::Greylist(Duration::from_secs(number()?.into())),
            "throttle" => Self::Throttle(number()?),
            "slow" => Self::Slow(Duration::from_millis(number()?.into())),
            "cut" => Self::Cut(number()?),
            "reject" => {
                let share: f64 = value.parse().map_err(|_| unknown())?;
                if !(0.0..=1.0).contains(&share) {
                    return Err(unknown());
                }
                Self::Reject(share)
            }
            _ => return Err(unknown()),
        })
    }
}

impl Behaviour {
    /// Whether a rejecting sink refuses this recipient: always the same for the same address.
    pub fn refuses(&self, recipient: &str) -> bool {
        let Self::Reject(share) = self else { return false };
        // FNV-1a: stable across runs and machines, which the standard hasher is not.
        let hash = recipient.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        ((hash >> 11) as f64) / ((1_u64 << 53) as f64) < *share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_are_read_from_words() {
        assert_eq!("accept".parse::<Behaviour>().unwrap(), Behaviour::Accept);
        let greylist = Behaviour::Greylist(Duration::from_secs(3));
        assert_eq!("greylist:3".parse::<Behaviour>().unwrap(), greylist);
        for text in ["", "accept:1", "greylist", "throttle:0", "reject:2", "reject:x", "nap:1"] {
            assert!(text.parse::<Behaviour>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_tenth_of_the_recipients_is_about_a_tenth() {
        let behaviour = Behaviour::Reject(0.1);
        let refused = (0..10_000).filter(|n| behaviour.refuses(&format!("user{n}@example.net")));
        let refused = refused.count();
        assert!((900..1_100).contains(&refused), "{refused} of 10,000");
    }
}
