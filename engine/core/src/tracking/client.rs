//! Where a hit came from, as little of it as is needed: the network, not the person.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Bits of an IPv4 address that are kept.
const V4_BITS: u32 = 24;
/// Bits of an IPv6 address that are kept: what a provider gives to a customer at most.
const V6_BITS: u32 = 48;

/// The address with its host part zeroed: /24 and /48. An IPv4 address in IPv6's clothes
/// (RFC 4291 2.5.5.2) is treated as what it is.
pub fn truncated(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let kept = address.to_bits() & (u32::MAX << (u32::BITS - V4_BITS));
            Ipv4Addr::from_bits(kept).into()
        }
        IpAddr::V6(address) => {
            let kept = address.to_bits() & (u128::MAX << (u128::BITS - V6_BITS));
            Ipv6Addr::from_bits(kept).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_is_kept() {
        for (address, kept) in [
            ("192.0.2.129", "192.0.2.0"),
            ("255.255.255.255", "255.255.255.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
            ("::ffff:192.0.2.129", "192.0.2.0"),
            ("::1", "::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(truncated(address).to_string(), kept);
        }
    }
}
