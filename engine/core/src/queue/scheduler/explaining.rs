//! Why mail waits: for each entry one cause, read off the ledger and the state of what it waits
//! for. No entry is looked at, unless it is asked for what only entries know.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::queue::cause::Cause;
use crate::queue::cause::Why;
use crate::queue::destinations::Route;
use crate::queue::lane::Obstacle;
use crate::queue::ledger::Account;
use crate::queue::ledger::Standing;
use crate::queue::policy::Places;
use crate::queue::policy::SourceIndex;
use crate::queue::remark::LATER;
use crate::queue::remark::Mark;
use crate::queue::remark::OTHERS;
use crate::queue::remark::QUARANTINED;
use crate::queue::remark::Remark;
use crate::queue::scheduler::Scheduler;
use crate::queue::scheduler::selecting::Selecting;
use crate::queue::sites::blocking::Block;
use crate::queue::suspension::Selector as Target;
use crate::selector::Selector;
use crate::selector::value::quoted;

/// Causes that are told one by one; the rest is told by name.
const CAUSES_MAX: usize = 200;

/// What holds an entry, told apart as finely as operators can do something about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    Suspension(Target),
    Directive(u8),
    Said(Mark),
    Later,
    Quarantine,
    Plan,
    LookUp,
    NoRoute(u32),
    Group(u32),
    Turn,
    Thaw,
    Leaving,
}

impl Scheduler {
    /// Why the selected mail waits. The counts of the causes add up.
    pub fn why(&self, now: Timestamp, selector: &Selector) -> Why {
        let mut selecting = Selecting::new(selector, now);
        let mut counts: BTreeMap<Holder, usize> = BTreeMap::new();
        let (mut waiting, mut in_flight) = (0, 0);
        let mut add = |account: &Account, count: usize| match account.standing {
            Standing::Flying => in_flight += count,
            _ => {
                waiting += count;
                *counts.entry(self.holder(now, account)).or_default() += count;
            }
        };
        if selecting.needs_entries() {
            for (_, entry) in self.entries.each() {
                if selecting.selects(self, entry) {
                    add(&entry.account(), 1);
                }
            }
        } else {
            for (account, count) in self.entries.ledger().iter() {
                if selecting.selects_account(self, account) {
                    add(account, count as usize);
                }
            }
        }
        let causes = counts.into_iter().map(|(holder, count)| self.cause(now, &holder, count));
        Why { waiting, in_flight, causes: abridged(merged(causes.collect())) }
    }

    /// What holds entries of this account.
    pub(crate) fn holder(&self, now: Timestamp, account: &Account) -> Holder {
        if account.hold != 0 {
            return Holder::Directive(account.hold);
        }
        if let Some(target) = self.suspended(account) {
            return Holder::Suspension(target);
        }
        match account.standing {
            Standing::Timed => match account.mark {
                LATER => Holder::Later,
                QUARANTINED => Holder::Quarantine,
                mark if self.remarks.get(mark).is_some() || mark == OTHERS => Holder::Said(mark),
                _ => Holder::Plan,
            },
            Standing::Routing => match self.destinations.get(account.destination) {
                Some(found) if found.failure(now).is_some() => Holder::NoRoute(account.destination),
                _ => Holder::LookUp,
            },
            Standing::Ready | Standing::Held | Standing::Flying => self.blocked(now, account),
            Standing::Thawing => Holder::Thaw,
            Standing::Leaving => Holder::Leaving,
        }
    }

    fn blocked(&self, now: Timestamp, account: &Account) -> Holder {
        let Some(group) = self.group_of(account) else { return Holder::Turn };
        match self.sites.block(now, group, &self.policy, &self.suspensions) {
            Block::Turn => Holder::Turn,
            _ => Holder::Group(group),
        }
    }

    /// The group in which entries of this account wait for their turn.
    fn group_of(&self, account: &Account) -> Option<u32> {
        let Route::Site { site, .. } = self.destinations.get(account.destination)?.route else {
            return None;
        };
        let pool = self.streams.get(account.flow)?.pool;
        let groups = self.sites.groups_of(site);
        groups.into_iter().find(|n| self.sites.group(*n).is_some_and(|g| g.pool() == pool))
    }

    /// The suspension that holds entries of this account back, if one does.
    fn suspended(&self, account: &Account) -> Option<Target> {
        let all = &self.suspensions;
        if all.all() {
            return Some(Target::All);
        }
        let stream = self.streams.get(account.flow)?;
        if stream.suspended {
            let (tenant, campaign) = (&stream.stream.tenant, &stream.stream.campaign);
            let tenant = Target::Tenant(tenant.clone());
            return Some(match all.get(&tenant) {
                Some(_) => tenant,
                None => Target::Campaign {
                    tenant: stream.stream.tenant.clone(),
                    campaign: campaign.clone(),
                },
            });
        }
        let destination = self.destinations.get(account.destination)?;
        if destination.suspended {
            return Some(Target::Destination(destination.domain.clone()));
        }
        let Route::Site { site, .. } = destination.route else { return None };
        let name = self.sites.name(site)?;
        all.site(name).then(|| Target::Site((&**name).into()))
    }

    /// The name of what holds an entry.
    pub(crate) fn cause_name(&self, now: Timestamp, account: &Account) -> &'static str {
        self.cause(now, &self.holder(now, account), 0).name
    }

    fn cause(&self, now: Timestamp, holder: &Holder, count: usize) -> Cause {
        let cause = match holder {
            Holder::Suspension(target) => self.suspension_cause(target),
            Holder::Directive(number) => self.directive_cause(*number),
            Holder::Said(mark) => self.said_cause(*mark),
            Holder::Later => {
                Cause::new("window", "not to be sent before a time that was asked for")
                    .remedy("wait, or take it back")
            }
            Holder::Quarantine => {
                Cause::new("plugin", "held by a plugin until somebody looks at it")
                    .remedy("maily release SELECTOR, or maily bounce SELECTOR")
            }
            Holder::Plan => Cause::new("schedule", "tried before: its next time is not reached")
                .remedy("maily retry SELECTOR"),
            Holder::LookUp => Cause::new("dns", "where the domain's mail goes is being looked up")
                .remedy("if it stays so, see that the resolvers answer: maily doctor"),
            Holder::NoRoute(number) => self.no_route_cause(now, *number),
            Holder::Group(number) => self.group_cause(now, *number),
            Holder::Turn => Cause::new("turn", "nothing holds it: its turn comes"),
            Holder::Thaw => Cause::new("ramp", "was held and is let go bit by bit"),
            Holder::Leaving => Cause::new("leaving", "too old: it is being given up"),
        };
        Cause { count, ..cause }
    }

    fn suspension_cause(&self, target: &Target) -> Cause {
        let Some(found) = self.suspensions.get(target) else {
            return Cause::new("admin", "suspended");
        };
        let mut cause = Cause::new("admin", &format!("suspended {target}: {}", found.reason))
            .remedy("maily resume SELECTOR")
            .at(&found.name)
            .of(&target.to_string());
        (cause.since, cause.until) = (Some(found.since), found.until);
        cause
    }

    fn directive_cause(&self, number: u8) -> Cause {
        let Some(active) = self.directives.get(number) else {
            return Cause::new("admin", "held");
        };
        let directive = &active.directive;
        let detail = format!("held, {}: {}", directive.selector, directive.reason);
        let mut cause = Cause::new("admin", &detail)
            .remedy("maily release SELECTOR, or maily undo ID")
            .at(&directive.name)
            .of(&directive.selector.to_string());
        (cause.since, cause.until) = (Some(directive.since), directive.until);
        cause
    }

    fn said_cause(&self, mark: Mark) -> Cause {
        let Some(kept) = self.remarks.get(mark) else {
            return Cause::new("schedule", "put off, each with words of its own")
                .remedy("maily trace ID shows them");
        };
        let Remark { kind, text, place } = &kept.remark;
        let mut cause = Cause::new(kind.name(), text)
            .remedy("waits for its next try: maily retry SELECTOR tries now")
            .at(place);
        cause.since = Some(kept.since);
        cause.selector = format!("last~{}", quoted(text));
        cause
    }

    fn no_route_cause(&self, now: Timestamp, number: u32) -> Cause {
        let destination = self.destinations.get(number);
        let Some((outcome, domain)) = destination.and_then(|d| Some((d.failure(now)?, &d.domain)))
        else {
            return Cause::new("dns", "the domain cannot be looked up");
        };
        let domain = domain.as_str();
        Cause::new("dns", &outcome.diagnosis().to_string())
            .remedy("it is looked up again by itself; maily retry SELECTOR does so now")
            .at(domain)
            .of(&format!("domain={domain}"))
    }

    fn group_cause(&self, now: Timestamp, number: u32) -> Cause {
        let block = self.sites.block(now, number, &self.policy, &self.suspensions);
        let site = self.sites.group(number).map_or(0, |group| group.site());
        let name = self.sites.name(site).map_or("", |name| &**name);
        match block {
            Block::Turn => Cause::new("turn", "nothing holds it: its turn comes"),
            Block::Sessions => {
                let most = self.policy.connections_max;
                let detail = format!("all {most} connections that there may be are taken");
                Cause::new("resource:sessions", &detail)
                    .remedy("raise egress.connections_max, if the machine bears it")
                    .at(&self.policy.connections_place)
            }
            Block::Site => self.suspension_cause(&Target::Site(name.into())),
            Block::Sources => Cause::new("admin", "each egress source of its pool is suspended")
                .remedy("maily resume source=NAME, or maily move SELECTOR --pool NAME")
                .at(name)
                .of(&format!("site={name}")),
            Block::Lane(source, obstacle) => self.lane_cause(name, source, obstacle),
        }
    }

    fn lane_cause(&self, site: &str, source: SourceIndex, obstacle: Obstacle) -> Cause {
        let source = self.policy.source_name(source);
        let by = format!("{site} by {source}");
        let said = |mark: Mark| match self.remarks.get(mark) {
            Some(kept) => (kept.remark.kind.name(), &*kept.remark.text, &*kept.remark.place),
            None => ("network", "it failed several times", ""),
        };
        let place = self.places_of(site);
        let selector = format!("site={}", quoted(site));
        let mut cause = match obstacle {
            Obstacle::Rest { mark, .. } => {
                let (name, text, rule) = said(mark);
                Cause::new(name, &format!("{by} rests: {text}"))
                    .remedy("wait for the probe; maily move SELECTOR --pool NAME goes another way")
                    .at(if rule.is_empty() { &by } else { rule })
            }
            Obstacle::MessageRate { .. } => {
                let rate = self.sites.limits_of(site).and_then(|limits| limits.message_rate);
                let rate = rate.map(|rate| rate.to_string()).unwrap_or_default();
                Cause::new("policy:rate", &format!("{by}: no more than {rate} messages"))
                    .remedy("raise its message_rate")
                    .at(&place.message_rate)
            }
            Obstacle::ConnectionRate { .. } => {
                let rate = self.sites.limits_of(site).and_then(|limits| limits.connection_rate);
                let rate = rate.map(|rate| rate.to_string()).unwrap_or_default();
                let detail = format!("{by}: no more than {rate} new connections");
                Cause::new("policy:connection_rate", &detail)
                    .remedy("raise its connection_rate")
                    .at(&place.connection_rate)
            }
            Obstacle::Connections { most } => {
                let detail = format!("{by}: all {most} connections that it may have are busy");
                Cause::new("policy:connections", &detail)
                    .remedy("raise its connections_max, if the host bears it")
                    .at(&place.connections)
            }
            Obstacle::Window { size, mark, .. } => {
                let (_, text, _) = said(mark);
                let detail = match self.remarks.get(mark) {
                    Some(_) => format!("{by}: {size} at once since it failed: {text}"),
                    None => format!("{by}: {size} at once until more go well"),
                };
                Cause::new("remote:slowed", &detail)
                    .remedy("it grows by itself with each success")
                    .at(&by)
            }
        };
        (cause.since, cause.until) = times(obstacle);
        cause.of(&selector)
    }

    /// Where the limits of a site are written: its own, or those of a domain that it serves.
    fn places_of(&self, site: &str) -> &Places {
        let number = self.sites.number(site);
        let serves = |domain: &str| {
            let domain =
                Domain::parse(domain).ok().and_then(|name| self.destinations.number(&name));
            let found = domain.and_then(|number| self.destinations.get(number));
            matches!(found.map(|found| &found.route),
                Some(Route::Site { site, .. }) if Some(*site) == number)
        };
        let of_domain = || self.policy.places.iter().find(|(domain, _)| serves(domain));
        let own = self.policy.places.get(site).or_else(|| of_domain().map(|(_, places)| places));
        own.unwrap_or(&self.policy.place)
    }

    /// How many wait for each cause, by its name.
    pub fn causes(&self, now: Timestamp) -> BTreeMap<&'static str, usize> {
        let mut counts: BTreeMap<Holder, usize> = BTreeMap::new();
        for (account, count) in self.entries.ledger().iter() {
            if account.standing != Standing::Flying {
                *counts.entry(self.holder(now, account)).or_default() += count as usize;
            }
        }
        let mut names = BTreeMap::new();
        for (holder, count) in counts {
            *names.entry(self.cause(now, &holder, count).name).or_default() += count;
        }
        names
    }
}

const fn times(obstacle: Obstacle) -> (Option<Timestamp>, Option<Timestamp>) {
    match obstacle {
        Obstacle::Rest { until, since, .. } => (Some(since), Some(until)),
        Obstacle::MessageRate { until } | Obstacle::ConnectionRate { until } => (None, Some(until)),
        Obstacle::Connections { .. } => (None, None),
        Obstacle::Window { since, .. } if since.as_micros() > 0 => (Some(since), None),
        Obstacle::Window { .. } => (None, None),
    }
}

/// Those that say the same are one; the most first.
fn merged(causes: Vec<Cause>) -> Vec<Cause> {
    let mut by_words: BTreeMap<(&'static str, String, String), Cause> = BTreeMap::new();
    for cause in causes {
        let words = (cause.name, cause.detail.clone(), cause.place.clone());
        by_words.entry(words).and_modify(|known| known.count += cause.count).or_insert(cause);
    }
    let mut causes: Vec<_> = by_words.into_values().collect();
    causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.detail.cmp(&b.detail)));
    causes
}

/// No more than [`CAUSES_MAX`]: the rest, by name, as one each.
fn abridged(mut causes: Vec<Cause>) -> Vec<Cause> {
    if causes.len() <= CAUSES_MAX {
        return causes;
    }
    let mut rest: BTreeMap<&'static str, usize> = BTreeMap::new();
    for cause in causes.drain(CAUSES_MAX..) {
        *rest.entry(cause.name).or_default() += cause.count;
    }
    let others = rest.into_iter().map(|(name, count)| Cause {
        count,
        selector: format!("cause={name}"),
        ..Cause::new(name, "others of this kind: ask for a site or domain")
    });
    causes.extend(others);
    causes
}
