//! The domains that have mail waiting, each under a number: where their mail goes, as far as that
//! is known, and what waits to learn it.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Class;
use crate::mail::outcome::Outcome;
use crate::queue::entries::List;
use crate::queue::slab::Slab;
use crate::queue::suspension::Suspensions;
use crate::queue::watch::Watch;

/// Domains without mail whose route is remembered.
const IDLE_MAX: usize = 4_096;
/// The longest pause between failed look-ups of a domain.
const FAILURE_LIFE_MAX: Duration = Duration::from_secs(3_600);

/// Where a domain's mail goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// Not asked for.
    Unknown,
    /// In line to be asked for.
    Wanted(Class),
    /// The driver was asked.
    Asked,
    /// To this site, for so long.
    Site { site: u32, until: Timestamp },
    /// Nowhere, for so long.
    Failed { outcome: Box<Outcome>, until: Timestamp },
}

#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) domain: Domain,
    pub(crate) route: Route,
    /// Entries that wait for the route, for its failure to be told, or for the end of a suspension.
    pub(crate) waiting: List,
    pub(crate) watch: Watch,
    entries: u32,
    /// Look-ups that failed in a row.
    failures: u8,
    pub(crate) suspended: bool,
    /// In line for its failure to be told.
    pub(crate) telling: bool,
    idle: bool,
}

impl Destination {
    /// The site, while the route holds.
    pub(crate) fn site(&self, now: Timestamp) -> Option<u32> {
        match self.route {
            Route::Site { site, until } if now < until => Some(site),
            _ => None,
        }
    }

    /// What becomes of the mail, while it has nowhere to go.
    pub(crate) fn failure(&self, now: Timestamp) -> Option<&Outcome> {
        match &self.route {
            Route::Failed { outcome, until } if now < *until => Some(outcome),
            _ => None,
        }
    }

    /// A look-up ended. A failure is believed for `valid`, and twice as long each time in a row.
    pub(crate) fn on_resolved(
        &mut self,
        now: Timestamp,
        found: Result<u32, Outcome>,
        valid: Duration,
    ) {
        self.route = match found {
            Ok(site) => {
                self.failures = 0;
                Route::Site { site, until: now + valid }
            }
            Err(outcome) => {
                let life = valid.saturating_mul(1 << self.failures.min(16));
                self.failures = self.failures.saturating_add(1);
                let until = now + life.min(FAILURE_LIFE_MAX.max(valid));
                Route::Failed { outcome: Box::new(outcome), until }
            }
        };
    }
}

#[derive(Debug, Default)]
pub(crate) struct Destinations {
    destinations: Slab<Destination>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    idle: VecDeque<u32>,
}

impl Destinations {
    /// The number of a domain that gets an entry.
    pub(crate) fn enter(&mut self, domain: &Domain, suspensions: &Suspensions) -> u32 {
        let number = match self.number(domain) {
            Some(number) => number,
            None => self.add(domain, suspensions),
        };
        if let Some(destination) = self.destinations.get_mut(number) {
            destination.entries += 1;
        }
        number
    }

    /// The number of a domain, if it is known.
    pub(crate) fn number(&self, domain: &Domain) -> Option<u32> {
        let hash = self.hasher.hash_one(domain);
        let same = |n: &u32| self.destinations.get(*n).is_some_and(|d| d.domain == *domain);
        self.numbers.find(hash, same).copied()
    }

    fn add(&mut self, domain: &Domain, suspensions: &Suspensions) -> u32 {
        let number = self.destinations.insert(Destination {
            domain: domain.clone(),
            route: Route::Unknown,
            waiting: List::default(),
            watch: Watch::default(),
            entries: 0,
            failures: 0,
            suspended: suspensions.destination(domain),
            telling: false,
            idle: false,
        });
        let (destinations, hasher) = (&self.destinations, &self.hasher);
        let rehash = |n: &u32| destinations.get(*n).map_or(0, |d| hasher.hash_one(&d.domain));
        self.numbers.insert_unique(hasher.hash_one(domain), number, rehash);
        number
    }

    /// One of its entries is gone. Gives the domain, and its site, that is forgotten for it.
    pub(crate) fn leave(&mut self, number: u32) -> Option<(Domain, Option<u32>)> {
        let destination = self.destinations.get_mut(number)?;
        destination.entries -= 1;
        if destination.entries > 0 || destination.idle {
            return None;
        }
        self.rest(number);
        if self.idle.len() <= IDLE_MAX {
            return None;
        }
        let oldest = self.idle.pop_front()?;
        self.forget_idle(oldest)
    }

    fn rest(&mut self, number: u32) {
        if let Some(destination) = self.destinations.get_mut(number) {
            destination.idle = true;
            self.idle.push_back(number);
        }
    }

    fn forget_idle(&mut self, number: u32) -> Option<(Domain, Option<u32>)> {
        let destination = self.destinations.get_mut(number)?;
        destination.idle = false;
        if destination.entries > 0 {
            return None;
        }
        if matches!(destination.route, Route::Wanted(_) | Route::Asked) || destination.telling {
            self.rest(number);
            return None;
        }
        let domain = destination.domain.clone();
        let site = match destination.route {
            Route::Site { site, .. } => Some(site),
            _ => None,
        };
        if let Ok(found) =
            self.numbers.find_entry(self.hasher.hash_one(&domain), |other| *other == number)
        {
            found.remove();
        }
        self.destinations.remove(number);
        Some((domain, site))
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Destination> {
        self.destinations.get(number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Destination> {
        self.destinations.get_mut(number)
    }

    /// All numbers; for what an operator asks, not for what happens often.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.numbers.iter().copied().collect()
    }

    pub(crate) const fn len(&self) -> usize {
        self.destinations.len()
    }
}
