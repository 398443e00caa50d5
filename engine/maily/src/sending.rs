//! What the configuration says about next hops, as the egress room wants it.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use maily_config::config::Config;
use maily_config::config::sending::{EgressTls, Route};
use maily_config::value::RouteDomain;
use maily_core::clock::Clock;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::client::login::Login;
use maily_egress::connection::{DELIVERY_TIMEOUT, Settings};
use maily_egress::resolve::{Options, Own, Resolver};
use maily_egress::route::{Fixed, FixedRoutes, Scope};
use maily_egress::tls::Tls;

/// How connections are made.
pub fn settings(config: &Config) -> anyhow::Result<Settings> {
    let egress = &config.egress;
    Ok(Settings {
        allowed: egress.allow_networks.clone(),
        connect_timeout: egress.connect_timeout,
        reply_timeout: egress.reply_timeout,
        delivery_timeout: DELIVERY_TIMEOUT,
        tls: policy(egress.tls),
        tls_client: tls(config)?,
    })
}

/// How next hops are found.
pub fn resolver(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Resolver> {
    let mut fixed = FixedRoutes::default();
    for route in &config.route {
        let scope = match &route.domain {
            RouteDomain::Any => Scope::Any,
            RouteDomain::Name(domain) => Scope::Domain(domain.clone()),
            RouteDomain::Below(domain) => Scope::Below(domain.clone()),
        };
        fixed.add(scope, fixed_route(route, config.egress.port)?);
    }
    let options = Options {
        servers: config.dns.servers.clone(),
        timeout: config.dns.timeout,
        port: config.egress.port,
        fixed,
        own: own(config),
    };
    Resolver::new(options, Arc::clone(clock))
        .map_err(|error| anyhow!("the resolver could not be made: {error}"))
}

fn fixed_route(route: &Route, port: u16) -> anyhow::Result<Fixed> {
    let port = route.port.unwrap_or(port);
    let hosts = route.host.0.iter();
    let login = match (&route.user, &route.password) {
        (Some(user), Some(password)) => {
            let password = password.read().map_err(|why| anyhow!("[[route]]: {why}"))?;
            let (user, password) = (user.as_str().into(), password.reveal().into());
            Some(Arc::new(Login { user, password }))
        }
        _ => None,
    };
    Ok(Fixed {
        hosts: hosts.map(|hop| (hop.host.as_str().into(), hop.port.unwrap_or(port))).collect(),
        tls: route.tls.map(policy),
        login,
    })
}

/// Our names, and where we listen: mail sent there would come back.
fn own(config: &Config) -> Own {
    let ehlo = config.source.iter().filter_map(|source| source.ehlo.as_ref());
    let names = ehlo.chain([&config.node.hostname]);
    let places = config.listener.iter().map(|listener| listener.address);
    Own {
        names: names.map(|name| name.as_str().into()).collect(),
        places: places.filter(|place| place.port() != 0).collect(),
    }
}

const fn policy(tls: EgressTls) -> TlsPolicy {
    match tls {
        EgressTls::Off => TlsPolicy::Off,
        EgressTls::May => TlsPolicy::May,
        EgressTls::Require => TlsPolicy::Require,
        EgressTls::Verify => TlsPolicy::Verify,
    }
}

/// Our side of TLS. The system's issuers are read only where certificates are verified.
fn tls(config: &Config) -> anyhow::Result<Tls> {
    let routes = config.route.iter().filter_map(|route| route.tls);
    if !routes.chain([config.egress.tls]).any(|tls| tls == EgressTls::Verify) {
        return Tls::opportunistic().context("TLS towards next hops");
    }
    verifying(config)
}

/// TLS that verifies hosts by the issuers of the configuration, or by those of the system.
pub fn verifying(config: &Config) -> anyhow::Result<Tls> {
    let issuers = match &config.egress.ca_file {
        None => None,
        Some(path) => {
            let issuers = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .with_context(|| format!("no certificates in {}", path.display()))?;
            anyhow::ensure!(!issuers.is_empty(), "no certificates in {}", path.display());
            Some(issuers)
        }
    };
    Tls::verifying(issuers).context("the issuers to verify next hops with")
}
