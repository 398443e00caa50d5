//! Where mail for a domain goes (RFC 5321 5.1, RFC 7505).

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use hickory_proto::rr::RecordType;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use rand::seq::SliceRandom;

use maily_core::mail::address::Domain;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;

/// Mail hosts of a domain that are tried.
pub const HOSTS_MAX: usize = 10;
/// Addresses of a mail host that are tried, of each family.
pub const ADDRESSES_MAX: usize = 4;
/// How long a route is used before it is looked up again.
pub const ROUTE_LIFE: Duration = Duration::from_secs(300);

/// Where a domain's mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What the domains share that go to the same hosts.
    pub site: Box<str>,
    /// The hosts in the order in which they are tried.
    pub hosts: Vec<Box<str>>,
    /// Their port.
    pub port: u16,
}

/// Finds routes.
pub struct Resolver {
    dns: TokioResolver,
    port: u16,
    fixed: Option<(Box<str>, u16)>,
}

fn failed(class: u8, subject: u16, detail: u16, text: &str) -> Outcome {
    let status = EnhancedStatus::new(class, subject, detail);
    let diagnosis = Diagnosis::ours(status, Blame::Network, text);
    match class {
        5 => Outcome::Bounced { scope: Scope::Destination, diagnosis },
        _ => Outcome::Deferred { scope: Scope::Destination, diagnosis },
    }
}

enum Absence {
    /// The name does not exist.
    Name,
    /// It has no such record.
    Record,
    /// Nobody could say.
    Unknown(String),
}

fn absence(error: &NetError) -> Absence {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Absence::Name,
            ResponseCode::NoError => Absence::Record,
            code => Absence::Unknown(code.to_string()),
        },
        other => Absence::Unknown(other.to_string()),
    }
}

impl Resolver {
    /// A resolver that asks these name servers, or the system's if there are none. Mail hosts are
    /// reached at `port`; a `fixed` next hop takes all mail.
    ///
    /// # Errors
    /// The system's configuration could not be read.
    pub fn new(
        servers: &[SocketAddr],
        timeout: Duration,
        port: u16,
        fixed: Option<(Box<str>, u16)>,
    ) -> Result<Self, String> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if servers.is_empty() {
            TokioResolver::builder(provider).map_err(|error| error.to_string())?
        } else {
            let servers = servers.iter().map(|server| {
                let mut config = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut config.connections {
                    connection.port = server.port();
                }
                config
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, provider)
        };
        let options = builder.options_mut();
        options.timeout = timeout;
        options.cache_size = 100_000;
        options.use_hosts_file = ResolveHosts::Never;
        let dns = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { dns, port, fixed })
    }

    /// The route of a domain, or what becomes of its mail if there is none.
    pub async fn route(&self, domain: &Domain) -> Result<Route, Outcome> {
        if let Some((host, port)) = &self.fixed {
            return Ok(Route { site: host.clone(), hosts: vec![host.clone()], port: *port });
        }
        if domain.literal().is_some() {
            let host: Box<str> = domain.as_str().into();
            return Ok(Route { site: host.clone(), hosts: vec![host], port: self.port });
        }
        let name = format!("{domain}.");
        match self.dns.lookup(name.as_str(), RecordType::MX).await {
            Ok(lookup) => {
                let exchanges = lookup.answers().iter().filter_map(|record| match &record.data {
                    RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
                    _ => None,
                });
                let exchanges: Vec<_> = exchanges.collect();
                if exchanges.is_empty() { self.implicit(domain) } else { self.explicit(exchanges) }
            }
            Err(error) => match absence(&error) {
                Absence::Name => Err(failed(5, 1, 2, "the domain does not exist")),
                // RFC 5321 5.1: the domain itself, but only where it has no MX.
                Absence::Record => self.implicit(domain),
                Absence::Unknown(why) => {
                    Err(failed(4, 4, 3, &format!("the MX of {domain} could not be found: {why}")))
                }
            },
        }
    }

    fn implicit(&self, domain: &Domain) -> Result<Route, Outcome> {
        let host: Box<str> = domain.as_str().into();
        Ok(Route { site: host.clone(), hosts: vec![host], port: self.port })
    }

    fn explicit(&self, mut exchanges: Vec<(u16, String)>) -> Result<Route, Outcome> {
        // RFC 7505 3: a null MX stands alone; beside others it is ignored.
        exchanges.retain(|(_, host)| host != ".");
        if exchanges.is_empty() {
            return Err(failed(5, 1, 10, "the domain takes no mail (null MX)"));
        }
        // RFC 5321 5.1: equal preference in random order.
        exchanges.shuffle(&mut rand::rng());
        exchanges.sort_by_key(|(preference, _)| *preference);
        exchanges.truncate(HOSTS_MAX);
        let best = exchanges.first().map(|(preference, _)| *preference);
        let name = |host: &str| host.trim_end_matches('.').to_ascii_lowercase();
        let same = exchanges.iter().filter(|(preference, _)| Some(*preference) == best);
        let mut site: Vec<_> = same.map(|(_, host)| name(host)).collect();
        site.sort();
        site.dedup();
        let hosts = exchanges.iter().map(|(_, host)| name(host).into()).collect();
        Ok(Route { site: site.join(",").into(), hosts, port: self.port })
    }

    /// The addresses of a host, IPv6 first.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Some(literal) = Domain::parse(host).ok().and_then(|domain| domain.literal()) {
            return Ok(vec![literal]);
        }
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let name = format!("{host}.");
        let (v6, v4) = tokio::join!(
            self.dns.lookup(name.as_str(), RecordType::AAAA),
            self.dns.lookup(name.as_str(), RecordType::A)
        );
        let mut found = Vec::new();
        let mut why = String::new();
        for lookup in [v6, v4] {
            match lookup {
                Ok(lookup) => {
                    let addresses =
                        lookup.answers().iter().filter_map(|record| match &record.data {
                            RData::A(a) => Some(IpAddr::V4(a.0)),
                            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                            _ => None,
                        });
                    found.extend(addresses.take(ADDRESSES_MAX));
                }
                Err(error) => why = error.to_string(),
            }
        }
        if found.is_empty() { Err(format!("{host} has no address: {why}")) } else { Ok(found) }
    }
}
