//! [`QueueId`]: the name of one accepted message, on every node and for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Crockford's base 32: no I, L, O or U, so that an id survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of an id in text: 13 × 5 bits hold 64.
const TEXT_OCTETS: usize = 13;
const NODE_BITS: u32 = 10;
const COUNT_BITS: u32 = 12;

/// The id of one accepted message: 42 bits of milliseconds, 10 bits of node, 12 bits of count.
///
/// Ids of one node rise with time, so they sort by acceptance. In text they are 13 characters of
/// Crockford's base 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueueId(u64);

impl QueueId {
    /// The id with this number, as [`QueueId::as_u64`] gave it.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The id as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The id that comes so many behind this one in its node's order.
    pub const fn after(self, count: u32) -> Self {
        Self::of(self.node(), self.tick().saturating_add(count as u64))
    }

    /// How many behind `first` this id comes in their node's order; none if it does not.
    pub const fn behind(self, first: Self) -> Option<u64> {
        if self.node() != first.node() {
            return None;
        }
        self.tick().checked_sub(first.tick())
    }

    const fn of(node: u64, tick: u64) -> Self {
        let millis = tick >> COUNT_BITS;
        let count = tick & ((1 << COUNT_BITS) - 1);
        Self(millis << (NODE_BITS + COUNT_BITS) | node << COUNT_BITS | count)
    }

    const fn node(self) -> u64 {
        self.0 >> COUNT_BITS & ((1 << NODE_BITS) - 1)
    }

    /// Milliseconds and count without the node.
    const fn tick(self) -> u64 {
        (self.0 >> (NODE_BITS + COUNT_BITS)) << COUNT_BITS | self.0 & ((1 << COUNT_BITS) - 1)
    }

    /// When the id was made, to the millisecond.
    pub const fn made_at(self) -> Timestamp {
        Timestamp::from_micros((self.0 >> (NODE_BITS + COUNT_BITS)) * 1_000)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..TEXT_OCTETS).rev() {
            let digit = (self.0 >> (place * 5)) & 31;
            let octet = ALPHABET.get(digit as usize).copied().unwrap_or(b'0');
            fmt::Write::write_char(f, char::from(octet))?;
        }
        Ok(())
    }
}

/// The text is not the 13 characters of a queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidQueueId;

impl fmt::Display for InvalidQueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a queue id: 13 characters of 0-9 and a-z without i, l, o, u")
    }
}

impl std::error::Error for InvalidQueueId {}

impl FromStr for QueueId {
    type Err = InvalidQueueId;

    fn from_str(text: &str) -> Result<Self, InvalidQueueId> {
        if text.len() != TEXT_OCTETS {
            return Err(InvalidQueueId);
        }
        let mut number: u64 = 0;
        for octet in text.bytes() {
            let octet = octet.to_ascii_lowercase();
            let digit = ALPHABET.iter().position(|a| *a == octet).ok_or(InvalidQueueId)?;
            // 13 digits are 65 bits: the first may only be 0 or 1 of its upper bit.
            number = number.checked_mul(32).ok_or(InvalidQueueId)? | digit as u64;
        }
        Ok(Self(number))
    }
}

/// Makes ids that rise, one generator a node.
///
/// More than 4,096 ids in a millisecond borrow from the next one; a clock that stands still or goes
/// back does the same.
#[derive(Debug)]
pub struct QueueIdSource {
    node: u64,
    last: u64,
}

impl QueueIdSource {
    /// Nodes are numbered 0 to this.
    pub const NODE_MAX: u16 = (1 << NODE_BITS) - 1;

    /// A source for this node (taken modulo 1,024).
    pub const fn new(node: u16) -> Self {
        Self { node: (node & Self::NODE_MAX) as u64, last: 0 }
    }

    /// Never again gives an id that does not lie above `id`: after a restart, feed all known ids.
    pub fn rise_above(&mut self, id: QueueId) {
        self.last = self.last.max(id.tick());
    }

    /// The next id.
    pub fn next(&mut self, now: Timestamp) -> QueueId {
        self.block(now, 1)
    }

    /// The first of so many ids that follow one another: the others are [`QueueId::after`] it.
    pub fn block(&mut self, now: Timestamp, count: u32) -> QueueId {
        let first = (now.as_millis() << COUNT_BITS).max(self.last + 1);
        self.last = first + u64::from(count.max(1)) - 1;
        QueueId::of(self.node, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_even_when_the_clock_does_not() {
        let mut source = QueueIdSource::new(7);
        let now = Timestamp::from_secs(1_795_392_378);
        let mut last = source.next(now);
        for _ in 0..10_000 {
            let next = source.next(now);
            assert!(next > last);
            last = next;
        }
        assert!(source.next(Timestamp::EPOCH) > last, "a clock that went back");
    }

    #[test]
    fn a_restarted_source_stays_above_what_it_was_told() {
        let now = Timestamp::from_secs(1_795_392_378);
        let mut first = QueueIdSource::new(7);
        let mut last = first.next(now);
        for _ in 0..5_000 {
            last = first.next(now);
        }
        let mut second = QueueIdSource::new(7);
        second.rise_above(last);
        assert!(second.next(now) > last);
    }

    #[test]
    fn the_ids_of_a_block_follow_one_another_and_are_given_to_nobody_else() {
        let now = Timestamp::from_secs(1_795_392_378);
        let mut source = QueueIdSource::new(1_023);
        let before = source.next(now);
        let first = source.block(now, 10_000);
        let after = source.next(now);
        assert_eq!((first, after), (before.after(1), first.after(10_000)));
        let all: Vec<_> = (0..10_000).map(|n| first.after(n)).collect();
        assert!(all.is_sorted_by(|one, next| one < next) && all[9_999] < after);
        for (n, id) in all.iter().enumerate() {
            assert_eq!(id.behind(first), Some(n as u64));
        }
        assert_eq!(before.behind(first), None);
        assert_eq!(QueueIdSource::new(1).next(now).behind(before), None, "of another node");
    }

    #[test]
    fn text_and_number_are_the_same_id() {
        let id = QueueIdSource::new(1023).next(Timestamp::from_secs(1_795_392_378));
        assert_eq!(id.to_string().len(), 13);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert_eq!(id.made_at(), Timestamp::from_secs(1_795_392_378));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "0", "zzzzzzzzzzzzz", "u000000000000", "00000000000000"] {
            assert_eq!(text.parse::<QueueId>(), Err(InvalidQueueId), "{text}");
        }
    }
}
