//! Who guesses passwords waits: wrong ones in a row, counted per address and per account.
//!
//! From [`WRONG_FREE_MAX`] wrong ones on each further try is delayed, from twice as many on an
//! address is sent away. An account is never closed to everyone, or a stranger could lock out its
//! owner: its tries are only delayed, and not from addresses that have known its password. What is
//! forgotten for lack of room is the oldest.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;

use maily_core::clock::Timestamp;

/// Wrong passwords in a row that cost nothing but their own pause.
pub const WRONG_FREE_MAX: u32 = 20;
/// Wrong passwords in a row after which an address is sent away.
pub const WRONG_MAX: u32 = 2 * WRONG_FREE_MAX;
/// How long each try then waits.
pub const DELAY: Duration = Duration::from_secs(10);
/// So long after the last wrong one it is forgotten.
pub const MEMORY: Duration = Duration::from_secs(900);
/// Addresses, accounts and friends remembered, each.
pub const REMEMBERED_MAX: usize = 10_000;

/// What to do with a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Prove it.
    Prove,
    /// Wait so long first.
    Delay(Duration),
    /// Send the client away unheard.
    Refuse,
}

/// Wrong ones in a row, and when the last was.
#[derive(Clone, Copy, Debug, Default)]
struct Wrong {
    count: u32,
    last: Timestamp,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Throttle {
    addresses: HashMap<IpAddr, Wrong>,
    accounts: HashMap<Box<str>, Wrong>,
    /// Addresses that have known an account's password, and when.
    friends: HashMap<(IpAddr, Box<str>), Wrong>,
}

/// One customer has at least a /64 of IPv6, so all of it counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
    }
}

fn count<K: Hash + Eq>(of: &HashMap<K, Wrong>, key: &K, now: Timestamp) -> u32 {
    of.get(key).filter(|wrong| now.since(wrong.last) < MEMORY).map_or(0, |wrong| wrong.count)
}

/// Makes room for one more.
fn make_room<K: Hash + Eq + Clone>(of: &mut HashMap<K, Wrong>, now: Timestamp) {
    if of.len() < REMEMBERED_MAX {
        return;
    }
    of.retain(|_, wrong| now.since(wrong.last) < MEMORY);
    if of.len() >= REMEMBERED_MAX {
        let oldest = of.iter().min_by_key(|(_, wrong)| wrong.last).map(|(key, _)| key.clone());
        oldest.map(|oldest| of.remove(&oldest));
    }
}

impl Throttle {
    /// What to do with a try of this account from this address.
    pub fn verdict(&self, address: IpAddr, account: &str, now: Timestamp) -> Verdict {
        let address = network(address);
        let by_address = count(&self.addresses, &address, now);
        if by_address >= WRONG_MAX {
            return Verdict::Refuse;
        }
        let account: Box<str> = account.into();
        let by_account = count(&self.accounts, &account, now);
        let friend = self.friends.contains_key(&(address, account));
        if by_address >= WRONG_FREE_MAX || (by_account >= WRONG_FREE_MAX && !friend) {
            return Verdict::Delay(DELAY);
        }
        Verdict::Prove
    }

    /// The password was wrong.
    pub fn on_wrong(&mut self, address: IpAddr, account: &str, now: Timestamp) {
        let (address, account): (_, Box<str>) = (network(address), account.into());
        let by_address = count(&self.addresses, &address, now) + 1;
        let by_account = count(&self.accounts, &account, now) + 1;
        make_room(&mut self.addresses, now);
        self.addresses.insert(address, Wrong { count: by_address, last: now });
        make_room(&mut self.accounts, now);
        self.accounts.insert(account, Wrong { count: by_account, last: now });
    }

    /// The password was right: the row is broken.
    pub fn on_right(&mut self, address: IpAddr, account: &str, now: Timestamp) {
        let (address, account): (_, Box<str>) = (network(address), account.into());
        self.addresses.remove(&address);
        self.accounts.remove(&account);
        make_room(&mut self.friends, now);
        self.friends.insert((address, account), Wrong { count: 0, last: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn twenty_wrong_in_a_row_from_an_address_delay_and_forty_send_away() {
        let mut throttle = Throttle::default();
        let verdict =
            |throttle: &Throttle, seconds| throttle.verdict(address(1), "never tried", at(seconds));
        for number in 0..WRONG_FREE_MAX {
            assert_eq!(verdict(&throttle, 0), Verdict::Prove, "after {number}");
            throttle.on_wrong(address(1), &format!("user{number}"), at(0));
        }
        for number in WRONG_FREE_MAX..WRONG_MAX {
            assert_eq!(verdict(&throttle, 0), Verdict::Delay(DELAY), "after {number}");
            throttle.on_wrong(address(1), &format!("user{number}"), at(0));
        }
        assert_eq!(verdict(&throttle, 0), Verdict::Refuse);
        assert_eq!(throttle.verdict(address(2), "never tried", at(0)), Verdict::Prove);
        assert_eq!(verdict(&throttle, MEMORY.as_secs() - 1), Verdict::Refuse);
        assert_eq!(verdict(&throttle, MEMORY.as_secs()), Verdict::Prove, "forgotten");
    }

    #[test]
    fn an_account_under_attack_is_slow_for_strangers_and_not_for_its_owner() {
        let mut throttle = Throttle::default();
        throttle.on_right(address(200), "ann", at(0));
        for number in 0..WRONG_FREE_MAX as u8 {
            throttle.on_wrong(address(number), "ann", at(1));
        }
        assert_eq!(throttle.verdict(address(100), "ann", at(1)), Verdict::Delay(DELAY));
        assert_eq!(throttle.verdict(address(100), "bob", at(1)), Verdict::Prove);
        assert_eq!(throttle.verdict(address(200), "ann", at(1)), Verdict::Prove);
    }

    #[test]
    fn a_right_password_breaks_the_row() {
        let mut throttle = Throttle::default();
        for _ in 0..WRONG_FREE_MAX {
            throttle.on_wrong(address(1), "ann", at(0));
        }
        throttle.on_right(address(1), "ann", at(1));
        assert_eq!(throttle.verdict(address(1), "ann", at(1)), Verdict::Prove);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let mut throttle = Throttle::default();
        for last in 0..u64::from(WRONG_FREE_MAX) {
            let address: IpAddr = format!("2001:db8::{last:x}").parse().unwrap();
            throttle.on_wrong(address, &format!("user{last}"), at(0));
        }
        let verdict = |text: &str| throttle.verdict(text.parse().unwrap(), "ann", at(0));
        assert_eq!(verdict("2001:db8::ffff"), Verdict::Delay(DELAY));
        assert_eq!(verdict("2001:db8:0:1::1"), Verdict::Prove);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut throttle = Throttle::default();
        let numbered = |n: u64| IpAddr::from(std::net::Ipv4Addr::from_bits(n as u32));
        for _ in 0..WRONG_FREE_MAX {
            throttle.on_wrong(numbered(0), "first", at(0));
        }
        for n in 1..=REMEMBERED_MAX as u64 {
            throttle.on_wrong(numbered(n), &format!("user{n}"), at(1));
        }
        assert_eq!(throttle.addresses.len(), REMEMBERED_MAX);
        assert_eq!(throttle.accounts.len(), REMEMBERED_MAX);
        assert_eq!(throttle.verdict(numbered(0), "first", at(1)), Verdict::Prove);
    }
}
