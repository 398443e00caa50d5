//! The sites: domains that share their mail hosts. Each has lanes, one for each egress source that
//! was used, and groups of entries that could go, one for each pool of sources.

pub(crate) mod blocking;
mod pacing;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;

use crate::clock::Timestamp;
use crate::mail::envelope::Class;
use crate::queue::action::Connection;
use crate::queue::entries::NONE;
use crate::queue::flows::Flows;
use crate::queue::lane::Health;
use crate::queue::lane::Lane;
use crate::queue::lane::Readiness;
use crate::queue::lane::Share;
use crate::queue::pace::Pace;
use crate::queue::policy::Limits;
use crate::queue::policy::Policy;
use crate::queue::policy::SourceIndex;
use crate::queue::remark::Mark;
use crate::queue::slab::Slab;
use crate::queue::suspension::Suspensions;
use crate::queue::turns::ByClass;
use crate::queue::watch::Watch;

/// Sites without domains that are remembered, with what they can bear.
const IDLE_MAX: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Site {
    name: Arc<str>,
    limits: Limits,
    lanes: u32,
    groups: u32,
    /// Domains whose mail goes here.
    domains: u32,
    suspended: bool,
    idle: bool,
    pace: Pace,
}

/// The entries of one site that may go by one pool of sources.
#[derive(Debug)]
pub(crate) struct Group {
    site: u32,
    pub(crate) next: u32,
    pool: u16,
    /// In line for its turn.
    pub(crate) listed: ByClass<bool>,
    /// In line for a connection.
    pub(crate) starved: ByClass<bool>,
    pub(crate) flows: Flows,
    pub(crate) watch: Watch,
}

impl Group {
    pub(crate) const fn site(&self) -> u32 {
        self.site
    }

    pub(crate) const fn pool(&self) -> u16 {
        self.pool
    }
}

/// Where the next message of a group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Into this lane.
    Go(u32, Connection),
    /// Nowhere before this time, or before a connection is closed somewhere.
    Blocked { until: Timestamp, starved: bool },
}

#[derive(Debug, Default)]
pub(crate) struct Sites {
    sites: Slab<Site>,
    lanes: Slab<Lane>,
    groups: Slab<Group>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    idle: VecDeque<u32>,
    /// Connections in all lanes, and those that are free.
    connections: u32,
    free: u32,
    /// Lanes with free connections, roughly those that became so first at the front.
    free_lanes: VecDeque<u32>,
}

impl Sites {
    /// The number of a site to which a domain's mail goes.
    pub(crate) fn enter(&mut self, name: &str, policy: &Policy, suspensions: &Suspensions) -> u32 {
        let number = match self.number(name) {
            Some(number) => number,
            None => self.add(name, policy, suspensions),
        };
        if let Some(site) = self.sites.get_mut(number) {
            site.domains += 1;
        }
        number
    }

    /// The number of a site, if it is known.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        let same = |n: &u32| self.sites.get(*n).is_some_and(|site| *site.name == *name);
        self.numbers.find(self.hasher.hash_one(name), same).copied()
    }

    fn add(&mut self, name: &str, policy: &Policy, suspensions: &Suspensions) -> u32 {
        let number = self.sites.insert(Site {
            name: name.into(),
            limits: policy.own_limits(name).unwrap_or(policy.limits),
            lanes: NONE,
            groups: NONE,
            domains: 0,
            suspended: suspensions.site(name),
            idle: false,
            pace: Pace::default(),
        });
        let (sites, hasher) = (&self.sites, &self.hasher);
        let rehash = |n: &u32| sites.get(*n).map_or(0, |site| hasher.hash_one(&*site.name));
        self.numbers.insert_unique(hasher.hash_one(name), number, rehash);
        number
    }

    /// A domain's mail goes elsewhere, or it has none.
    pub(crate) fn leave(&mut self, now: Timestamp, number: u32) {
        let Some(site) = self.sites.get_mut(number) else { return };
        site.domains -= 1;
        if site.domains > 0 || site.idle {
            return;
        }
        self.rest(number);
        if self.idle.len() > IDLE_MAX
            && let Some(oldest) = self.idle.pop_front()
        {
            self.forget_idle(now, oldest);
        }
    }

    fn rest(&mut self, number: u32) {
        if let Some(site) = self.sites.get_mut(number) {
            site.idle = true;
            self.idle.push_back(number);
        }
    }

    /// Forgets a site, unless that would forget what it can bear.
    fn forget_idle(&mut self, now: Timestamp, number: u32) {
        let Some(site) = self.sites.get_mut(number) else { return };
        site.idle = false;
        if site.domains > 0 {
            return;
        }
        let (lanes, groups) = (self.lanes_of(number), self.groups_of(number));
        let quiet = |lane: &u32| self.lanes.get(*lane).is_some_and(|l| l.is_forgettable(now));
        let empty = |group: &u32| {
            self.groups.get(*group).is_some_and(|group| {
                let listed = |class| *group.listed.get(class) || *group.starved.get(class);
                group.flows.len() == 0 && !Class::ALL.into_iter().any(listed)
            })
        };
        if !lanes.iter().all(quiet) || !groups.iter().all(empty) {
            return self.rest(number);
        }
        let hash = self.sites.get(number).map_or(0, |site| self.hasher.hash_one(&*site.name));
        if let Ok(found) = self.numbers.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        lanes.into_iter().for_each(|lane| self.lanes.remove(lane));
        groups.into_iter().for_each(|group| self.groups.remove(group));
        self.sites.remove(number);
    }
}

/// Doors for single sites, groups and lanes.
impl Sites {
    pub(crate) fn name(&self, site: u32) -> Option<&Arc<str>> {
        self.sites.get(site).map(|site| &site.name)
    }

    pub(crate) fn group(&self, group: u32) -> Option<&Group> {
        self.groups.get(group)
    }

    pub(crate) fn group_mut(&mut self, group: u32) -> Option<&mut Group> {
        self.groups.get_mut(group)
    }

    pub(crate) fn lane(&self, lane: u32) -> Option<&Lane> {
        self.lanes.get(lane)
    }

    /// The group of a site's entries that go by this pool.
    pub(crate) fn group_of(&mut self, site: u32, pool: u16) -> u32 {
        let first = self.sites.get(site).map_or(NONE, |site| site.groups);
        let mut at = first;
        while let Some(group) = self.groups.get(at) {
            if group.pool == pool {
                return at;
            }
            at = group.next;
        }
        let number = self.groups.insert(Group {
            site,
            next: first,
            pool,
            listed: ByClass::default(),
            starved: ByClass::default(),
            flows: Flows::default(),
            watch: Watch::default(),
        });
        if let Some(site) = self.sites.get_mut(site) {
            site.groups = number;
        }
        number
    }

    /// The first of the groups that a lane serves; the others follow by `next`.
    pub(crate) fn first_group(&self, lane: u32) -> u32 {
        let site = self.lanes.get(lane).and_then(|lane| self.sites.get(lane.site));
        site.map_or(NONE, |site| site.groups)
    }

    pub(crate) fn lane_of(&self, site: &Site, source: SourceIndex) -> Option<u32> {
        let mut at = site.lanes;
        while let Some(lane) = self.lanes.get(at) {
            if lane.source == source {
                return Some(at);
            }
            at = lane.next;
        }
        None
    }

    pub(crate) fn lanes_of(&self, site: u32) -> Vec<u32> {
        let mut lanes = Vec::new();
        let mut at = self.sites.get(site).map_or(NONE, |site| site.lanes);
        while let Some(lane) = self.lanes.get(at) {
            lanes.push(at);
            at = lane.next;
        }
        lanes
    }

    pub(crate) fn groups_of(&self, site: u32) -> Vec<u32> {
        let mut groups = Vec::new();
        let mut at = self.sites.get(site).map_or(NONE, |site| site.groups);
        while let Some(group) = self.groups.get(at) {
            groups.push(at);
            at = group.next;
        }
        groups
    }

    /// Where the next message of a group goes: to a source by its weight among those that are
    /// ready. Where that needs a new connection and `may_open` does not hold, the group has to
    /// stand in line for it. `chance` is a number from 0 to 1.
    pub(crate) fn choose(
        &mut self,
        now: Timestamp,
        group: u32,
        policy: &Policy,
        suspensions: &Suspensions,
        chance: f64,
        may_open: bool,
    ) -> Choice {
        let never = Choice::Blocked { until: Timestamp::MAX, starved: false };
        let Some((number, pool)) = self.groups.get(group).map(|g| (g.site, g.pool)) else {
            return never;
        };
        let pool = policy.pools.get(usize::from(pool)).map_or(&[][..], |pool| &pool.sources);
        let Some(site) = self.sites.get(number).filter(|site| !site.suspended) else {
            return never;
        };
        let heaviest = pool.iter().map(|source| policy.weight(*source)).max().unwrap_or(1);
        let look = |source| {
            let share = Share { weight: policy.weight(source), heaviest };
            match is_suspended(source, policy, suspensions) {
                true => Readiness::Suspended,
                false => self.readiness(now, site, source, share),
            }
        };
        let (mut until, mut free, mut new) = (Timestamp::MAX, 0, 0);
        for source in pool {
            match look(*source) {
                Readiness::Ready(Connection::Free) => free += policy.weight(*source),
                Readiness::Ready(Connection::New) => new += policy.weight(*source),
                Readiness::Later(at) => until = until.min(at),
                Readiness::Full | Readiness::Suspended => {}
            }
        }
        let full = self.connections >= policy.connections_max;
        // Who has stood in line is drawn already: it is to be a new one, if it still may be.
        let drawn_from = match may_open {
            true if new > 0 && !full => (false, true),
            false if !full => (true, true),
            _ => (true, false),
        };
        let counts = |connection| match connection {
            Connection::Free => drawn_from.0,
            Connection::New => drawn_from.1,
        };
        let weights = u64::from(drawn_from.0) * free + u64::from(drawn_from.1) * new;
        let mut drawn = (chance * weights as f64) as u64;
        for source in pool.iter().filter(|_| weights > 0) {
            let Readiness::Ready(connection) = look(*source) else { continue };
            let weight = policy.weight(*source);
            if !counts(connection) {
                continue;
            }
            if drawn >= weight {
                drawn -= weight;
                continue;
            }
            if connection == Connection::New && !may_open {
                return Choice::Blocked { until, starved: true };
            }
            let lane = self.lane_of(site, *source);
            return Choice::Go(lane.unwrap_or_else(|| self.open(number, *source)), connection);
        }
        Choice::Blocked { until, starved: new > 0 }
    }

    fn readiness(
        &self,
        now: Timestamp,
        site: &Site,
        source: SourceIndex,
        share: Share,
    ) -> Readiness {
        match self.lane_of(site, source).and_then(|lane| self.lanes.get(lane)) {
            Some(lane) => lane.readiness(&site.limits, now, share),
            None => Readiness::Ready(Connection::New),
        }
    }

    fn open(&mut self, number: u32, source: SourceIndex) -> u32 {
        let Some(site) = self.sites.get_mut(number) else { return NONE };
        let lane = self.lanes.insert(Lane::new(number, site.lanes, source, &site.limits));
        site.lanes = lane;
        lane
    }

    /// A message goes into a lane.
    pub(crate) fn take(&mut self, now: Timestamp, number: u32, connection: Connection) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let Some(site) = self.sites.get(lane.site) else { return };
        lane.take(&site.limits, now, connection);
        match connection {
            Connection::Free => self.free -= 1,
            Connection::New => self.connections += 1,
        }
    }

    /// A message comes back from a lane.
    pub(crate) fn land(&mut self, now: Timestamp, number: u32, health: Health, mark: Mark) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        let Some(site) = self.sites.get(lane.site) else { return };
        lane.land(&site.limits, now, health, mark);
    }

    /// A connection waits for a message.
    pub(crate) fn on_free(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(number) else { return };
        lane.on_free();
        self.free += 1;
        if !lane.listed {
            lane.listed = true;
            self.free_lanes.push_back(number);
        }
    }

    /// A free connection is over, or gets no more messages. False if none was free.
    pub(crate) fn retire(&mut self, number: u32) -> bool {
        let retired = self.lanes.get_mut(number).is_some_and(Lane::retire);
        self.free -= u32::from(retired);
        retired
    }

    pub(crate) fn on_closed(&mut self, number: u32) {
        if let Some(lane) = self.lanes.get_mut(number) {
            lane.on_closed();
            self.connections = self.connections.saturating_sub(1);
        }
    }

    /// A lane with a free connection that could be closed for another's sake; it counts as taken.
    pub(crate) fn spare(&mut self) -> Option<u32> {
        while let Some(number) = self.free_lanes.pop_front() {
            if self.retire(number) {
                let more = self.lanes.get(number).is_some_and(|lane| lane.idle() > 0);
                if let Some(lane) = self.lanes.get_mut(number) {
                    lane.listed = more;
                }
                if more {
                    self.free_lanes.push_back(number);
                }
                return Some(number);
            }
            if let Some(lane) = self.lanes.get_mut(number) {
                lane.listed = false;
            }
        }
        None
    }

    /// Holds a site back, or lets it go: then it begins with few connections.
    pub(crate) fn suspend(&mut self, number: u32, suspended: bool) {
        let Some(site) = self.sites.get_mut(number) else { return };
        let resumed = site.suspended && !suspended;
        site.suspended = suspended;
        let few = site.limits.connections_initial;
        for lane in self.lanes_of(number).into_iter().filter(|_| resumed) {
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.begin_with(few);
            }
        }
    }

    fn restart(&mut self, number: u32, limits: &Limits) {
        for lane in self.lanes_of(number) {
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.restart(limits);
            }
        }
    }

    /// What its lanes have learned of a site is forgotten, so that it is tried at once.
    pub(crate) fn retry(&mut self, number: u32) {
        if let Some(limits) = self.sites.get(number).map(|site| site.limits) {
            self.restart(number, &limits);
        }
    }

    /// A site gets the limits that a domain of its has of its own.
    pub(crate) fn limit(&mut self, number: u32, limits: Limits) {
        let Some(site) = self.sites.get_mut(number) else { return };
        site.limits = limits;
        for lane in self.lanes_of(number) {
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.limit(&limits);
            }
        }
    }

    /// The limits of the site of this name.
    pub(crate) fn limits_of(&self, name: &str) -> Option<Limits> {
        self.sites.get(self.number(name)?).map(|site| site.limits)
    }

    /// Lanes with connections, and those that rest.
    pub(crate) fn lanes_in_use(&self, now: Timestamp) -> impl Iterator<Item = &Lane> {
        let used = move |lane: &Lane| lane.connections() > 0 || lane.resting_until() > now;
        // Slots of lanes that are gone lie as they lay: none of them was in use.
        self.lanes.each().map(|(_, lane)| lane).filter(move |lane| used(lane))
    }

    /// The remarks that lanes remember.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.lanes.each().map(|(_, lane)| lane.failed().0)
    }

    /// All numbers; for what an operator asks, not for what happens often.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.numbers.iter().copied().collect()
    }

    pub(crate) const fn len(&self) -> usize {
        self.sites.len()
    }

    /// Connections in all lanes.
    pub(crate) const fn connections(&self) -> u32 {
        self.connections
    }

    /// Connections that wait for a message.
    pub(crate) const fn free(&self) -> u32 {
        self.free
    }
}

pub(crate) fn is_suspended(
    source: SourceIndex,
    policy: &Policy,
    suspensions: &Suspensions,
) -> bool {
    let name = policy.sources.get(usize::from(source.0)).map(|share| &share.name);
    suspensions.all() || name.is_none_or(|name| suspensions.source(name))
}
