//! The header of the PROXY protocol, version 2 (HAProxy's proxy-protocol.txt 2.2), by which a load
//! balancer says for whom it connects. It comes before anything else, TLS too.
//!
//! Read only from peers that are known to send it: whoever may send one may claim any address.
//! Version 1, which is text, is not taken. What follows the addresses (TLVs) is skipped.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use bytes::Buf;

/// The twelve octets that it begins with.
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets before the addresses.
pub const PREFIX_OCTETS: usize = 16;
/// Octets of addresses and TLVs. The format has room for 65,535; what balancers send stays below
/// 600, and a certificate or two is no business of ours.
pub const REST_OCTETS_MAX: usize = 4_096;

/// Who really connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The balancer itself, to see whether we live; or it does not say.
    Local,
    /// This client.
    Client(SocketAddr),
}

/// What came is no header that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidProxy {
    /// It does not begin with [`SIGNATURE`].
    Signature,
    /// Not version 2, or neither LOCAL nor PROXY.
    Version,
    /// Not TCP over IPv4 or IPv6.
    Family,
    /// Too few octets for its addresses.
    Short,
    /// More than [`REST_OCTETS_MAX`].
    Long,
}

impl std::fmt::Display for InvalidProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signature => "no PROXY v2 header",
            Self::Version => "a PROXY header of another version or command",
            Self::Family => "a PROXY header that is not for TCP",
            Self::Short => "a PROXY header without its addresses",
            Self::Long => "a PROXY header that is too long",
        })
    }
}

impl std::error::Error for InvalidProxy {}

/// Reads a header from the beginning of what has come so far: the source and the octets of the
/// header; none if more must come. The octets behind the header are not looked at.
pub fn parse(input: &[u8]) -> Result<Option<(Source, usize)>, InvalidProxy> {
    let here = input.len().min(SIGNATURE.len());
    if input.get(..here) != SIGNATURE.get(..here) {
        return Err(InvalidProxy::Signature);
    }
    let Some((prefix, rest)) = input.split_at_checked(PREFIX_OCTETS) else { return Ok(None) };
    let mut prefix = prefix.get(SIGNATURE.len()..).unwrap_or_default();
    let (version_and_command, family) = (prefix.get_u8(), prefix.get_u8());
    let octets = usize::from(prefix.get_u16());
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(InvalidProxy::Version),
    };
    if octets > REST_OCTETS_MAX {
        return Err(InvalidProxy::Long);
    }
    let Some(addresses) = rest.get(..octets) else { return Ok(None) };
    let source = if local { Source::Local } else { client(family, addresses)? };
    Ok(Some((source, PREFIX_OCTETS + octets)))
}

/// The octets of a header, once its length has come.
pub fn header_octets(input: &[u8]) -> Option<usize> {
    let mut length = input.get(PREFIX_OCTETS - 2..PREFIX_OCTETS)?;
    Some(PREFIX_OCTETS + usize::from(length.get_u16()))
}

/// Source address, destination address, source port, destination port.
fn client(family: u8, mut addresses: &[u8]) -> Result<Source, InvalidProxy> {
    let (address, skipped): (IpAddr, usize) = match family {
        // 2.2: "the receiver must ignore the address" of an unspecified family.
        0x00 => return Ok(Source::Local),
        0x11 => {
            let address = addresses.try_get_u32().map_err(|_| InvalidProxy::Short)?;
            (Ipv4Addr::from_bits(address).into(), 4)
        }
        0x21 => {
            let address = addresses.try_get_u128().map_err(|_| InvalidProxy::Short)?;
            (Ipv6Addr::from_bits(address).into(), 16)
        }
        _ => return Err(InvalidProxy::Family),
    };
    let mut ports = addresses.get(skipped..).unwrap_or_default();
    let port = ports.try_get_u16().map_err(|_| InvalidProxy::Short)?;
    ports.try_get_u16().map_err(|_| InvalidProxy::Short)?;
    Ok(Source::Client(SocketAddr::new(address.to_canonical(), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend([command, family]);
        octets.extend((rest.len() as u16).to_be_bytes());
        octets.extend(rest);
        octets
    }

    fn four() -> Vec<u8> {
        [&[192, 0, 2, 7, 10, 0, 0, 1][..], &4_711u16.to_be_bytes(), &25u16.to_be_bytes()].concat()
    }

    /// The answer to the whole; every shorter beginning must ask for more.
    fn check(octets: &[u8]) -> Result<Option<(Source, usize)>, InvalidProxy> {
        let whole = parse(octets);
        if let Ok(Some((_, length))) = whole {
            for end in 0..length {
                assert_eq!(parse(&octets[..end]), Ok(None), "{end} octets");
            }
        }
        whole
    }

    #[test]
    fn a_header_names_the_client_and_what_follows_is_left() {
        let mut octets = header(0x21, 0x11, &four());
        octets.extend(b"EHLO c\r\n");
        let client = Source::Client("192.0.2.7:4711".parse().unwrap());
        assert_eq!(check(&octets), Ok(Some((client, 28))));
        let six = ["2001:db8::7", "2001:db8::1"].map(|a| a.parse::<Ipv6Addr>().unwrap().octets());
        let rest = [&six.concat()[..], &[0, 25, 0, 25]].concat();
        let client = Source::Client("[2001:db8::7]:25".parse().unwrap());
        assert_eq!(check(&header(0x21, 0x21, &rest)), Ok(Some((client, 52))));
    }

    #[test]
    fn tlvs_are_skipped_up_to_their_bound() {
        let with = |octets: usize| header(0x21, 0x11, &[four(), vec![0xea; octets]].concat());
        let most = REST_OCTETS_MAX - 12;
        let (_, length) = check(&with(most)).unwrap().unwrap();
        assert_eq!(length, PREFIX_OCTETS + REST_OCTETS_MAX);
        assert_eq!(check(&with(most + 1)), Err(InvalidProxy::Long));
    }

    #[test]
    fn a_health_check_or_an_unknown_family_is_the_balancer_itself() {
        assert_eq!(check(&header(0x20, 0x00, &[])), Ok(Some((Source::Local, 16))));
        assert_eq!(check(&header(0x20, 0x11, &four())), Ok(Some((Source::Local, 28))));
        assert_eq!(check(&header(0x21, 0x00, &[1, 2, 3])), Ok(Some((Source::Local, 19))));
    }

    #[test]
    fn anything_else_is_refused_as_early_as_it_can_be() {
        assert_eq!(parse(b"EHLO"), Err(InvalidProxy::Signature));
        assert_eq!(parse(b"PROXY TCP4 192.0.2.7"), Err(InvalidProxy::Signature));
        assert_eq!(check(&header(0x11, 0x11, &four())), Err(InvalidProxy::Version));
        assert_eq!(check(&header(0x22, 0x11, &four())), Err(InvalidProxy::Version));
        assert_eq!(check(&header(0x21, 0x12, &four())), Err(InvalidProxy::Family), "UDP");
        assert_eq!(check(&header(0x21, 0x31, &[0; 216])), Err(InvalidProxy::Family), "a path");
        assert_eq!(check(&header(0x21, 0x11, &four()[..11])), Err(InvalidProxy::Short));
        assert_eq!(check(&header(0x21, 0x21, &four())), Err(InvalidProxy::Short));
    }

    #[test]
    fn a_mapped_address_is_the_one_it_maps() {
        let mapped = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets();
        let rest = [&mapped[..], &mapped, &[0, 25, 0, 25]].concat();
        let client = Source::Client("192.0.2.7:25".parse().unwrap());
        assert_eq!(check(&header(0x21, 0x21, &rest)), Ok(Some((client, 52))));
    }
}
