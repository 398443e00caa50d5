//! Which addresses mail may be sent to: a domain's MX must not make us talk to our own network.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::IpNet;

/// Whether we may connect: to public addresses, and to those the operator listed.
pub fn may_connect(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = address.to_canonical();
    let public = match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    public || allowed.iter().any(|network| network.contains(&address))
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    // RFC 6598 shared space, RFC 2544 benchmarks, and everything from multicast up.
    let shared = a == 100 && b >= 64 && b < 128;
    let benchmark = a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || shared
        || benchmark)
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    // RFC 4291 2.4: global unicast is 2000::/3; within it RFC 3849 documentation and RFC 3056 6to4.
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000 && !(a == 0x2001 && b == 0x0db8) && a != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_refused_unless_listed() {
        let no = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "ff02::1",
        ];
        for text in no {
            assert!(!may_connect(text.parse().unwrap(), &[]), "{text}");
        }
        for text in ["8.8.8.8", "2606:4700::1111"] {
            assert!(may_connect(text.parse().unwrap(), &[]), "{text}");
        }
        let listed = ["127.0.0.0/8".parse().unwrap()];
        assert!(may_connect("127.0.0.1".parse().unwrap(), &listed));
        assert!(may_connect("::ffff:127.0.0.1".parse().unwrap(), &listed));
        assert!(!may_connect("10.0.0.1".parse().unwrap(), &listed));
    }
}
