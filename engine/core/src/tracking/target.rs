//! Where a counted link leads: an absolute `http` or `https` URL (RFC 3986) that every reader takes
//! for the same.
//!
//! It refuses what readers disagree about: user names before the host, backslashes, white space and
//! control characters inside, hosts that are not US-ASCII, an authority that is empty. A link that
//! is refused is not wrong, it is only not counted.

use std::fmt::Write;

/// A longer target is not counted: its token would not fit into what clients take for a URL.
pub const TARGET_OCTETS_MAX: usize = 2_000;

/// A URL that can be counted and can be written into a Location field as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Box<str>);

impl Target {
    /// The target that a link names; what is not US-ASCII behind the authority is percent-encoded
    /// (RFC 3987 3.1). None if it is not to be counted.
    pub fn of_link(url: &str) -> Option<Self> {
        normal(url).map(|url| Self(url.into()))
    }

    /// The target that was written down before; none if it could not have been.
    pub fn parse(url: &str) -> Option<Self> {
        let is_normal = url.is_ascii() && normal(url).as_deref() == Some(url);
        is_normal.then(|| Self(url.into()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn normal(url: &str) -> Option<String> {
    let url = url.trim_matches(is_white);
    let rest = after_scheme(url)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_authority(authority) {
        return None;
    }
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"\\\"<>".contains(&octet);
    if url.len() <= TARGET_OCTETS_MAX && url.bytes().all(plain) {
        return Some(url.to_owned());
    }
    let mut normal = String::with_capacity(url.len());
    for octet in url.bytes() {
        match octet {
            b'\\' | b'"' | b'<' | b'>' => return None,
            b'!'..=b'~' => normal.push(char::from(octet)),
            0x80.. => {
                // Writing to a string cannot fail.
                let _infallible = write!(normal, "%{octet:02X}");
            }
            _ => return None,
        }
    }
    (normal.len() <= TARGET_OCTETS_MAX).then_some(normal)
}

/// What HTML strips from around a URL.
const fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

/// What follows `http://` or `https://`, in any case (RFC 3986 3.1).
fn after_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    known.then_some(rest)
}

/// A host, perhaps with a port, and no user: `https://bank.example@evil.example/` is evil's.
fn is_authority(authority: &str) -> bool {
    let inside = |o: u8| o.is_ascii_alphanumeric() || b"-._~:[]".contains(&o);
    let begins = authority.bytes().next().is_some_and(|o| o.is_ascii_alphanumeric() || o == b'[');
    begins && authority.bytes().all(inside)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_taken_as_readers_take_them() {
        for (given, taken) in [
            ("https://example.net", "https://example.net"),
            ("HTTP://example.net:8080/a?b=c&d=e#f", "HTTP://example.net:8080/a?b=c&d=e#f"),
            (" \n https://example.net/ \t", "https://example.net/"),
            ("https://example.net/grün?ä", "https://example.net/gr%C3%BCn?%C3%A4"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
            ("https://xn--bcher-kva.example/%20", "https://xn--bcher-kva.example/%20"),
        ] {
            let target = Target::of_link(given).unwrap();
            assert_eq!(target.as_str(), taken, "{given}");
            assert_eq!(Target::parse(taken), Some(target));
        }
    }

    #[test]
    fn what_is_read_in_two_ways_is_not_counted() {
        for url in [
            "",
            "#top",
            "/path",
            "//evil.example",
            "\\\\evil.example",
            "mailto:ann@example.net",
            "tel:+49",
            "cid:logo",
            "javascript:alert(1)",
            "java\nscript://x",
            "data:text/html,x",
            "ftp://example.net/",
            "http:evil.example",
            "https:///evil.example",
            "https://",
            "https://?x",
            "https://bank.example@evil.example/",
            "https://example.net\\@evil.example/",
            "https://exa mple.net/",
            "https://example.net/a b",
            "https://example.net/\r\nSet-Cookie: x",
            "https://example.net/\0",
            "https://example.net/\"onload=",
            "https://example.net/<script>",
            "https://bücher.example/",
            "https://.example/",
        ] {
            assert_eq!(Target::of_link(url), None, "{url:?} was taken");
            assert_eq!(Target::parse(url), None, "{url:?} was taken");
        }
    }

    #[test]
    fn a_target_that_is_too_long_is_not_counted() {
        let of = |octets: usize| format!("https://example.net/{}", "a".repeat(octets - 20));
        assert!(Target::of_link(&of(TARGET_OCTETS_MAX)).is_some());
        assert_eq!(Target::of_link(&of(TARGET_OCTETS_MAX + 1)), None);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_taken_again_and_fits_into_a_header(url in "https?://[ -~\\PC]{0,60}") {
            if let Some(taken) = Target::of_link(&url) {
                let printable = taken.as_str().bytes().all(|octet| octet.is_ascii_graphic());
                prop_assert!(printable, "{taken:?}");
                prop_assert_eq!(Target::parse(taken.as_str()), Some(taken));
            }
        }
    }
}
