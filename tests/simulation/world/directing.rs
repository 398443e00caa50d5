//! What an operator does with single messages: holds them, lets them go, gives them up, hurries
//! them.

use maily_core::clock::Timestamp;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::queue::directive::Covers;
use maily_core::queue::directive::Directive;
use maily_core::queue::directive::Verb;
use maily_core::queue::selection::SCHEMA;
use maily_core::selector::Selector;

use crate::peers::says;
use crate::world::Key;
use crate::world::LOOK_UP_MAX;
use crate::world::Part;
use crate::world::REFUSED;
use crate::world::TENANTS;
use crate::world::World;
use crate::world::seconds;

/// What is held in this world.
#[derive(Debug)]
pub(crate) struct Held {
    name: Box<str>,
    text: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Domain(usize),
    Tenant(Box<str>),
    Others(Box<str>),
    Campaign(Box<str>, Box<str>),
}

impl Held {
    fn selects(&self, part: &Part) -> bool {
        match &self.what {
            What::Domain(domain) => part.domain == *domain,
            What::Tenant(tenant) => part.stream.tenant == *tenant,
            What::Others(tenant) => part.stream.tenant != *tenant,
            What::Campaign(tenant, campaign) => {
                part.stream.tenant == *tenant && part.stream.campaign == *campaign
            }
        }
    }

    fn directive(&self, since: Timestamp) -> Directive {
        Directive {
            name: self.name.clone(),
            reason: "simulated".into(),
            since,
            until: None,
            verb: Verb::Hold,
            selector: Selector::parse(&self.text, &SCHEMA).unwrap(),
            covers: Covers::Future,
        }
    }
}

impl World {
    pub(crate) fn hold(&mut self) {
        self.sums.holds += 1;
        let tenant: Box<str> = TENANTS[self.chance.roll(4) as usize].into();
        let domain = self.chance.roll(self.domains.len() as u64) as usize;
        let (what, text) = match self.chance.roll(4) {
            0 => (What::Domain(domain), format!("domain={}", self.domains[domain])),
            1 => (What::Tenant(tenant.clone()), format!("tenant=\"{tenant}\"")),
            2 => (What::Others(tenant.clone()), format!("not tenant=\"{tenant}\"")),
            _ => (
                What::Campaign(tenant.clone(), "c1".into()),
                format!("campaign=c1 and tenant=(\"{tenant}\")"),
            ),
        };
        let held = Held { name: format!("d-{}", self.sums.holds).into(), text, what };
        let selected = |part: &&Part| held.selects(part);
        let parts: Vec<_> = self.parts.values().filter(selected).collect();
        let flying = parts.iter().filter(|part| part.flying).count();
        let directed = self.scheduler.direct(held.directive(self.now)).unwrap();
        assert_eq!((directed.waiting, directed.in_flight), (parts.len() - flying, flying));
        self.held.push(held);
    }

    pub(crate) fn hold_again(&mut self) {
        for held in &self.held {
            self.scheduler.direct(held.directive(self.now)).unwrap();
        }
    }

    pub(crate) fn lift(&mut self) {
        let number = self.chance.roll(self.held.len() as u64) as usize;
        if number < self.held.len() {
            let held = self.held.remove(number);
            assert!(self.scheduler.lift(self.now, &held.name));
        }
    }

    /// What waits and is held by this one, and by none that came after it, is given up. It goes on
    /// to hold what comes later.
    pub(crate) fn refuse(&mut self) {
        let Some(held) = self.held.last() else { return };
        let refused: Vec<Key> = self
            .parts
            .iter()
            .filter(|(_, part)| held.selects(part) && !part.flying)
            .map(|(key, _)| *key)
            .collect();
        let diagnosis = says(5, REFUSED);
        let outcome = Outcome::Bounced { scope: Scope::Message, diagnosis };
        let count = self.scheduler.refuse(self.now, &held.name, &outcome);
        assert!(count <= refused.len(), "no more than were held");
        self.sums.refused += count as u64;
        for key in refused {
            let part = self.parts.get_mut(&key).unwrap();
            part.due = part.due.min(self.now);
        }
    }

    pub(crate) fn hurry(&mut self) {
        let tenant = TENANTS[self.chance.roll(4) as usize];
        let selector = Selector::parse(&format!("tenant=\"{tenant}\""), &SCHEMA).unwrap();
        let now = self.now;
        self.sums.hurried += self.scheduler.retry(now, &selector) as u64;
        // Hosts that were left alone are tried at once.
        self.judge.on_hurry();
        let theirs = |part: &&mut Part| &*part.stream.tenant == tenant && !part.flying;
        self.parts.values_mut().filter(theirs).for_each(|part| part.due = part.due.min(now));
    }

    pub(crate) fn let_all_go(&mut self) {
        for held in std::mem::take(&mut self.held) {
            assert!(self.scheduler.lift(self.now, &held.name));
        }
    }

    pub(super) fn is_held(&self, part: &Part) -> bool {
        self.held.iter().any(|held| held.selects(part))
    }

    /// Each part is in exactly one place, and none stays after its time.
    pub(super) fn check(&self) {
        let counts = self.scheduler.counts();
        assert_eq!(counts.entries, self.parts.len(), "entries and what the spool holds");
        assert_eq!(counts.in_flight, self.flying, "under way");
        assert_eq!(counts.connections, self.open as usize, "connections");
        assert!(self.open <= self.policy.connections_max, "too many connections in all");
        if let Some((expires_at, key)) = self.by_expiry.first() {
            let late = self.now.since(*expires_at);
            let ended = late <= seconds(LOOK_UP_MAX + 60) || self.parts[key].flying;
            assert!(ended, "{key:?} is forgotten: {late:?} after its time");
        }
    }

    /// Each that waits has one cause, and no other is counted.
    pub(crate) fn check_causes(&self) {
        let why = self.scheduler.why(self.now, &Selector::all());
        let sum: usize = why.causes.iter().map(|cause| cause.count).sum();
        assert_eq!(sum, why.waiting, "the causes add up: {why:?}");
        let flying = self.parts.values().filter(|part| part.flying).count();
        assert_eq!((why.waiting, why.in_flight), (self.parts.len() - flying, flying));
        let by_name = self.scheduler.causes(self.now);
        assert_eq!(by_name.values().sum::<usize>(), why.waiting, "by name");
        let held = |part: &&Part| !part.flying && self.is_held(part);
        let held = self.parts.values().filter(held).count();
        let admin = by_name.get("admin").copied().unwrap_or_default();
        assert!(admin >= held, "{held} are held, and an operator is said to hold {admin}");
        let survey = self.scheduler.survey(self.now);
        let waiting = survey.destinations.iter().map(|row| row.tally.waiting as usize);
        assert_eq!(waiting.sum::<usize>(), why.waiting, "by destination");
        let ages = survey.destinations.iter().flat_map(|row| row.ages);
        assert_eq!(ages.sum::<u32>() as usize, why.waiting, "by age");
    }
}
