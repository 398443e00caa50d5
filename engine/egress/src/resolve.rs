//! Where mail for a domain goes (RFC 5321 5.1, RFC 7505), and the addresses of its hosts.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use hickory_proto::rr::RecordType;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use rand::seq::SliceRandom;
use tokio::sync::Semaphore;

use maily_core::clock::Clock;
use maily_core::mail::address::Domain;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;

use crate::memory::Memory;
use crate::route::Fixed;
use crate::route::FixedRoutes;
use crate::route::Hop;
use crate::route::Route;

/// Mail hosts of a domain that are tried.
pub const HOSTS_MAX: usize = 10;
/// Addresses of a mail host that are tried, of each family.
pub const ADDRESSES_MAX: usize = 4;
/// How long a route is used before it is looked up again.
pub const ROUTE_LIFE: Duration = Duration::from_secs(300);
/// Questions under way at once.
const LOOKUPS_MAX: usize = 1_000;
/// Answers that are kept.
const CACHE_ENTRIES: u64 = 100_000;

/// What is ours, and so is no next hop.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Our names, in lower case.
    pub names: Vec<Box<str>>,
    /// Where we listen for SMTP. An unspecified address stands for all of this machine.
    pub places: Vec<SocketAddr>,
}

/// How names are looked up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name servers; none: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take.
    pub timeout: Duration,
    /// The port of mail exchangers.
    pub port: u16,
    /// The operator's routes.
    pub fixed: FixedRoutes,
    /// What is ours.
    pub own: Own,
}

/// Finds routes and addresses, and remembers which places did not answer.
pub struct Resolver {
    dns: TokioResolver,
    port: u16,
    fixed: FixedRoutes,
    own: Own,
    asking: Semaphore,
    /// Names that could not be looked up: the cache of the DNS client keeps no such failures.
    unknown: Memory<Box<str>, Box<str>>,
    /// Places that did not answer or did not let us in, by the source that asked.
    pub(crate) dead: Memory<(SocketAddr, Box<str>), ()>,
}

/// Why a look-up brought nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// The name does not exist.
    Name,
    /// It has no such record.
    Record,
    /// Nobody could say.
    Unknown(Box<str>),
}

/// Why a look-up brought nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRecord {
    /// The DNS says so; otherwise it did not answer.
    pub is_certain: bool,
    /// In words.
    pub why: String,
}

pub(crate) fn failed(class: u8, subject: u16, detail: u16, text: &str) -> Outcome {
    let status = EnhancedStatus::new(class, subject, detail);
    let diagnosis = Diagnosis::ours(status, Blame::Network, text);
    match class {
        5 => Outcome::Bounced { scope: Scope::Destination, diagnosis },
        _ => Outcome::Deferred { scope: Scope::Destination, diagnosis },
    }
}

/// RFC 5321 5.1: our own name in the way means that mail would come back for ever.
pub(crate) fn loops(domain: &str) -> Outcome {
    failed(5, 4, 6, &format!("mail for {domain} would come back to us"))
}

fn absence(error: &NetError) -> Absence {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Absence::Name,
            ResponseCode::NoError => Absence::Record,
            code => Absence::Unknown(code.to_string().into()),
        },
        other => Absence::Unknown(other.to_string().into()),
    }
}

/// A name as we write it: in lower case, without the final dot.
fn plain(name: &str) -> Box<str> {
    name.trim_end_matches('.').to_ascii_lowercase().into()
}

impl Resolver {
    /// A resolver.
    ///
    /// # Errors
    /// The system's configuration could not be read.
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if options.servers.is_empty() {
            TokioResolver::builder(provider).map_err(|error| error.to_string())?
        } else {
            let servers = options.servers.iter().map(|server| {
                let mut config = NameServerConfig::udp_and_tcp(server.ip());
                for connection in &mut config.connections {
                    connection.port = server.port();
                }
                config
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, provider)
        };
        let settings = builder.options_mut();
        settings.timeout = options.timeout;
        settings.cache_size = CACHE_ENTRIES;
        settings.use_hosts_file = ResolveHosts::Never;
        // Answers that do not fit into a datagram all go over one connection.
        settings.max_active_requests = LOOKUPS_MAX;
        let dns = builder.build().map_err(|error| error.to_string())?;
        Ok(Self {
            dns,
            port: options.port,
            fixed: options.fixed,
            own: options.own,
            asking: Semaphore::new(LOOKUPS_MAX),
            unknown: Memory::new(Arc::clone(&clock)),
            dead: Memory::new(clock),
        })
    }

    /// Asks, unless the same question has failed lately.
    pub(crate) async fn look_up(&self, name: &str, kind: RecordType) -> Result<Lookup, Absence> {
        let key: Box<str> = format!("{name} {kind}").into();
        if let Some(why) = self.unknown.failed(&key) {
            return Err(Absence::Unknown(why));
        }
        // The semaphore is never closed; were it, asking at once would be no harm.
        let _asking = self.asking.acquire().await;
        match self.dns.lookup(format!("{name}."), kind).await {
            Ok(lookup) => {
                self.unknown.forget(&key);
                Ok(lookup)
            }
            Err(error) => {
                let absence = absence(&error);
                match &absence {
                    Absence::Unknown(why) => self.unknown.remember(key, why.clone()),
                    Absence::Name | Absence::Record => self.unknown.forget(&key),
                }
                Err(absence)
            }
        }
    }

    /// The route of a domain, or what becomes of its mail if there is none.
    ///
    /// # Errors
    /// What becomes of the mail.
    pub async fn route(&self, domain: &Domain) -> Result<Route, Outcome> {
        let fixed = self.fixed.of(domain);
        if let Some(route) = fixed.and_then(Fixed::route) {
            return Ok(route);
        }
        let route = self.exchangers(domain).await?;
        Ok(fixed.map_or_else(|| route.clone(), |fixed| fixed.mark(route.clone())))
    }

    async fn exchangers(&self, domain: &Domain) -> Result<Route, Outcome> {
        if domain.literal().is_some() {
            return self.implicit(domain);
        }
        match self.look_up(domain.as_str(), RecordType::MX).await {
            Ok(lookup) => {
                let exchanges = lookup.answers().iter().filter_map(|record| match &record.data {
                    RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
                    _ => None,
                });
                let exchanges: Vec<_> = exchanges.collect();
                if exchanges.is_empty() {
                    self.implicit(domain)
                } else {
                    self.explicit(domain, exchanges)
                }
            }
            Err(Absence::Name) => Err(failed(5, 1, 2, "the domain does not exist")),
            // RFC 5321 5.1: the domain itself, but only where it has no MX.
            Err(Absence::Record) => self.implicit(domain),
            Err(Absence::Unknown(why)) => {
                Err(failed(4, 4, 3, &format!("the MX of {domain} could not be found: {why}")))
            }
        }
    }

    fn implicit(&self, domain: &Domain) -> Result<Route, Outcome> {
        let host: Box<str> = domain.as_str().into();
        if self.own.names.contains(&host) {
            return Err(loops(domain.as_str()));
        }
        let hop = Hop { host: host.clone(), port: self.port, preference: 0 };
        Ok(Route { site: host, hosts: vec![hop], tls: None, login: None })
    }

    fn explicit(
        &self,
        domain: &Domain,
        mut exchanges: Vec<(u16, String)>,
    ) -> Result<Route, Outcome> {
        // RFC 7505 3: a null MX stands alone; beside others it is ignored.
        exchanges.retain(|(_, host)| host != ".");
        if exchanges.is_empty() {
            return Err(failed(5, 1, 10, "the domain takes no mail (null MX)"));
        }
        // RFC 5321 5.1: where we are one of them, we and all that are no better are none.
        let ours = exchanges.iter().filter(|(_, host)| self.own.names.contains(&plain(host)));
        if let Some(ours) = ours.map(|(preference, _)| *preference).min() {
            exchanges.retain(|(preference, _)| *preference < ours);
        }
        // RFC 5321 5.1: equal preference in random order.
        exchanges.shuffle(&mut rand::rng());
        exchanges.sort_by_key(|(preference, _)| *preference);
        exchanges.truncate(HOSTS_MAX);
        let Some(best) = exchanges.first().map(|(preference, _)| *preference) else {
            return Err(loops(domain.as_str()));
        };
        let same = exchanges.iter().filter(|(preference, _)| *preference == best);
        let mut site: Vec<_> = same.map(|(_, host)| plain(host)).collect();
        site.sort();
        site.dedup();
        let hop = |(preference, host): (u16, String)| Hop {
            host: plain(&host),
            port: self.port,
            preference,
        };
        Ok(Route {
            site: site.join(",").into(),
            hosts: exchanges.into_iter().map(hop).collect(),
            tls: None,
            login: None,
        })
    }

    /// The addresses of a host, IPv6 first.
    ///
    /// # Errors
    /// Why it has none.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NoRecord> {
        if let Some(literal) = Domain::parse(host).ok().and_then(|domain| domain.literal()) {
            return Ok(vec![literal]);
        }
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let (v6, v4) =
            tokio::join!(self.look_up(host, RecordType::AAAA), self.look_up(host, RecordType::A));
        let mut found = Vec::new();
        let (mut is_certain, mut why) = (true, "there is none".to_owned());
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
                Err(Absence::Unknown(error)) => (is_certain, why) = (false, error.into()),
                Err(Absence::Name | Absence::Record) => {}
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        Err(NoRecord { is_certain, why: format!("{host} has no address: {why}") })
    }

    /// Whether we ourselves listen there.
    pub(crate) fn is_own(&self, place: SocketAddr) -> bool {
        self.own.places.iter().any(|own| {
            own.port() == place.port()
                && (own.ip() == place.ip()
                    || (own.ip().is_unspecified() && is_of_this_machine(place.ip())))
        })
    }
}

/// Whether the address is one of this machine's: only to those can one bind.
fn is_of_this_machine(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}
