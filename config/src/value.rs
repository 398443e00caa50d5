//! The values that TOML has no type for: times, sizes, rates, networks, and where secrets lie.
//!
//! Each is refused with a text that shows a right one. A unit is never guessed.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use maily_core::mail::address::Domain;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;

/// The text for a secret that was written out. The value is not repeated.
pub(crate) const SECRET_WRITTEN: &str = concat!(
    "a secret is not written here: say { file = \"/path\" }, { env = \"NAME\" } ",
    "or { credential = \"NAME\" }"
);

/// Splits `30s` into its number and its unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    Some((number.parse().ok()?, unit))
}

/// Reads a time: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Reads a size: a whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// Reads a network, `192.0.2.0/24`, or a single address, `::1`.
pub fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// What a switch is that is on unless it is switched off.
pub(crate) const fn yes() -> bool {
    true
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is not a time: write a whole number and ms, s, m, h or d, such as \"30s\""
        ))
    })
}

pub(crate) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    parse_size(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is not a size: write a whole number and B, KiB, MiB, GiB or TiB, \
             such as \"10MiB\""
        ))
    })
}

pub(crate) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let mut found = Vec::new();
    for text in Vec::<String>::deserialize(from)? {
        found.push(parse_network(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a network: write one such as \"192.0.2.0/24\" or \"::1\""
            ))
        })?);
    }
    Ok(found)
}

/// So many in so long: `100/s`, `1000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long: a second, a minute, an hour or a day.
    pub per: Duration,
}

impl Rate {
    /// So many in a second.
    pub(crate) const fn per_second(count: u32) -> Self {
        Self { count, per: Duration::from_secs(1) }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (count, unit) = text.split_once('/')?;
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            let plain = count.bytes().all(|o| o.is_ascii_digit());
            let count = count.parse().ok().filter(|count| plain && *count > 0)?;
            Some(Self { count, per: Duration::from_secs(seconds) })
        };
        read().ok_or_else(|| {
            format!(
                "`{text}` is not a rate: write a number above 0 and /s, /m, /h or /d, \
                 such as \"100/s\""
            )
        })
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What links begin with: `https://links.example.net`, perhaps with a path, without a `/` at the
/// end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&octet);
        let good = host.is_some_and(|host| !host.is_empty())
            && text.bytes().all(plain)
            && !text.ends_with('/');
        if good {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is not what links can begin with: write one such as \
             \"https://links.example.net\", without a / at its end"
        ))
    }
}

/// Where a secret lies. The secret itself is in no file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The first line of a file: `{ file = "/etc/maily/secrets/relay" }`.
    File(PathBuf),
    /// A variable of the environment: `{ env = "MAILY_RELAY" }`.
    Env(String),
    /// A credential that systemd hands over (`LoadCredential=`): `{ credential = "relay" }`.
    Credential(String),
}

/// The variable by which systemd tells where the credentials of a service are.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A secret's text. It has no `Display`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The secret, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Secret {
    /// Fetches the secret. The error names the place, never the value.
    pub fn read(&self) -> Result<SecretText, String> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read the secret in {}: {error}", path.display()))
        };
        let text = match self {
            Self::File(path) => read(path)?,
            Self::Credential(name) => {
                let folder = std::env::var_os(CREDENTIALS).ok_or_else(|| {
                    format!("there is no credential {name}: {CREDENTIALS} is not set")
                })?;
                read(&Path::new(&folder).join(name))?
            }
            Self::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment has no readable variable {name}"))?,
        };
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(SecretText(line.to_owned())),
            _ => Err(match self {
                Self::File(path) => format!("the secret in {} is empty", path.display()),
                Self::Env(name) => format!("the secret in the variable {name} is empty"),
                Self::Credential(name) => format!("the credential {name} is empty"),
            }),
        }
    }
}

struct SecretVisitor;

impl<'de> serde::de::Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ file = \"/path\" }, { env = \"NAME\" } or { credential = \"NAME\" }")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Secret, E> {
        Err(E::custom(SECRET_WRITTEN))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom(SECRET_WRITTEN))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom(SECRET_WRITTEN))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let refuse = || A::Error::custom(SECRET_WRITTEN);
        let Some(key) = map.next_key::<String>()? else {
            return Err(refuse());
        };
        let found = match key.as_str() {
            "file" => Secret::File(map.next_value::<PathBuf>()?),
            "env" => Secret::Env(map.next_value::<String>()?),
            "credential" => {
                let name = map.next_value::<String>()?;
                if name.is_empty() || name.contains('/') || name == ".." {
                    return Err(A::Error::custom("a credential is a name, not a path"));
                }
                Secret::Credential(name)
            }
            _ => return Err(refuse()),
        };
        if map.next_key::<String>()?.is_some() {
            return Err(refuse());
        }
        Ok(found)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SecretVisitor)
    }
}

/// An argon2 hash in the PHC string form, `$argon2id$v=19$…`. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = ["$argon2id$", "$argon2i$", "$argon2d$"];
        if known.iter().any(|start| text.starts_with(start)) && text.split('$').count() >= 5 {
            return Ok(Self(text));
        }
        Err("this is not an argon2 hash in PHC form, such as \"$argon2id$v=19$m=…$salt$hash\"")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(password hash)")
    }
}

/// Whom a route is for: `*` for every domain without its own, one domain, or all below one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum RouteDomain {
    /// Every domain that has no route of its own.
    Any,
    /// This domain.
    Name(Domain),
    /// All domains below this one: `.example.net`.
    Below(Domain),
}

impl fmt::Display for RouteDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, ".{domain}"),
        }
    }
}

impl TryFrom<String> for RouteDomain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (name, make): (_, fn(Domain) -> Self) = match text.strip_prefix('.') {
            Some(above) => (above, Self::Below),
            None => (text.as_str(), Self::Name),
        };
        Domain::parse(name).map(make).map_err(|_| format!("`{text}` is neither \"*\" nor a domain"))
    }
}

/// A host that takes mail: `relay.example.net`, `relay.example.net:587`, `192.0.2.1`,
/// `[2001:db8::1]:587`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Its name or address.
    pub host: String,
    /// Its port, where it is given.
    pub port: Option<u16>,
}

impl NextHop {
    /// Whether it is surely this machine: an address from which nothing leaves.
    pub fn is_loopback(&self) -> bool {
        self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl FromStr for NextHop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            if let Ok(address) = text.parse::<SocketAddr>() {
                return Some((address.ip().to_string(), Some(address.port())));
            }
            if text.parse::<IpAddr>().is_ok() {
                return Some((text.to_owned(), None));
            }
            let (name, port) = match text.split_once(':') {
                Some((name, port)) => (name, Some(port.parse().ok()?)),
                None => (text, None),
            };
            let domain = Domain::parse(name).ok()?;
            let host = domain.literal().map_or_else(|| domain.to_string(), |ip| ip.to_string());
            Some((host, port))
        };
        match read() {
            Some((host, port)) if port != Some(0) => Ok(Self { host, port }),
            _ => {
                Err(format!("`{text}` is not a host: write one such as \"relay.example.net:587\""))
            }
        }
    }
}

/// One host, or several that are tried in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextHops(pub Vec<NextHop>);

impl<'de> Deserialize<'de> for NextHops {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a host, or a list of hosts")]
        enum Written {
            One(String),
            Many(Vec<String>),
        }
        let written = match Written::deserialize(from)? {
            Written::One(text) => vec![text],
            Written::Many(texts) => texts,
        };
        let hosts = written.iter().map(|text| text.parse().map_err(D::Error::custom));
        hosts.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_and_rates_need_their_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("5d"), Some(Duration::from_secs(432_000)));
        for wrong in ["", "5", "s", "-5s", "5 s", "5S", "99999999999999999d", "1.5h"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        assert_eq!(parse_size("64KiB"), Some(65_536));
        for wrong in ["64", "64kb", "64MB", "99999999999TiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
        let rate: Rate = "1000/h".parse().unwrap();
        assert_eq!(rate, Rate { count: 1000, per: Duration::from_secs(3600) });
        for wrong in ["0/s", "5", "5/w", "+5/s", "/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_next_hop_is_a_name_or_an_address_with_or_without_a_port() {
        let read = |text: &str| text.parse::<NextHop>().map(|hop| (hop.host, hop.port));
        let hop = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(read("Relay.example.net"), hop("relay.example.net", None));
        assert_eq!(read("relay.example.net:587"), hop("relay.example.net", Some(587)));
        assert_eq!(read("192.0.2.1:25"), hop("192.0.2.1", Some(25)));
        assert_eq!(read("2001:db8::1"), hop("2001:db8::1", None));
        assert_eq!(read("[2001:db8::1]:587"), hop("2001:db8::1", Some(587)));
        assert_eq!(read("[192.0.2.1]"), hop("192.0.2.1", None));
        for wrong in ["", "a b", "relay:0", "relay:", "relay:70000", "relay:25:26", ":25"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_route_is_for_one_domain_or_those_below_it_or_all() {
        let read = |text: &str| RouteDomain::try_from(text.to_owned());
        let domain = |text| Domain::parse(text).unwrap();
        assert_eq!(read("*"), Ok(RouteDomain::Any));
        assert_eq!(read("a.example"), Ok(RouteDomain::Name(domain("a.example"))));
        assert_eq!(read(".a.example"), Ok(RouteDomain::Below(domain("a.example"))));
        assert!(read("..a.example").is_err() && read(".").is_err() && read("").is_err());
    }

    #[test]
    fn a_secret_is_read_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay");
        std::fs::write(&path, "hunter2\n").unwrap();
        let text = Secret::File(path.clone()).read().unwrap();
        assert_eq!(text.reveal(), "hunter2");
        assert_eq!(format!("{text:?}"), "(secret)");
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::File(path).read().unwrap_err().ends_with("is empty"));
        for wrong in ["{ credential = \"a/b\" }", "{ credential = \"..\" }", "{ file = 1 }"] {
            let read = toml::from_str::<toml::Table>(&format!("a = {wrong}"));
            let value = read.unwrap().remove("a").unwrap();
            assert!(value.try_into::<Secret>().is_err(), "{wrong}");
        }
        let missing = Secret::Env("MAILY_NO_SUCH_VARIABLE".to_owned()).read();
        assert!(missing.unwrap_err().contains("MAILY_NO_SUCH_VARIABLE"));
    }
}
