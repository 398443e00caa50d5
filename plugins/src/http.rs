//! What a plugin wants to ask another machine, and the answer: values. The asking is done in
//! another room, which also looks at the addresses that a name leads to; what is plainly not for
//! plugins is refused here already.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::time::Duration;

use serde::Serialize;

use crate::manifest::HttpPermission;

/// Octets of a URL.
const URL_OCTETS_MAX: usize = 2_048;
/// Header fields of a request.
const HEADERS_MAX: usize = 16;
/// Octets of a request's body.
const BODY_OCTETS_MAX: usize = 64 * 1024;

/// What a plugin wants to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpRequest {
    /// GET, POST and so on.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Its host, as it was permitted.
    pub host: String,
    /// Header fields.
    pub headers: Vec<(String, HeaderText)>,
    /// What is sent.
    pub body: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Octets of an answer.
    pub max_body: u64,
}

/// The value of a header field. The value of a secret is put in where the request is sent; scripts,
/// logs and faults only know its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeaderText {
    /// What stands before the secret, or all of it.
    pub text: String,
    /// The name of the secret behind it.
    pub secret: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpResponse {
    /// The status; 0 if there was no answer.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why something is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URL that we ask.
    #[error("{0}")]
    Url(&'static str),
    /// The manifest does not name the host.
    #[error("http to {0} is not permitted")]
    Host(String),
    /// The manifest does not name the method.
    #[error("{0} to {1} is not permitted")]
    Method(String, String),
    /// The address is of this machine or its network.
    #[error("{0} is no public address")]
    Private(String),
}

/// The values of secrets; they are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Secrets by name.
    pub const fn new(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// Whether there is one of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The header fields of a request, with the secrets in their place.
    pub fn fill(&self, headers: &[(String, HeaderText)]) -> Vec<(String, String)> {
        let value = |text: &HeaderText| {
            let secret = text.secret.as_ref().and_then(|name| self.0.get(name));
            format!("{}{}", text.text, secret.map_or("", String::as_str))
        };
        headers.iter().map(|(name, text)| (name.clone(), value(text))).collect()
    }

    /// A text without any of the secrets.
    pub fn masked(&self, text: String) -> String {
        // One letter is no secret, and would tear the text to pieces.
        let known = self.0.values().filter(|secret| secret.len() > 3);
        known.fold(text, |text, secret| match text.contains(secret.as_str()) {
            true => text.replace(secret.as_str(), "***"),
            false => text,
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl HttpRequest {
    /// A request that the permissions allow.
    pub fn try_new(
        method: &str,
        url: &str,
        headers: Vec<(String, HeaderText)>,
        body: &str,
        permissions: &[HttpPermission],
    ) -> Result<Self, Refused> {
        if url.len() > URL_OCTETS_MAX || !url.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Refused::Url("a URL has at most 2,048 characters of ASCII, no spaces"));
        }
        let host = host_of(url)?;
        if is_own_name(&host) {
            return Err(Refused::Private(host));
        }
        if let Some(address) = literal(&host)
            && !is_public(address)
        {
            return Err(Refused::Private(host));
        }
        let permitted = permissions.iter().filter(|permission| matches_host(permission, &host));
        let mut named = false;
        for permission in permitted {
            named = true;
            if permission.methods.iter().any(|known| known == method) {
                check_size(&headers, body)?;
                return Ok(Self {
                    method: method.to_owned(),
                    url: url.to_owned(),
                    host,
                    headers,
                    body: body.to_owned(),
                    timeout: permission.timeout,
                    max_body: permission.max_body,
                });
            }
        }
        Err(if named { Refused::Method(method.to_owned(), host) } else { Refused::Host(host) })
    }
}

fn check_size(headers: &[(String, HeaderText)], body: &str) -> Result<(), Refused> {
    if headers.len() > HEADERS_MAX {
        return Err(Refused::Url("a request has at most 16 header fields"));
    }
    let token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    for (name, text) in headers {
        if name.is_empty() || !name.chars().all(token) || name.eq_ignore_ascii_case("host") {
            return Err(Refused::Url("this is no name of a header field that plugins write"));
        }
        if text.text.chars().any(char::is_control) {
            return Err(Refused::Url("a header field is one line"));
        }
    }
    if body.len() > BODY_OCTETS_MAX {
        return Err(Refused::Url("what is sent has at most 64 KiB"));
    }
    Ok(())
}

/// The host of a URL, in small letters, without its port. Names of users are refused: they make one
/// host look like another.
fn host_of(url: &str) -> Result<String, Refused> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or(Refused::Url("a URL begins with https:// or http://"))?;
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(Refused::Url("a URL names no user"));
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() || host.contains('%') {
        return Err(Refused::Url("the URL has no host"));
    }
    Ok(host)
}

fn matches_host(permission: &HttpPermission, host: &str) -> bool {
    let named = permission.host.to_ascii_lowercase();
    match named.strip_prefix('*') {
        Some(ending) => host.ends_with(ending),
        None => host == named,
    }
}

/// Names that lead home without asking DNS.
fn is_own_name(host: &str) -> bool {
    let known = ["localhost", "metadata.google.internal", "metadata"];
    known.contains(&host) || [".localhost", ".local", ".internal"].iter().any(|e| host.ends_with(e))
}

/// An address written in any of the ways that resolvers take: `127.1`, `0x7f000001`, `2130706433`.
fn literal(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let parts: Vec<_> = host.split('.').map(part).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let room = 32 - 8 * u32::try_from(first.len()).ok()?.min(4);
    let mut address: u64 = 0;
    for part in first {
        address = (address << 8) | (part & 0xff);
    }
    let address = address.checked_shl(room)? | last;
    Some(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(address).unwrap_or_default())))
}

fn part(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

/// Whether an address is of the internet: not of this machine, its network, or its cloud's data
/// about it. The room that asks uses it for what a name leads to.
pub const fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18))
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4() {
        return is_public_v4(inner);
    }
    let [a, b, .., g, h] = address.segments();
    if a == 0x64 && b == 0xff9b {
        // NAT64 (RFC 6052): the last 32 bits are the address that is meant.
        let inner = Ipv4Addr::from_bits(((g as u32) << 16) | h as u32);
        return is_public_v4(inner);
    }
    // 2000::/3 without documentation and 6to4, which hides another address.
    a & 0xe000 == 0x2000 && !(a == 0x2001 && (b == 0xdb8 || b == 0)) && a != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> String {
        let permission = HttpPermission {
            host: "api.shop.example".to_owned(),
            methods: vec!["GET".to_owned()],
            timeout: Duration::from_secs(1),
            max_body: 10,
        };
        let any = HttpPermission { host: "*.wide.example".to_owned(), ..permission.clone() };
        match HttpRequest::try_new("GET", url, Vec::new(), "", &[permission, any]) {
            Ok(request) => request.host,
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn only_listed_hosts_are_asked() {
        assert_eq!(check("https://api.shop.example/c/1?x=2"), "api.shop.example");
        assert_eq!(check("https://API.shop.example.:8443/"), "api.shop.example");
        assert_eq!(check("https://a.wide.example/"), "a.wide.example");
        assert_eq!(check("https://wide.example/"), "http to wide.example is not permitted");
        assert_eq!(check("https://evil.example/"), "http to evil.example is not permitted");
        assert_eq!(check("https://api.shop.example@evil.example/"), "a URL names no user");
        assert_eq!(
            check("https://evil.example\\.api.shop.example/"),
            "http to evil.example is not permitted"
        );
        assert_eq!(check("file:///etc/passwd"), "a URL begins with https:// or http://");
        assert_eq!(
            check("https://api.shop.example/\r\nX: y"),
            "a URL has at most 2,048 characters of ASCII, no spaces"
        );
    }

    #[test]
    fn no_way_to_write_an_own_address_is_taken() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "0",
            "10.1.2.3",
            "169.254.169.254",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "localhost",
            "a.localhost",
            "metadata.google.internal",
            "localhost.",
        ] {
            let said = check(&format!("http://{host}/latest/meta-data"));
            assert!(said.ends_with("is no public address"), "{host}: {said}");
        }
        assert!(is_public("2606:4700::1111".parse().unwrap()));
        assert!(is_public("9.9.9.9".parse().unwrap()));
    }

    #[test]
    fn secrets_are_put_in_late_and_masked_elsewhere() {
        let secrets = Secrets::new([("key".to_owned(), "hunter22".to_owned())].into());
        let text = HeaderText { text: "Bearer ".to_owned(), secret: Some("key".to_owned()) };
        let filled = secrets.fill(&[("Authorization".to_owned(), text)]);
        assert_eq!(filled, [("Authorization".to_owned(), "Bearer hunter22".to_owned())]);
        assert_eq!(secrets.masked("it is hunter22!".to_owned()), "it is ***!");
        assert_eq!(format!("{secrets:?}"), "{\"key\"}");
    }
}
