//! The URLs of a message that lead back to us, and where they lead.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::mail::address::Domain;
use crate::mail::address::Mailbox;
use crate::mail::envelope::RecipientIndex;
use crate::mail::id::QueueId;
use crate::tracking::keys::Keys;
use crate::tracking::return_path;
use crate::tracking::target::Target;
use crate::tracking::token;
use crate::tracking::token::Origin;
use crate::tracking::token::Payload;

/// The number of the link that nobody sees: who follows it follows everything.
pub const HONEYPOT_LINK: u16 = u16::MAX;
/// The longest base URL; with a token behind it, it must fit into a line (RFC 5322 2.1.1).
pub const BASE_URL_OCTETS_MAX: usize = 200;
/// Before the token of an open, in a URL's path.
pub const OPEN_PATH: &str = "/o/";
/// Before the token of a click.
pub const CLICK_PATH: &str = "/c/";
/// Before the token of an unsubscription.
pub const UNSUBSCRIBE_PATH: &str = "/u/";

/// Why links cannot be made with a base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// It is no absolute URL, or has a query or a fragment.
    #[error("not an absolute http or https URL without query and fragment")]
    NotAUrl,
    /// It is plain `http`, and not for this machine only: one-click unsubscription needs `https`
    /// (RFC 8058 3.1).
    #[error("it must be https, unless its host is this machine itself")]
    NotHttps,
    /// It is longer than [`BASE_URL_OCTETS_MAX`].
    #[error("longer than 200 octets")]
    TooLong,
}

/// What links are made with.
#[derive(Clone, Debug)]
pub struct Links {
    base_url: Box<str>,
    keys: Keys,
    returns: Option<Domain>,
}

/// An address in the domain to which reports come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// We made it, for this recipient of this message.
    Ours(QueueId, RecipientIndex),
    /// We did not.
    Forged,
}

impl Links {
    /// Links below this URL, signed with these keys.
    ///
    /// # Errors
    /// The URL is not one that links can be made with.
    pub fn new(base_url: &str, keys: Keys) -> Result<Self, InvalidBaseUrl> {
        let base_url = base_url.trim_end_matches('/');
        if base_url.len() > BASE_URL_OCTETS_MAX {
            return Err(InvalidBaseUrl::TooLong);
        }
        let target = Target::parse(base_url).filter(|url| !url.as_str().contains(['?', '#']));
        let target = target.ok_or(InvalidBaseUrl::NotAUrl)?;
        let (scheme, rest) = target.as_str().split_once("://").ok_or(InvalidBaseUrl::NotAUrl)?;
        if scheme.eq_ignore_ascii_case("http") && !is_this_machine(rest) {
            return Err(InvalidBaseUrl::NotHttps);
        }
        Ok(Self { base_url: base_url.into(), keys, returns: None })
    }

    /// The same links, signed with other keys.
    pub fn with_keys(&self, keys: Keys) -> Self {
        Self { keys, ..self.clone() }
    }

    /// The same links, with reports coming back to addresses in this domain.
    #[must_use]
    pub fn with_returns(self, domain: Option<Domain>) -> Self {
        Self { returns: domain, ..self }
    }

    /// Where reports about a recipient's message come back to, if they come back to us.
    pub fn return_path(&self, id: QueueId, recipient: RecipientIndex) -> Option<Mailbox> {
        let domain = self.returns.as_ref()?;
        let local_part = return_path::mint(id, recipient, &self.keys);
        Mailbox::parse(&format!("{local_part}@{domain}")).ok()
    }

    /// What an address is, if it is in the domain to which reports come back.
    pub fn returned(&self, mailbox: &Mailbox) -> Option<Return> {
        if self.returns.as_ref() != Some(mailbox.domain()) {
            return None;
        }
        Some(match return_path::verify(mailbox.local_part(), &self.keys) {
            Ok((id, recipient)) => Return::Ours(id, recipient),
            Err(_) => Return::Forged,
        })
    }

    /// The URL below which all of them lie, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What they are signed with.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where the pixel is.
    pub fn open(&self, origin: Origin) -> String {
        self.url(OPEN_PATH, &Payload::Open(origin))
    }

    /// The counted link to a target.
    pub fn click(&self, origin: Origin, link: u16, target: Target) -> String {
        self.url(CLICK_PATH, &Payload::Click { origin, link, target })
    }

    /// The link that unsubscribes a mailbox from a list; from all mail of the project if the list's
    /// name is empty.
    pub fn unsubscribe(
        &self,
        origin: Origin,
        project: &str,
        list: &str,
        mailbox: &Mailbox,
    ) -> String {
        let (project, list) = (project.into(), list.into());
        let payload = Payload::Unsubscribe { origin, project, list, mailbox: mailbox.clone() };
        self.url(UNSUBSCRIBE_PATH, &payload)
    }

    /// Where the link that nobody sees leads: to us.
    pub fn honeypot(&self, origin: Origin) -> Option<String> {
        let target = Target::parse(&format!("{}/", self.base_url))?;
        Some(self.click(origin, HONEYPOT_LINK, target))
    }

    /// Whether a URL is one of ours: such a link is never counted.
    pub fn is_ours(&self, url: &str) -> bool {
        let rest = url.strip_prefix(&*self.base_url).unwrap_or_default();
        [OPEN_PATH, CLICK_PATH, UNSUBSCRIBE_PATH].iter().any(|path| rest.starts_with(path))
    }

    fn url(&self, path: &str, payload: &Payload) -> String {
        format!("{}{path}{}", self.base_url, token::mint(payload, &self.keys))
    }
}

/// Whether the authority of a URL is the loopback interface (RFC 1122 3.2.1.3, RFC 4291 2.5.3).
fn is_this_machine(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let in_brackets = |host: &str| host.ends_with(']') || !host.contains(':');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if in_brackets(host) && !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_port = port.bytes().all(|octet| octet.is_ascii_digit());
    let is_loopback = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => literal.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    };
    is_port && (is_loopback || host == "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::keys::Key;
    use crate::tracking::token::Kind;
    use crate::tracking::token::verify;

    fn links(base_url: &str) -> Result<Links, InvalidBaseUrl> {
        let keys = Keys::new(Key::new(1, &[7; 32]).unwrap(), vec![]).unwrap();
        Links::new(base_url, keys)
    }

    fn origin() -> Origin {
        Origin { id: QueueId::from_u64(7), recipient: RecipientIndex(0), minted_at_secs: 9 }
    }

    #[test]
    fn a_base_url_is_https_or_of_this_machine() {
        for (url, kept) in [
            ("https://t.example.net", "https://t.example.net"),
            ("https://t.example.net/mail/", "https://t.example.net/mail"),
            ("http://127.0.0.1:8025/", "http://127.0.0.1:8025"),
            ("http://[::1]:80", "http://[::1]:80"),
            ("http://127.64.3.2:8025", "http://127.64.3.2:8025"),
            ("http://[::1]", "http://[::1]"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(links(url).unwrap().base_url(), kept);
        }
        for url in [
            "",
            "t.example.net",
            "ftp://t.example.net",
            "https://t.example/?a",
            "https://a#b",
            "http://::1",
        ] {
            assert_eq!(links(url).unwrap_err(), InvalidBaseUrl::NotAUrl, "{url}");
        }
        for url in [
            "http://t.example",
            "http://localhost.evil.example",
            "http://127.0.0.1:x.example",
            "http://128.0.0.1",
            "http://127.1",
            "http://[::2]:80",
            "http://[::1",
        ] {
            assert_eq!(links(url).unwrap_err(), InvalidBaseUrl::NotHttps, "{url}");
        }
        let of = |octets: usize| links(&format!("https://t.example/{}", "a".repeat(octets - 18)));
        assert!(of(BASE_URL_OCTETS_MAX).is_ok());
        assert_eq!(of(BASE_URL_OCTETS_MAX + 1).unwrap_err(), InvalidBaseUrl::TooLong);
    }

    #[test]
    fn links_say_what_they_are_for_and_are_known_as_ours() {
        let links = links("https://t.example").unwrap();
        let target = Target::of_link("https://example.net/").unwrap();
        let ann = Mailbox::parse("ann@example.net").unwrap();
        for (url, path, kind) in [
            (links.open(origin()), OPEN_PATH, Kind::Open),
            (links.click(origin(), 1, target), CLICK_PATH, Kind::Click),
            (links.honeypot(origin()).unwrap(), CLICK_PATH, Kind::Click),
            (links.unsubscribe(origin(), "p", "l", &ann), UNSUBSCRIBE_PATH, Kind::Unsubscribe),
        ] {
            assert!(links.is_ours(&url));
            let token = url.strip_prefix("https://t.example").unwrap().strip_prefix(path).unwrap();
            let payload = verify(kind, token, links.keys()).unwrap();
            assert_eq!(payload.origin(), &origin());
        }
        for url in ["https://t.example", "https://t.example.evil.example/u/", "https://x/u/"] {
            assert!(!links.is_ours(url), "{url}");
        }
    }
}
