//! Where mail goes, and the next hops that the operator has fixed for some domains.

use std::collections::HashMap;
use std::sync::Arc;

use maily_core::mail::address::Domain;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::client::login::Login;

/// A host that takes mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its name or address.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// Lower is tried first (RFC 5321 5.1).
    pub preference: u16,
}

/// Where a domain's mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What the domains share that go to the same hosts in the same manner: connections are reused
    /// within a site, so whatever makes a connection different is part of it.
    pub site: Box<str>,
    /// The hosts in the order in which they are tried.
    pub hosts: Vec<Hop>,
    /// When TLS is used; none: as for all.
    pub tls: Option<TlsPolicy>,
    /// As whom to authenticate.
    pub login: Option<Arc<Login>>,
}

/// What the operator says about a domain's mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// The next hops, tried in this order; none: the domain's mail exchangers.
    pub hosts: Vec<(Box<str>, u16)>,
    /// When TLS is used; none: as for all.
    pub tls: Option<TlsPolicy>,
    /// As whom to authenticate.
    pub login: Option<Arc<Login>>,
}

/// Which domains a fixed route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One domain.
    Domain(Domain),
    /// All below this one.
    Below(Domain),
    /// All that have no route of their own.
    Any,
}

/// The fixed routes.
#[derive(Clone, Debug, Default)]
pub struct FixedRoutes {
    exact: HashMap<Box<str>, Fixed>,
    below: HashMap<Box<str>, Fixed>,
    any: Option<Fixed>,
}

impl FixedRoutes {
    /// Adds one; a later one for the same domains takes its place.
    pub fn add(&mut self, scope: Scope, fixed: Fixed) {
        match scope {
            Scope::Domain(domain) => drop(self.exact.insert(domain.as_str().into(), fixed)),
            Scope::Below(domain) => drop(self.below.insert(domain.as_str().into(), fixed)),
            Scope::Any => self.any = Some(fixed),
        }
    }

    /// The one for this domain: its own, else that of the nearest domain above it, else that for
    /// all.
    pub fn of(&self, domain: &Domain) -> Option<&Fixed> {
        let name = domain.as_str();
        if let Some(own) = self.exact.get(name) {
            return Some(own);
        }
        let mut rest = name;
        while let Some((_, above)) = rest.split_once('.').filter(|_| !self.below.is_empty()) {
            if let Some(fixed) = self.below.get(above) {
                return Some(fixed);
            }
            rest = above;
        }
        self.any.as_ref()
    }
}

impl Fixed {
    /// The route to the fixed hosts; none if there are none.
    pub fn route(&self) -> Option<Route> {
        if self.hosts.is_empty() {
            return None;
        }
        let names: Vec<_> =
            self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let hop = |(preference, (host, port)): (u16, &(Box<str>, u16))| Hop {
            host: host.clone(),
            port: *port,
            preference,
        };
        let route = Route {
            site: names.join(",").into(),
            hosts: (0..).zip(&self.hosts).map(hop).collect(),
            tls: None,
            login: None,
        };
        Some(self.mark(route))
    }

    /// The route in the manner that is asked for.
    pub fn mark(&self, mut route: Route) -> Route {
        if let Some(tls) = self.tls {
            route.site = format!("{} tls={tls:?}", route.site).to_ascii_lowercase().into();
            route.tls = Some(tls);
        }
        if let Some(login) = &self.login {
            route.site = format!("{} user={}", route.site, login.user).into();
            route.login = Some(Arc::clone(login));
        }
        route
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn to(host: &str) -> Fixed {
        Fixed { hosts: vec![(host.into(), 25)], ..Fixed::default() }
    }

    #[test]
    fn the_nearest_fixed_route_holds() {
        let mut routes = FixedRoutes::default();
        assert_eq!(routes.of(&domain("a.example")), None);
        routes.add(Scope::Any, to("any"));
        routes.add(Scope::Domain(domain("a.example")), to("exact"));
        routes.add(Scope::Below(domain("example")), to("below"));
        routes.add(Scope::Below(domain("b.example")), to("nearer"));
        let of = |name| routes.of(&domain(name)).unwrap().hosts[0].0.to_string();
        assert_eq!(of("a.example"), "exact");
        assert_eq!(of("c.a.example"), "below");
        assert_eq!(of("x.y.b.example"), "nearer");
        assert_eq!(of("b.example"), "below");
        assert_eq!(of("example"), "any");
        assert_eq!(of("other.test"), "any");
    }

    #[test]
    fn a_site_tells_apart_what_connections_may_not_share() {
        let plain = to("hop");
        let tls = Fixed { tls: Some(TlsPolicy::Verify), ..to("hop") };
        let login = |user: &str| {
            let login = Login { user: user.into(), password: "x".into() };
            Fixed { login: Some(Arc::new(login)), ..to("hop") }
        };
        let all = [plain, tls, login("ann"), login("bob")];
        let mut sites: Vec<_> = all.iter().map(|fixed| fixed.route().unwrap().site).collect();
        sites.sort();
        sites.dedup();
        assert_eq!(sites.len(), all.len(), "{sites:?}");
    }
}
