//! When to send what to whom: a value without locks, clock or chance of its own.
//!
//! ```text
//! insert -> [resolve the domain] -> waiting for its turn -> attempt -> settled
//!               ^                        ^                     |
//!               |                        +--- due again <------+ retry
//! ```
//!
//! An entry is one message for one domain. Domains that share their mail hosts are one *site*, with
//! one window of concurrency. Nothing here looks at all entries, domains or sites.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Class;
use crate::mail::envelope::Stream;
use crate::mail::id::QueueId;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;
use crate::mail::outcome::Settlement;
use crate::queue::action::Action;
use crate::queue::action::Attempt;
use crate::queue::action::Counts;
use crate::queue::action::DestinationId;
use crate::queue::action::NewEntry;
use crate::queue::action::Policy;
use crate::queue::action::SiteId;
use crate::queue::action::Ticket;
use crate::queue::flows::FlowId;
use crate::queue::flows::Flows;
use crate::queue::window::Window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    InFlight(Option<SiteId>),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: QueueId,
    expires_at: Timestamp,
    destination: DestinationId,
    flow: FlowId,
    attempts: u32,
    class: Class,
    place: Place,
}

#[derive(Debug)]
enum Route {
    Unknown,
    Asked,
    Site { site: SiteId, until: Timestamp },
    Failed { outcome: Outcome, until: Timestamp },
}

#[derive(Debug)]
struct Destination {
    domain: Domain,
    route: Route,
    /// Entries that wait for the route.
    waiting: Vec<u32>,
}

#[derive(Debug)]
struct Site {
    window: Window,
    in_flight: u32,
    flows: Flows,
    listed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Entry(u32),
    Site(SiteId),
}

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    chance: u64,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    destinations: Vec<Destination>,
    by_domain: HashMap<Domain, DestinationId>,
    sites: Vec<Site>,
    by_site: HashMap<Box<str>, SiteId>,
    flows: HashMap<(Box<str>, Box<str>), FlowId>,
    ready: VecDeque<SiteId>,
    unroutable: VecDeque<(u32, Outcome)>,
    to_resolve: VecDeque<DestinationId>,
    timers: BinaryHeap<Reverse<(Timestamp, Timer)>>,
    in_flight: usize,
    deferred: usize,
}

impl Scheduler {
    /// An empty scheduler; `seed` decides all jitter.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            chance: seed | 1,
            entries: Vec::new(),
            free: Vec::new(),
            destinations: Vec::new(),
            by_domain: HashMap::new(),
            sites: Vec::new(),
            by_site: HashMap::new(),
            flows: HashMap::new(),
            ready: VecDeque::new(),
            unroutable: VecDeque::new(),
            to_resolve: VecDeque::new(),
            timers: BinaryHeap::new(),
            in_flight: 0,
            deferred: 0,
        }
    }

    /// Another policy from now on; windows keep their size.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Takes an entry.
    pub fn insert(&mut self, now: Timestamp, new: &NewEntry<'_>) {
        let destination = self.destination(new.domain);
        let flow = self.flow(new.stream);
        let entry = Entry {
            id: new.id,
            expires_at: new.expires_at,
            destination,
            flow,
            attempts: new.attempts,
            class: new.stream.class,
            place: Place::Waiting,
        };
        let key = match self.free.pop() {
            Some(key) => key,
            None => {
                self.entries.push(None);
                self.entries.len() as u32 - 1
            }
        };
        if let Some(slot) = self.entries.get_mut(key as usize) {
            *slot = Some(entry);
        }
        if new.due > now {
            self.deferred += 1;
            self.timers.push(Reverse((new.due, Timer::Entry(key))));
        } else {
            self.make_ready(now, key);
        }
    }

    /// What to do now; none until [`Scheduler::poll_timeout`] or the next call.
    pub fn poll(&mut self, now: Timestamp) -> Option<Action> {
        self.run_timers(now);
        if let Some(destination) = self.to_resolve.pop_front() {
            let domain = self.destinations.get(destination.0 as usize)?.domain.clone();
            return Some(Action::Resolve(destination, domain));
        }
        while let Some((key, outcome)) = self.unroutable.pop_front() {
            if let Some(action) = self.take(now, key, None, Some(outcome)) {
                return Some(action);
            }
        }
        while let Some(id) = self.ready.pop_front() {
            let Some(site) = self.sites.get_mut(id.0 as usize) else { continue };
            site.listed = false;
            if site.in_flight >= site.window.size() || now < site.window.resting_until() {
                continue;
            }
            let Some(key) = site.flows.pop() else { continue };
            self.list(id, now);
            if let Some(action) = self.take(now, key, Some(id), None) {
                return Some(action);
            }
        }
        None
    }

    /// When [`Scheduler::poll`] has something to do again by itself.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// The answer to [`Action::Resolve`]: the name of the site, or what becomes of the mail. Valid
    /// for so long.
    pub fn on_resolved(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        found: Result<&str, Outcome>,
        valid: Duration,
    ) {
        let until = now + valid;
        let route = match found {
            Ok(name) => Route::Site { site: self.site(name), until },
            Err(outcome) => Route::Failed { outcome, until },
        };
        let Some(destination) = self.destinations.get_mut(id.0 as usize) else { return };
        destination.route = route;
        for key in std::mem::take(&mut destination.waiting) {
            self.make_ready(now, key);
        }
    }

    /// What became of an attempt: one settlement for each outcome, in order. An entry with a
    /// recipient to try again stays, the others are forgotten.
    pub fn report(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        outcomes: &[Outcome],
    ) -> Vec<Settlement> {
        let Some(entry) = self.land(now, ticket, outcomes) else { return Vec::new() };
        let attempts = entry.attempts + 1;
        let chance = self.random();
        let due = now + self.policy.retry.delay(attempts, chance);
        let again =
            if due >= entry.expires_at { Settlement::Expire } else { Settlement::Retry(due) };
        let settlements: Vec<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Delivered(_) => Settlement::Done,
                Outcome::Bounced { .. } => Settlement::Bounce,
                Outcome::Deferred { .. } | Outcome::InDoubt(_) => again,
            })
            .collect();
        if settlements.iter().any(|settlement| matches!(settlement, Settlement::Retry(_))) {
            if let Some(Some(entry)) = self.entries.get_mut(ticket.0 as usize) {
                entry.attempts = attempts;
                entry.place = Place::Waiting;
            }
            self.deferred += 1;
            self.timers.push(Reverse((due, Timer::Entry(ticket.0))));
        } else {
            self.remove(ticket);
        }
        settlements
    }

    /// The attempt was not made: the entry goes back as it was.
    pub fn give_back(&mut self, now: Timestamp, ticket: Ticket) {
        if self.land(now, ticket, &[]).is_some() {
            if let Some(Some(entry)) = self.entries.get_mut(ticket.0 as usize) {
                entry.place = Place::Waiting;
            }
            self.make_ready(now, ticket.0);
        }
    }

    /// The message is gone: expired, removed, or unreadable.
    pub fn forget(&mut self, now: Timestamp, ticket: Ticket) {
        if self.land(now, ticket, &[]).is_some() {
            self.remove(ticket);
        }
    }

    /// The name of a destination.
    pub fn domain(&self, id: DestinationId) -> Option<&Domain> {
        self.destinations.get(id.0 as usize).map(|destination| &destination.domain)
    }

    /// The counts of the moment.
    pub fn counts(&self) -> Counts {
        Counts {
            entries: self.entries.len() - self.free.len(),
            in_flight: self.in_flight,
            deferred: self.deferred,
            destinations: self.destinations.len(),
            sites: self.sites.len(),
        }
    }

    /// Entries of a site that could go but for its window, and those in flight.
    pub fn site_load(&self, id: SiteId) -> (usize, u32) {
        self.sites.get(id.0 as usize).map_or((0, 0), |site| (site.flows.len(), site.in_flight))
    }

    fn destination(&mut self, domain: &Domain) -> DestinationId {
        if let Some(id) = self.by_domain.get(domain) {
            return *id;
        }
        let id = DestinationId(self.destinations.len() as u32);
        let route = Route::Unknown;
        self.destinations.push(Destination { domain: domain.clone(), route, waiting: Vec::new() });
        self.by_domain.insert(domain.clone(), id);
        id
    }

    fn flow(&mut self, stream: &Stream) -> FlowId {
        let next = self.flows.len() as FlowId;
        let key = (stream.tenant.clone(), stream.campaign.clone());
        *self.flows.entry(key).or_insert(next)
    }

    fn site(&mut self, name: &str) -> SiteId {
        if let Some(id) = self.by_site.get(name) {
            return *id;
        }
        let id = SiteId(self.sites.len() as u32);
        let window = Window::new(self.policy.connections_initial, self.policy.connections_max);
        self.sites.push(Site { window, in_flight: 0, flows: Flows::default(), listed: false });
        self.by_site.insert(name.into(), id);
        id
    }

    /// Puts an entry whose time has come where its destination says.
    fn make_ready(&mut self, now: Timestamp, key: u32) {
        let Some(Some(entry)) = self.entries.get(key as usize).copied() else { return };
        let Some(destination) = self.destinations.get_mut(entry.destination.0 as usize) else {
            return;
        };
        match &destination.route {
            Route::Site { site, until } if now < *until => {
                let id = *site;
                if let Some(site) = self.sites.get_mut(id.0 as usize) {
                    site.flows.push(entry.class, entry.flow, key);
                }
                self.list(id, now);
            }
            Route::Failed { outcome, until } if now < *until => {
                self.unroutable.push_back((key, outcome.clone()));
            }
            Route::Asked => destination.waiting.push(key),
            _ => {
                destination.waiting.push(key);
                destination.route = Route::Asked;
                self.to_resolve.push_back(entry.destination);
            }
        }
    }

    /// Lists a site among those that have a turn, if it has one.
    fn list(&mut self, id: SiteId, now: Timestamp) {
        let Some(site) = self.sites.get_mut(id.0 as usize) else { return };
        let room = site.in_flight < site.window.size() && now >= site.window.resting_until();
        if !site.listed && room && site.flows.len() > 0 {
            site.listed = true;
            self.ready.push_back(id);
        }
    }

    /// Hands an entry to the driver.
    fn take(
        &mut self,
        now: Timestamp,
        key: u32,
        site: Option<SiteId>,
        outcome: Option<Outcome>,
    ) -> Option<Action> {
        let entry = self.entries.get_mut(key as usize)?.as_mut()?;
        let expired = now >= entry.expires_at;
        let site_used = site.filter(|_| !expired);
        entry.place = Place::InFlight(site_used);
        let (id, number, destination) = (entry.id, entry.attempts + 1, entry.destination);
        let domain = self.destinations.get(destination.0 as usize)?.domain.clone();
        self.in_flight += 1;
        if let Some(site) = site_used.and_then(|id| self.sites.get_mut(id.0 as usize)) {
            site.in_flight += 1;
        }
        let ticket = Ticket(key);
        if expired {
            return Some(Action::Expired(ticket, id, domain));
        }
        let site = site.unwrap_or(SiteId::NONE);
        let attempt = Attempt { ticket, id, domain, site, number };
        Some(match outcome {
            Some(outcome) => Action::Unroutable(attempt, outcome),
            None => Action::Attempt(attempt),
        })
    }

    /// Takes an entry back from the driver and lets its site learn from it.
    fn land(&mut self, now: Timestamp, ticket: Ticket, outcomes: &[Outcome]) -> Option<Entry> {
        let entry = (*self.entries.get(ticket.0 as usize)?)?;
        let Place::InFlight(id) = entry.place else { return None };
        self.in_flight -= 1;
        let Some(id) = id else { return Some(entry) };
        let site = self.sites.get_mut(id.0 as usize)?;
        site.in_flight -= 1;
        let host_failed = |outcome: &Outcome| {
            !matches!(outcome, Outcome::Bounced { .. })
                && matches!(outcome.scope(), Some(Scope::Host | Scope::Destination))
        };
        if outcomes.iter().any(host_failed) {
            if site.window.on_failure(now) {
                self.timers.push(Reverse((site.window.resting_until(), Timer::Site(id))));
            }
        } else if !outcomes.is_empty() {
            site.window.on_success();
        }
        self.list(id, now);
        Some(entry)
    }

    fn remove(&mut self, ticket: Ticket) {
        if let Some(slot) = self.entries.get_mut(ticket.0 as usize).filter(|slot| slot.is_some()) {
            *slot = None;
            self.free.push(ticket.0);
        }
    }

    fn run_timers(&mut self, now: Timestamp) {
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            match timer {
                Timer::Entry(key) => {
                    self.deferred -= 1;
                    self.make_ready(now, key);
                }
                Timer::Site(id) => self.list(id, now),
            }
        }
    }

    /// xorshift64*: good enough to spread retries.
    fn random(&mut self) -> f64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
