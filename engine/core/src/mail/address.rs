//! Mail addresses (RFC 5321 4.1.2, RFC 6531 3.3): parsed once at the border, valid ever after.
//!
//! A [`Mailbox`] that exists can be written into a command or a header as it is: it holds no CR,
//! LF, NUL or other control character, and its local part is quoted where it must be. Domains are
//! kept in lower case and as A-labels (RFC 5890), so that equal domains are equal strings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// RFC 5321 4.5.3.1.1: a local part has at most 64 octets.
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// RFC 5321 4.5.3.1.2: a domain has at most 255 octets.
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// RFC 5321 4.5.3.1.3: a path has at most 256 octets, with its angle brackets.
pub const PATH_OCTETS_MAX: usize = 256;
/// RFC 1035 2.3.4: a label has at most 63 octets.
pub const LABEL_OCTETS_MAX: usize = 63;

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidAddress {
    /// There is no `@` with something before and after it.
    NoAt,
    /// The local part is neither a dot-string nor a quoted string.
    LocalPart,
    /// The local part is longer than [`LOCAL_PART_OCTETS_MAX`].
    LocalPartTooLong,
    /// The domain is no domain name and no address literal.
    Domain,
    /// The domain is longer than [`DOMAIN_OCTETS_MAX`], or one of its labels than 63.
    DomainTooLong,
    /// The whole is longer than [`PATH_OCTETS_MAX`].
    PathTooLong,
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAt => "an address needs a local part, an @ and a domain",
            Self::LocalPart => "the part before the @ is not valid",
            Self::LocalPartTooLong => "the part before the @ is longer than 64 octets",
            Self::Domain => "the part after the @ is not a domain name or address literal",
            Self::DomainTooLong => "the domain is longer than 255 octets, or a label than 63",
            Self::PathTooLong => "the address is longer than 254 octets",
        })
    }
}

impl std::error::Error for InvalidAddress {}

/// A domain name in lower case and A-labels, without a final dot, or an address literal in its
/// brackets (`[192.0.2.1]`, `[ipv6:2001:db8::1]`).
///
/// Cheap to clone: the text is shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Arc<str>);

impl Domain {
    /// Parses a domain name or an address literal. U-labels become A-labels.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        if text.len() > DOMAIN_OCTETS_MAX {
            return Err(InvalidAddress::DomainTooLong);
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Self::of_literal(inner);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| InvalidAddress::Domain)?
        };
        if ascii.len() > DOMAIN_OCTETS_MAX {
            return Err(InvalidAddress::DomainTooLong);
        }
        for label in ascii.split('.') {
            if label.len() > LABEL_OCTETS_MAX {
                return Err(InvalidAddress::DomainTooLong);
            }
            if !is_label(label.as_bytes()) {
                return Err(InvalidAddress::Domain);
            }
        }
        Ok(Self(ascii.into()))
    }

    fn of_literal(inner: &str) -> Result<Self, InvalidAddress> {
        let lower = inner.to_ascii_lowercase();
        let valid = match lower.strip_prefix("ipv6:") {
            Some(rest) => rest.parse::<Ipv6Addr>().is_ok(),
            None => lower.parse::<Ipv4Addr>().is_ok(),
        };
        if !valid {
            return Err(InvalidAddress::Domain);
        }
        Ok(Self(format!("[{lower}]").into()))
    }

    /// The domain as it is written in commands and headers.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of an address literal; none for a name.
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        match inner.strip_prefix("ipv6:") {
            Some(rest) => rest.parse().ok().map(IpAddr::V6),
            None => inner.parse().ok().map(IpAddr::V4),
        }
    }
}

/// Letters, digits, hyphens inside; an underscore is no host name but occurs in mail domains' DNS.
fn is_label(label: &[u8]) -> bool {
    let inside = |o: &u8| o.is_ascii_alphanumeric() || *o == b'-';
    !label.is_empty()
        && label.iter().all(inside)
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Domain {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0.as_ref().to_owned()
    }
}

/// One mailbox: `local-part@domain`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    local_part: Box<str>,
    domain: Domain,
}

impl Mailbox {
    /// Parses `local-part@domain` without angle brackets. Source routes are not addresses.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        if text.len() + 2 > PATH_OCTETS_MAX {
            return Err(InvalidAddress::PathTooLong);
        }
        let at = text.rfind('@').ok_or(InvalidAddress::NoAt)?;
        let (local_part, domain) = (text.get(..at), text.get(at + 1..));
        let (Some(local_part), Some(domain)) = (local_part, domain) else {
            return Err(InvalidAddress::NoAt);
        };
        if local_part.is_empty() || domain.is_empty() {
            return Err(InvalidAddress::NoAt);
        }
        if local_part.len() > LOCAL_PART_OCTETS_MAX {
            return Err(InvalidAddress::LocalPartTooLong);
        }
        if !is_dot_string(local_part) && !is_quoted_string(local_part) {
            return Err(InvalidAddress::LocalPart);
        }
        let domain = Domain::parse(domain)?;
        // A-labels are longer than what they stand for: what we keep must fit too, or it could be
        // written to disk and not be read back.
        if local_part.len() + 1 + domain.as_str().len() + 2 > PATH_OCTETS_MAX {
            return Err(InvalidAddress::PathTooLong);
        }
        Ok(Self { local_part: local_part.into(), domain })
    }

    /// The local part as it was given, with its quotes if it has some.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether the address can be sent to a server without SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii()
    }
}

/// `Atom *("." Atom)` of RFC 5321 4.1.2, with the UTF8-non-ascii of RFC 6531 3.3.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 3.2.3 `atext`; beyond ASCII all that is not a control or a separator.
fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_control() && !c.is_whitespace() && c != '\u{FFFD}'
    }
}

/// `DQUOTE *QcontentSMTP DQUOTE` of RFC 5321 4.1.2.
fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return false;
    };
    let mut escaped = false;
    for c in inner.chars() {
        let printable = matches!(c, ' '..='~') || !c.is_ascii() && is_atext(c);
        if !printable || (!escaped && c == '"') {
            return false;
        }
        escaped = !escaped && c == '\\';
    }
    text.len() >= 2 && !escaped
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local_part, self.domain)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mailbox {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Mailbox {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::parse(&text)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_mailboxes_are_kept_as_they_are_with_the_domain_in_lower_case() {
        for (given, kept) in [
            ("ann@example.net", "ann@example.net"),
            ("Ann.B+tag@Example.NET", "Ann.B+tag@example.net"),
            (r#""a b"@example.net"#, r#""a b"@example.net"#),
            (r#""a\"b"@example.net"#, r#""a\"b"@example.net"#),
            (r#""a@b"@example.net"#, r#""a@b"@example.net"#),
            ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
            ("ann@[IPv6:2001:db8::1]", "ann@[ipv6:2001:db8::1]"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("jürgen@example.net", "jürgen@example.net"),
        ] {
            assert_eq!(Mailbox::parse(given).unwrap().to_string(), kept);
        }
    }

    #[test]
    fn what_could_inject_or_confuse_is_refused() {
        for text in [
            "ann",
            "@example.net",
            "ann@",
            "a..b@example.net",
            ".a@example.net",
            "a.@example.net",
            "a b@example.net",
            "a>b@example.net",
            "a\r\n@example.net",
            "a\0@example.net",
            "\"a\r\"@example.net",
            "\"a@example.net",
            "\"a\"b\"@example.net",
            "\"\\\"@example.net",
            "\"@example.net",
            "ann@exa mple.net",
            "ann@-example.net",
            "ann@example-.net",
            "ann@example..net",
            "ann@example.net.",
            "ann@[192.0.2]",
            "ann@[tag:x]",
            "ann@ex_a.net",
            "ann@example.net\n",
            "ann\u{85}@example.net",
            "a\u{2028}@example.net",
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn lengths_are_bounded_as_rfc_5321_4_5_3_1_says() {
        let local = |n: usize| format!("{}@example.net", "a".repeat(n));
        assert!(Mailbox::parse(&local(LOCAL_PART_OCTETS_MAX)).is_ok());
        assert_eq!(
            Mailbox::parse(&local(LOCAL_PART_OCTETS_MAX + 1)),
            Err(InvalidAddress::LocalPartTooLong)
        );
        let label = "a".repeat(LABEL_OCTETS_MAX);
        assert!(Domain::parse(&label).is_ok());
        assert_eq!(Domain::parse(&format!("{label}a")), Err(InvalidAddress::DomainTooLong));
        let domain = [label.as_str(); 4].join(".");
        assert!(Domain::parse(&domain).is_ok());
        assert_eq!(Domain::parse(&format!("{domain}.a")), Err(InvalidAddress::DomainTooLong));
        assert_eq!(Mailbox::parse(&format!("a@{domain}")), Err(InvalidAddress::PathTooLong));
    }

    #[test]
    fn an_address_that_is_too_long_in_a_labels_is_too_long() {
        // As an A-label each has six octets more.
        let domain = ["aaaaaaaü"; 13].join(".");
        let text = |octets: usize| format!("{}@{domain}", "a".repeat(octets));
        let kept = Mailbox::parse(&text(40)).unwrap();
        assert_eq!(Mailbox::parse(&kept.to_string()), Ok(kept));
        assert!(text(64).len() + 2 <= PATH_OCTETS_MAX);
        assert_eq!(Mailbox::parse(&text(64)), Err(InvalidAddress::PathTooLong));
    }

    #[test]
    fn a_literal_tells_its_address() {
        let address = |text: &str| Domain::parse(text).unwrap().literal();
        assert_eq!(address("[192.0.2.1]"), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(address("[IPv6:::1]"), Some("::1".parse().unwrap()));
        assert_eq!(address("example.net"), None);
    }
}
