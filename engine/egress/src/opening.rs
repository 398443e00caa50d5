//! From a route to an open session: which of its hosts and addresses are tried, in what order.

use std::net::SocketAddr;
use std::sync::Arc;

use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_live::session::Live;

use crate::connection::Connection;
use crate::connection::Settings;
use crate::connection::Source;
use crate::connection::Target;
use crate::connection::unreachable;
use crate::resolve::Resolver;
use crate::resolve::failed;
use crate::resolve::loops;
use crate::route::Hop;
use crate::route::Route;

/// Addresses tried for one session; RFC 5321 5.1 asks for at least two.
pub const TRIES_MAX: usize = 10;
/// RFC 7504 4: the host takes no mail at all.
const NO_MAIL_HERE: u16 = 521;

/// Opens sessions.
struct Opener<'a> {
    resolver: &'a Resolver,
    route: &'a Route,
    source: &'a Source,
    settings: &'a Settings,
    live: &'a Arc<Live>,
    tries: usize,
    /// What the last try came to.
    last: Option<Diagnosis>,
    /// No host tried so far has said anything but that it takes no mail at all.
    all_refuse: bool,
    /// What the DNS said of hosts without addresses.
    absent: Option<String>,
    is_certain: bool,
    loops: bool,
}

/// Connects to the first host of the route that greets us; `live` is who looks on.
///
/// # Errors
/// What becomes of the mail: mostly what the last host tried had to say, or what stood in the way.
pub async fn open(
    resolver: &Resolver,
    route: &Route,
    source: &Source,
    settings: &Settings,
    live: &Arc<Live>,
) -> Result<Connection, Outcome> {
    let mut opener = Opener {
        resolver,
        route,
        source,
        settings,
        live,
        tries: 0,
        last: None,
        all_refuse: true,
        absent: None,
        is_certain: true,
        loops: false,
    };
    match opener.open().await {
        Some(connection) => Ok(connection),
        None => {
            let tried = opener.last.is_some();
            let outcome = opener.outcome();
            if !tried {
                live.fail(format_args!("{}", outcome.diagnosis().text()));
            }
            Err(outcome)
        }
    }
}

impl Opener<'_> {
    async fn open(&mut self) -> Option<Connection> {
        // Places that have failed lately are tried when there are no others.
        let mut later = Vec::new();
        let route = self.route;
        for equals in route.hosts.chunk_by(|a, b| a.preference == b.preference) {
            let places = self.places(equals).await;
            if places.iter().any(|(_, place)| self.resolver.is_own(*place)) {
                // RFC 5321 5.1: neither we nor those who are no better than we.
                self.loops = true;
                break;
            }
            for (hop, place) in places {
                if self.resolver.dead.failed(&(place, self.source.name.clone())).is_some() {
                    later.push((hop, place));
                } else if let Some(connection) = self.attempt(hop, place).await {
                    return Some(connection);
                }
            }
        }
        for (hop, place) in later {
            if let Some(connection) = self.attempt(hop, place).await {
                return Some(connection);
            }
        }
        None
    }

    /// The addresses of hosts of equal preference, of the family that the source has.
    async fn places<'h>(&mut self, hosts: &'h [Hop]) -> Vec<(&'h Hop, SocketAddr)> {
        let mut places = Vec::new();
        for hop in hosts {
            match self.resolver.addresses(&hop.host).await {
                Ok(addresses) => {
                    let fits = addresses.iter().filter(|address| {
                        self.source.address.is_none_or(|own| own.is_ipv4() == address.is_ipv4())
                    });
                    let before = places.len();
                    places.extend(fits.map(|ip| (hop, SocketAddr::new(*ip, hop.port))));
                    if places.len() == before {
                        self.is_certain = false;
                        let text = format!("{} has no address that our source reaches", hop.host);
                        self.absent = Some(text);
                    }
                }
                Err(none) => {
                    self.is_certain &= none.is_certain;
                    self.absent = Some(none.why);
                }
            }
        }
        places
    }

    async fn attempt(&mut self, hop: &Hop, place: SocketAddr) -> Option<Connection> {
        if self.tries >= TRIES_MAX {
            return None;
        }
        self.tries += 1;
        let target = Target {
            host: &hop.host,
            place,
            tls: self.route.tls.unwrap_or(self.settings.tls),
            login: self.route.login.as_ref(),
            source: self.source,
            settings: self.settings,
            live: self.live,
        };
        let key = (place, self.source.name.clone());
        match Connection::open(&target).await {
            Ok(connection) => {
                self.resolver.dead.forget(&key);
                Some(connection)
            }
            Err(why) => {
                self.all_refuse &= why.code == Some(NO_MAIL_HERE);
                self.last = Some(why);
                self.resolver.dead.remember(key, ());
                None
            }
        }
    }

    /// What becomes of the mail, since there is no session.
    fn outcome(self) -> Outcome {
        match (self.last, self.absent) {
            (Some(diagnosis), _) if self.all_refuse => {
                Outcome::Bounced { scope: Scope::Destination, diagnosis }
            }
            (Some(diagnosis), _) => Outcome::Deferred { scope: Scope::Host, diagnosis },
            (None, _) if self.loops => loops(&self.route.site),
            // RFC 5321 5.1: hosts without addresses are an error, not a reason to wait.
            (None, Some(why)) if self.is_certain => failed(5, 4, 4, &why),
            (None, Some(why)) => failed(4, 4, 3, &why),
            (None, None) => Outcome::Deferred {
                scope: Scope::Host,
                diagnosis: unreachable("the route has no host"),
            },
        }
    }
}
