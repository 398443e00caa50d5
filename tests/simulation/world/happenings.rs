//! What comes from outside: mail, answers to look-ups, an operator, and the end of the process.

use std::collections::BTreeSet;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::Class;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::queue::action::NewEntry;
use maily_core::queue::cancellation::Which;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::suspension::Selector;
use maily_core::queue::suspension::Suspension;

use crate::judge::Judge;
use crate::peers::says;
use crate::world::Key;
use crate::world::Part;
use crate::world::TENANTS;
use crate::world::World;
use crate::world::seconds;

impl World {
    pub(crate) fn found(&mut self, lookup: usize) {
        let (id, domain) = self.lookups[lookup].clone();
        self.looking -= 1;
        let number = self.domains.iter().position(|other| *other == domain).unwrap();
        let site = format!("site{}", self.site_of(number));
        let (temporary, permanent) = (self.chance.once_in(5), self.chance.once_in(40));
        let found = if self.peace.is_some() || !temporary && !permanent {
            Ok(site.as_str())
        } else if permanent {
            Err(Outcome::Bounced { scope: Scope::Destination, diagnosis: says(5, "no domain") })
        } else {
            Err(Outcome::Deferred { scope: Scope::Destination, diagnosis: says(4, "SERVFAIL") })
        };
        let valid = seconds(if found.is_ok() { 300 } else { 60 });
        self.scheduler.on_resolved(self.now, id, found, valid);
    }

    pub(crate) fn put(&mut self) {
        let bulk = self.chance.once_in(2);
        let class = if bulk { Class::Bulk } else { Class::Transactional };
        let tenant = TENANTS[self.chance.roll(4) as usize].into();
        let campaign = format!("c{}", self.chance.roll(3)).into();
        let stream = Stream { class, tenant, campaign };
        for _ in 0..=self.chance.roll(8) {
            self.next_id += 1;
            let life = seconds(60 + self.chance.roll(30_000));
            let parts: BTreeSet<_> = (0..=self.chance.roll(2))
                .map(|_| self.chance.roll(self.domains.len() as u64) as usize)
                .collect();
            for domain in parts {
                let recipients = 1 + self.chance.roll(3) as usize;
                let part = Part {
                    domain,
                    stream: stream.clone(),
                    expires_at: self.now + life,
                    attempts: 0,
                    due: self.now,
                    flying: false,
                    recipients: vec![(0, 0); recipients],
                    left: (0..recipients).collect(),
                };
                let key = (self.next_id, domain);
                self.by_expiry.insert((part.expires_at, key));
                insert(&mut self.scheduler, self.now, key, &part, &self.domains);
                self.parts.insert(key, part);
            }
        }
    }

    pub(crate) fn suspend(&mut self) {
        self.sums.suspensions += 1;
        let domain = self.chance.roll(self.domains.len() as u64) as usize;
        let tenant: Box<str> = TENANTS[self.chance.roll(4) as usize].into();
        let selector = match self.chance.roll(6) {
            0 => Selector::All,
            1 => Selector::Destination(self.domains[domain].clone()),
            2 => Selector::Site(format!("site{}", self.site_of(domain)).into()),
            3 => Selector::Source("out0".into()),
            4 => Selector::Tenant(tenant),
            _ => Selector::Campaign { tenant, campaign: "c1".into() },
        };
        let until = self.now + seconds(1 + self.chance.roll(4_000));
        let until = (!self.chance.once_in(3)).then_some(until);
        let (name, reason) = ("d-1".into(), "simulated".into());
        let new = Suspension { name, since: self.now, selector, reason, until };
        self.suspended.retain(|old| old.selector != new.selector);
        self.suspended.push(new.clone());
        self.scheduler.suspend(self.now, new).unwrap();
        assert_eq!(self.scheduler.suspensions().count(), self.suspended.len());
    }

    /// An application takes mail back: what waits is gone at once, what is under way goes on.
    pub(crate) fn cancel(&mut self) {
        let which = if self.chance.once_in(2) {
            let tenant: Box<str> = TENANTS[self.chance.roll(4) as usize].into();
            let campaign: Box<str> = format!("c{}", self.chance.roll(3)).into();
            Which::Campaign { tenant, campaign }
        } else {
            let mut any = || QueueId::from_u64(self.chance.roll(self.next_id + 2));
            Which::Messages((0..10).map(|_| any()).collect())
        };
        let meant = |key: &Key, part: &Part| match &which {
            Which::Messages(ids) => ids.contains(&QueueId::from_u64(key.0)),
            Which::Campaign { tenant, campaign } => {
                part.stream.tenant == *tenant && part.stream.campaign == *campaign
            }
            Which::HeldBy(_) => false,
        };
        let (mut gone, mut in_flight) = (BTreeSet::new(), BTreeSet::new());
        for (key, part) in self.parts.iter().filter(|(key, part)| meant(key, part)) {
            if part.flying { &mut in_flight } else { &mut gone }.insert(*key);
        }
        let cancelled = self.scheduler.cancel(self.now, &which);
        let keys = |all: &[(QueueId, Domain)]| -> BTreeSet<Key> {
            all.iter().map(|(id, domain)| self.key(*id, domain)).collect()
        };
        assert_eq!(keys(&cancelled.gone), gone, "what waited is gone, and nothing else");
        assert_eq!(keys(&cancelled.in_flight), in_flight, "what is under way is told");
        self.sums.cancelled += gone.len() as u64;
        self.sums.too_late += in_flight.len() as u64;
        gone.into_iter().for_each(|key| self.remove(key));
    }

    /// A crash: what was under way may have been taken, and only the spool remembers.
    pub(crate) fn restart(&mut self) {
        self.sums.restarts += 1;
        self.epoch += 1;
        self.scheduler = Scheduler::new(self.policy.clone(), self.chance.roll(u64::MAX));
        self.judge = Judge::default();
        (self.flying, self.looking, self.open) = (0, 0, 0);
        self.conns.iter_mut().for_each(|conn| conn.idle = false);
        for held in &self.suspended {
            self.scheduler.suspend(self.now, held.clone()).unwrap();
        }
        self.hold_again();
        for (key, part) in &mut self.parts {
            if std::mem::take(&mut part.flying) {
                for recipient in &part.left {
                    let (taken, excuses) = &mut part.recipients[*recipient];
                    *taken += self.chance.roll(2) as u32;
                    *excuses += 1;
                }
            }
            insert(&mut self.scheduler, self.now, *key, part, &self.domains);
        }
    }
}

fn insert(scheduler: &mut Scheduler, now: Timestamp, key: Key, part: &Part, domains: &[Domain]) {
    let new = NewEntry {
        id: QueueId::from_u64(key.0),
        domain: &domains[part.domain],
        stream: &part.stream,
        expires_at: part.expires_at,
        attempts: part.attempts,
        due: part.due,
        recipients: part.left.len() as u32,
    };
    scheduler.insert(now, &new);
}
