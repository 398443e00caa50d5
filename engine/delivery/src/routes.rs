//! Where the mail of each domain goes now, as far as the dispatcher has asked.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use maily_core::mail::address::Domain;
use maily_core::mail::outcome::Outcome;
use maily_core::queue::action::DestinationId;
use maily_egress::route::Route;

use crate::worker::Shared;

/// The answer to a look-up.
#[derive(Debug)]
pub struct Found {
    /// What the scheduler calls the domain.
    pub id: DestinationId,
    /// The domain.
    pub domain: Domain,
    /// Where its mail goes, or what becomes of it.
    pub route: Result<Route, Outcome>,
    /// By which settings it was looked up.
    generation: u64,
}

/// The routes.
pub struct Routes {
    shared: Arc<Shared>,
    found: mpsc::UnboundedSender<Found>,
    routes: HashMap<Domain, Arc<Route>>,
    /// How often the settings have changed.
    generation: u64,
}

impl Routes {
    /// No routes; look-ups are answered into this channel.
    pub fn new(shared: Arc<Shared>, found: mpsc::UnboundedSender<Found>) -> Self {
        Self { shared, found, routes: HashMap::new(), generation: 0 }
    }

    /// Looks up by other settings from now on; what was found by the old ones is forgotten.
    pub fn reload(&mut self, shared: Arc<Shared>) {
        self.shared = shared;
        self.routes.clear();
        self.generation += 1;
    }

    /// Whether this was looked up by the settings that hold now.
    pub const fn is_current(&self, found: &Found) -> bool {
        found.generation == self.generation
    }

    /// Looks up a domain; the answer comes through the channel.
    pub fn look_up(&self, id: DestinationId, domain: Domain) {
        let (shared, found) = (Arc::clone(&self.shared), self.found.clone());
        let generation = self.generation;
        tokio::spawn(async move {
            let route = shared.resolver.route(&domain).await;
            // The dispatcher is gone only when the process is.
            let _gone = found.send(Found { id, domain, route, generation });
        });
    }

    /// Keeps what was found, until the scheduler forgets the domain.
    pub fn learn(&mut self, domain: Domain, route: Route) {
        self.routes.insert(domain, Arc::new(route));
    }

    /// No mail waits for this domain.
    pub fn forget(&mut self, domain: &Domain) {
        self.routes.remove(domain);
    }

    /// Where this domain's mail goes.
    pub fn of(&self, domain: &Domain) -> Option<&Arc<Route>> {
        self.routes.get(domain)
    }

    /// The name of the site that serves this domain; empty if none was found.
    pub fn site(&self, domain: &Domain) -> Box<str> {
        self.of(domain).map(|route| route.site.clone()).unwrap_or_default()
    }
}
