//! What operators do with messages: hold them, let them go, try them now, send them another way.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::mail::id::QueueId;
use crate::mail::outcome::Outcome;
use crate::queue::action::Action;
use crate::queue::destinations::Route;
use crate::queue::directive::Covers;
use crate::queue::directive::Directive;
use crate::queue::directive::TooManyDirectives;
use crate::queue::directive::Verb;
use crate::queue::entries::Entry;
use crate::queue::entries::List;
use crate::queue::entries::Place;
use crate::queue::entries::expired;
use crate::queue::ledger::Account;
use crate::queue::ledger::Standing;
use crate::queue::remark::LATER;
use crate::queue::remark::QUARANTINED;
use crate::queue::scheduler::Alarm;
use crate::queue::scheduler::Scheduler;
use crate::queue::scheduler::selecting::Selecting;
use crate::selector::Selector;

/// How many messages a directive was about when it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directed {
    /// Those that waited.
    pub waiting: usize,
    /// Those that were under way, and go on.
    pub in_flight: usize,
}

impl Scheduler {
    /// Has a directive hold from now on, for what is there and, if it covers that, for what comes.
    ///
    /// # Errors
    /// There are too many.
    pub fn direct(&mut self, directive: Directive) -> Result<Directed, TooManyDirectives> {
        let (verb, until) = (directive.verb.clone(), directive.until);
        let mut selecting = Selecting::new(&directive.selector, directive.since);
        let mut found = Vec::new();
        for (key, entry) in self.entries.each() {
            if covers(&directive.covers, entry) && selecting.selects(self, entry) {
                found.push(key);
            }
        }
        let number = self.directives.insert(directive)?;
        if let Some(until) = until {
            self.alarms.push(Reverse((until, Alarm::Suspensions)));
        }
        let in_flight = found.iter().filter(|key| self.is_flying(**key)).count();
        match verb {
            Verb::Hold => {
                found.iter().for_each(|key| self.entries.change(*key, |e| e.hold = number));
            }
            Verb::Move(pool) => self.divert(&found, &pool),
        }
        Ok(Directed { waiting: found.len() - in_flight, in_flight })
    }

    fn is_flying(&self, key: u32) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.standing == Standing::Flying)
    }

    /// Takes a directive back: what it holds is let go. False if there is none of this name.
    pub fn lift(&mut self, now: Timestamp, name: &str) -> bool {
        let Some(number) = self.directives.number(name) else { return false };
        self.end(now, number);
        true
    }

    /// All that hold.
    pub fn directives(&self) -> impl Iterator<Item = &Directive> {
        self.directives.iter().map(|(_, active)| &active.directive)
    }

    /// Gives up what a directive holds, with this outcome for each recipient; gives how many that
    /// is. The directive stays if it covers what comes later, else it ends.
    pub fn refuse(&mut self, now: Timestamp, name: &str, outcome: &Outcome) -> usize {
        let Some(number) = self.directives.number(name) else { return 0 };
        let held = |entry: &Entry| {
            entry.hold == number && entry.standing != Standing::Flying && !entry.is_cancelled()
        };
        let timed = |(_, entry): &(u32, &Entry)| matches!(entry.place, Place::Timed { .. });
        let in_wheel = self.entries.each().filter(|(_, e)| held(e)).filter(timed).count();
        let mut list = self.take_out(held);
        self.wheel.discount(in_wheel);
        let mut refused = List::default();
        while let Some(key) = list.pop(&self.entries) {
            self.entries.change(key, |entry| {
                (entry.hold, entry.standing) = (0, Standing::Leaving);
            });
            refused.push_back(&mut self.entries, key);
        }
        let count = refused.len();
        self.refused.push_back((name.into(), outcome.clone(), refused));
        let covers = self.directives.get(number).map(|active| &active.directive.covers);
        if covers != Some(&Covers::Future) {
            self.end(now, number);
        }
        count
    }

    /// How many wait and are held by the directive of this name.
    pub fn holding(&self, name: &str) -> usize {
        let Some(number) = self.directives.number(name) else { return 0 };
        let ours =
            |account: &Account| account.hold == number && account.standing != Standing::Flying;
        let counts = self.entries.ledger().iter().filter(|(account, _)| ours(account));
        counts.map(|(_, count)| count as usize).sum()
    }

    /// The messages that are selected.
    pub fn selected(&self, now: Timestamp, selector: &Selector) -> BTreeSet<QueueId> {
        let mut selecting = Selecting::new(selector, now);
        let selected = self.entries.each().filter(|(_, entry)| selecting.selects(self, entry));
        selected.map(|(_, entry)| entry.id).collect()
    }

    /// Whether there is a pool of this name.
    pub fn has_pool(&self, name: &str) -> bool {
        self.policy.pool_named(name).is_some()
    }

    /// How many of a directive's messages are still to be given up.
    pub fn refusing(&self, name: &str) -> usize {
        let ours = self.refused.iter().filter(|(other, ..)| **other == *name);
        ours.map(|(.., list)| list.len()).sum()
    }

    /// Hands out a message that is given up.
    pub(crate) fn give_up(&mut self, now: Timestamp) -> Option<Action> {
        loop {
            let (_, outcome, list) = self.refused.front_mut()?;
            let outcome = outcome.clone();
            match list.pop(&self.entries) {
                Some(key) => match self.leave(now, key, Some(outcome)) {
                    Some(action) => return Some(action),
                    None => continue,
                },
                None => self.refused.pop_front(),
            };
        }
    }

    pub(crate) fn end(&mut self, now: Timestamp, number: u8) {
        let Some(active) = self.directives.remove(number) else { return };
        if active.directive.verb != Verb::Hold {
            return;
        }
        // What another directive is about too is held by that one from now on.
        let mut others = Vec::new();
        for (other, active) in self.directives.iter() {
            let directive = &active.directive;
            if directive.verb == Verb::Hold {
                let as_of = as_of(directive, now);
                let selecting = Selecting::new(&directive.selector, as_of);
                others.push((other, &directive.covers, selecting));
            }
        }
        let mut held = Vec::new();
        for (key, entry) in self.entries.each().filter(|(_, entry)| entry.hold == number) {
            let mut next = 0;
            for (other, covering, selecting) in &mut others {
                if covers(covering, entry) && selecting.selects(self, entry) {
                    next = *other;
                }
            }
            held.push((key, next));
        }
        drop(others);
        for (key, next) in held {
            self.entries.change(key, |entry| entry.hold = next);
        }
        self.thaw(now, active.held);
    }

    /// Lets go those of the held messages that are selected, whoever holds them: an operator's
    /// directive or a plugin. Gives how many.
    pub fn release(&mut self, now: Timestamp, selector: &Selector) -> usize {
        let mut selecting = Selecting::new(selector, now);
        let meant = |entry: &Entry| entry.hold != 0 || is_quarantined(entry);
        let mut found = Vec::new();
        for (key, entry) in self.entries.each().filter(|(_, entry)| meant(entry)) {
            if selecting.selects(self, entry) {
                found.push(key);
            }
        }
        for key in &found {
            self.entries.change(*key, |entry| entry.hold = 0);
        }
        let mut gone = List::default();
        for active in self.directives.iter_mut() {
            active.held.sweep(&mut self.entries, |entry| entry.hold == 0, &mut gone);
        }
        self.thaw(now, gone);
        let quarantined = found.iter().copied();
        let timed: Vec<_> =
            quarantined.filter(|key| self.entries.get(*key).is_some_and(is_quarantined)).collect();
        self.hasten(now, &timed);
        found.len()
    }

    /// Has those of the selected messages that wait for their time tried now. Gives how many.
    /// Hosts that were left alone for their failures are tried too, and domains looked up anew.
    pub fn retry(&mut self, now: Timestamp, selector: &Selector) -> usize {
        let mut selecting = Selecting::new(selector, now);
        let (mut timed, mut destinations) = (Vec::new(), Vec::new());
        for (key, entry) in self.entries.each() {
            let standing = entry.standing;
            let meant = matches!(standing, Standing::Timed | Standing::Ready | Standing::Routing);
            // What was asked to be sent later is no failure.
            let later = entry.mark == LATER || is_quarantined(entry);
            if meant && !later && entry.hold == 0 && selecting.selects(self, entry) {
                destinations.push(entry.destination);
                if standing == Standing::Timed {
                    timed.push(key);
                }
            }
        }
        destinations.sort_unstable();
        destinations.dedup();
        for number in destinations {
            let Some(destination) = self.destinations.get_mut(number) else { continue };
            match &mut destination.route {
                Route::Site { site, .. } => {
                    let site = *site;
                    self.sites.retry(site);
                    self.list_site(site);
                }
                Route::Failed { until, .. } => *until = Timestamp::EPOCH,
                _ => {}
            }
        }
        self.hasten(now, &timed);
        timed.len()
    }

    /// Takes entries out of the wheel before their time.
    fn hasten(&mut self, now: Timestamp, keys: &[u32]) {
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.entries.change(*key, |entry| entry.due = Timestamp::EPOCH);
        }
        let mut gone = List::default();
        let hastened = |entry: &Entry| entry.due == Timestamp::EPOCH;
        self.wheel.sweep(&mut self.entries, hastened, &mut gone);
        // What is cancelled was discounted when that was done.
        self.wheel.discount(keys.len());
        for key in keys {
            self.entries.change(*key, |entry| entry.due = now);
        }
        self.thaw(now, gone);
    }

    /// Has entries go by another pool.
    fn divert(&mut self, keys: &[u32], pool: &str) {
        let Some(pool) = self.policy.pool_named(pool) else { return };
        for key in keys {
            let Some(old) = self.entries.get(*key).map(|entry| entry.flow) else { continue };
            let Some(stream) = self.streams.get(old).map(|info| info.stream.clone()) else {
                continue;
            };
            let new = self.streams.enter(&stream, pool, &self.suspensions);
            self.entries.change(*key, |entry| entry.flow = new);
            self.streams.leave(old);
        }
        for site in self.sites.numbers() {
            for group in self.sites.groups_of(site) {
                let streams = &self.streams;
                let Some(group) = self.sites.group_mut(group) else { continue };
                let here = group.pool();
                let pool = |entry: &Entry| streams.get(entry.flow).map(|info| info.pool);
                let elsewhere = |entry: &Entry| pool(entry) != Some(here);
                group.flows.sweep(&mut self.entries, elsewhere, &mut self.waking);
            }
        }
    }

    /// What directives say of an entry that has just come.
    pub(crate) fn receive(&mut self, now: Timestamp, key: u32) {
        if self.directives.is_empty() {
            return;
        }
        let Some(entry) = self.entries.get(key).copied() else { return };
        let (mut hold, mut pool) = (0, None);
        for (number, active) in self.directives.iter() {
            let directive = &active.directive;
            let mut selecting = Selecting::new(&directive.selector, as_of(directive, now));
            if covers(&directive.covers, &entry) && selecting.selects(self, &entry) {
                match &directive.verb {
                    Verb::Hold => hold = number,
                    Verb::Move(name) => pool = Some(name.clone()),
                }
            }
        }
        if hold != 0 {
            self.entries.change(key, |entry| entry.hold = hold);
        }
        if let Some(pool) = pool {
            self.divert_new(key, &pool);
        }
    }

    /// As [`Self::divert`], for an entry that stands in no list yet.
    fn divert_new(&mut self, key: u32, pool: &str) {
        let Some(pool) = self.policy.pool_named(pool) else { return };
        let Some(old) = self.entries.get(key).map(|entry| entry.flow) else { return };
        let Some(stream) = self.streams.get(old).map(|info| info.stream.clone()) else { return };
        let new = self.streams.enter(&stream, pool, &self.suspensions);
        self.entries.change(key, |entry| entry.flow = new);
        self.streams.leave(old);
    }

    /// Puts an entry where a directive holds it.
    pub(crate) fn keep(&mut self, now: Timestamp, key: u32, number: u8) {
        self.entries.stand(key, Standing::Held);
        let Some(active) = self.directives.get_mut(number) else { return };
        active.held.push_back(&mut self.entries, key);
        self.watch_hold(now, number);
    }

    /// Sees to it that what is held expires in time.
    fn watch_hold(&mut self, now: Timestamp, number: u8) {
        let Some(active) = self.directives.get_mut(number) else { return };
        if active.held.is_empty() {
            return;
        }
        let earliest = active.held.earliest();
        if let Some(at) = active.watch.arm(now, earliest, Timestamp::MAX) {
            self.alarms.push(Reverse((at, Alarm::Held(number))));
        }
    }

    pub(crate) fn on_hold_alarm(&mut self, now: Timestamp, number: u8) {
        let Some(active) = self.directives.get_mut(number) else { return };
        active.watch.on_alarm(now);
        if active.watch.sweep(now, active.held.earliest(), active.held.len()) {
            active.held.sweep(&mut self.entries, expired(now), &mut self.expired);
        }
        self.watch_hold(now, number);
    }

    /// Lets go what was held back, bit by bit.
    pub(crate) fn thaw(&mut self, now: Timestamp, held: List) {
        if self.thaw.take(&mut self.entries, held) {
            self.alarms.push(Reverse((now, Alarm::Thaw)));
        }
    }

    pub(crate) fn on_thaw_alarm(&mut self, now: Timestamp) {
        let (portion, next) = self.thaw.portion(&mut self.entries, now);
        self.waking.append(&mut self.entries, portion);
        if let Some(next) = next {
            self.alarms.push(Reverse((next, Alarm::Thaw)));
        }
    }
}

/// Whether a plugin wants somebody to look at it first.
fn is_quarantined(entry: &Entry) -> bool {
    entry.mark == QUARANTINED && matches!(entry.place, Place::Timed { .. })
}

/// When ages are meant.
const fn as_of(directive: &Directive, now: Timestamp) -> Timestamp {
    match directive.covers {
        Covers::Future => now,
        Covers::AcceptedBy(_) | Covers::Only(_) => directive.since,
    }
}

fn covers(covers: &Covers, entry: &Entry) -> bool {
    match covers {
        Covers::AcceptedBy(then) => entry.id.made_at() <= *then,
        Covers::Only(ids) => ids.contains(&entry.id),
        Covers::Future => true,
    }
}
