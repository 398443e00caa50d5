//! What the scheduler's doors are made of: whose turn it is, and where an entry belongs.

use std::cmp::Reverse;

use crate::clock::Timestamp;
use crate::mail::envelope::Class;
use crate::mail::outcome::Outcome;
use crate::queue::action::Action;
use crate::queue::action::Attempt;
use crate::queue::action::Connection;
use crate::queue::action::DestinationId;
use crate::queue::action::LaneId;
use crate::queue::action::Ticket;
use crate::queue::destinations::Route;
use crate::queue::entries::Entry;
use crate::queue::entries::List;
use crate::queue::entries::NONE;
use crate::queue::entries::Place;
use crate::queue::lane::Health;
use crate::queue::ledger::Standing;
use crate::queue::policy::SourceIndex;
use crate::queue::remark::Mark;
use crate::queue::remark::QUARANTINED;
use crate::queue::scheduler::Alarm;
use crate::queue::scheduler::LEAVING_MAX;
use crate::queue::scheduler::LOOKUPS_MAX;
use crate::queue::scheduler::Scheduler;
use crate::queue::sites::Choice;

impl Scheduler {
    /// Puts an entry whose time has come where its stream and destination say.
    pub(crate) fn make_ready(&mut self, now: Timestamp, key: u32, front: bool) {
        if self.bury(now, key) {
            return;
        }
        let Some(entry) = self.entries.get(key) else { return };
        let (destination_id, stream_id, hold) = (entry.destination, entry.flow, entry.hold);
        if hold != 0 {
            return self.keep(now, key, hold);
        }
        let Some(stream) = self.streams.get_mut(stream_id) else { return };
        if stream.suspended {
            stream.held.push_back(&mut self.entries, key);
            self.entries.stand(key, Standing::Held);
            return self.watch_stream(now, stream_id);
        }
        let (class, pool, flow) = (stream.stream.class, stream.pool, stream.key(stream_id));
        let Some(destination) = self.destinations.get_mut(destination_id) else { return };
        if destination.suspended {
            destination.waiting.push_back(&mut self.entries, key);
            self.entries.stand(key, Standing::Held);
            return self.watch_destination(now, destination_id);
        }
        if let Some(site) = destination.site(now) {
            let group = self.sites.group_of(site, pool);
            if let Some(group) = self.sites.group_mut(group) {
                group.flows.push(&mut self.entries, flow, key, front);
            }
            self.entries.stand(key, Standing::Ready);
            return self.list(group);
        }
        destination.waiting.push_back(&mut self.entries, key);
        self.entries.stand(key, Standing::Routing);
        if destination.failure(now).is_some() {
            if !std::mem::replace(&mut destination.telling, true) {
                self.telling.push_back(destination_id);
            }
            return;
        }
        match destination.route {
            Route::Asked | Route::Wanted(Class::Transactional) => return,
            Route::Wanted(Class::Bulk) if class == Class::Bulk => return,
            Route::Site { site, .. } => self.sites.leave(now, site),
            _ => {}
        }
        destination.route = Route::Wanted(class);
        self.lookups.push(class, destination_id);
    }

    /// Puts a group in line for its turn, if it has something to send.
    pub(crate) fn list(&mut self, number: u32) {
        let Some(group) = self.sites.group_mut(number) else { return };
        let Some(class) = group.flows.class() else { return };
        if !std::mem::replace(group.listed.get_mut(class), true) {
            self.ready.push(class, number);
        }
    }

    /// Something changed in a lane: all that it serves may go on.
    pub(crate) fn list_lane(&mut self, lane: u32) {
        let mut group = self.sites.first_group(lane);
        while let Some(next) = self.sites.group(group).map(|group| group.next) {
            self.list(group);
            group = next;
        }
    }

    /// Whether the last step left something for another.
    pub(crate) fn is_pending(&self) -> bool {
        let leaving =
            !self.expired.is_empty() || !self.telling.is_empty() || !self.refused.is_empty();
        !self.waking.is_empty()
            || !self.forgotten.is_empty()
            || leaving && self.leaving < LEAVING_MAX
            || !self.lookups.is_empty() && self.asked < LOOKUPS_MAX
    }

    /// Moves what is due, and what has to be looked at again. True if there is more.
    pub(crate) fn wake(&mut self, now: Timestamp, steps: &mut u32) -> bool {
        while *steps > 0 {
            let key = match self.waking.pop(&self.entries) {
                Some(key) => key,
                None => match self.wheel.pop(&mut self.entries, now) {
                    Some(key) => key,
                    None => return false,
                },
            };
            *steps -= 1;
            self.make_ready(now, key, false);
        }
        true
    }

    /// One thing for the driver to do.
    pub(crate) fn act(&mut self, now: Timestamp, steps: &mut u32) -> Option<Action> {
        if let Some(domain) = self.forgotten.pop_front() {
            return Some(Action::Forgotten(domain));
        }
        if let Some(action) = self.look_up() {
            return Some(action);
        }
        if self.leaving < LEAVING_MAX {
            // None comes of what is cancelled.
            while let Some(key) = self.expired.pop(&self.entries) {
                if let Some(action) = self.leave(now, key, None) {
                    return Some(action);
                }
            }
            if let Some(action) = self.tell(now).or_else(|| self.give_up(now)) {
                return Some(action);
            }
        }
        while *steps > 0 {
            let Some((class, group)) = self.ready.pop() else { break };
            if let Some(group) = self.sites.group_mut(group) {
                *group.listed.get_mut(class) = false;
            }
            if let Some(action) = self.turn(now, group, false, steps) {
                return Some(action);
            }
        }
        // New connections are given out in the order in which they were wanted.
        while *steps > 0 && self.sites.connections() < self.policy.connections_max {
            let Some((class, group)) = self.starved.pop() else { break };
            if let Some(group) = self.sites.group_mut(group) {
                *group.starved.get_mut(class) = false;
            }
            if let Some(action) = self.turn(now, group, true, steps) {
                return Some(action);
            }
        }
        // No connection may be opened, and some wait for nothing.
        if self.closing < self.starved.len() && self.sites.free() > 0 {
            self.closing += 1;
            return self.sites.spare().map(|lane| Action::Close(LaneId(lane)));
        }
        None
    }

    pub(crate) fn look_up(&mut self) -> Option<Action> {
        while self.asked < LOOKUPS_MAX {
            let (_, number) = self.lookups.pop()?;
            let Some(destination) = self.destinations.get_mut(number) else { continue };
            // It may stand in both lines.
            if matches!(destination.route, Route::Wanted(_)) {
                destination.route = Route::Asked;
                self.asked += 1;
                return Some(Action::Resolve(DestinationId(number), destination.domain.clone()));
            }
        }
        None
    }

    /// Hands out an entry whose domain has no route.
    pub(crate) fn tell(&mut self, now: Timestamp) -> Option<Action> {
        let all = self.suspensions.all();
        while let Some(number) = self.telling.front().copied() {
            if let Some(destination) = self.destinations.get_mut(number) {
                let outcome = destination.failure(now).cloned();
                let suspended = destination.suspended || all;
                if let Some(outcome) = outcome.filter(|_| !suspended)
                    && let Some(key) = destination.waiting.pop(&self.entries)
                {
                    match self.leave(now, key, Some(outcome)) {
                        Some(action) => return Some(action),
                        None => continue,
                    }
                }
                destination.telling = false;
                if suspended {
                    self.watch_destination(now, number);
                } else {
                    let waiting = std::mem::take(&mut destination.waiting);
                    self.wake_failed(waiting, number);
                }
            }
            self.telling.pop_front();
        }
        None
    }

    /// What is left when a failure is no longer believed is looked at again.
    pub(crate) fn wake_failed(&mut self, waiting: List, number: u32) {
        let Some(destination) = self.destinations.get_mut(number) else { return };
        if matches!(destination.route, Route::Asked | Route::Wanted(_)) {
            destination.waiting = waiting;
        } else {
            self.waking.append(&mut self.entries, waiting);
        }
    }

    /// Hands out an entry that is only to be settled.
    pub(crate) fn leave(
        &mut self,
        now: Timestamp,
        key: u32,
        outcome: Option<Outcome>,
    ) -> Option<Action> {
        if self.bury(now, key) {
            return None;
        }
        let late = self.entries.get(key)?.expires_at <= now;
        let attempt = self.hand_out(key, NONE, SourceIndex(0), Connection::Free)?;
        self.leaving += 1;
        Some(match outcome {
            Some(outcome) if !late => Action::Unroutable(attempt, outcome),
            _ => Action::Expired(attempt.ticket, attempt.id, attempt.domain),
        })
    }

    /// A group's turn: its next entry, if a lane is ready. A connection may be opened only when it
    /// has waited in line for that.
    pub(crate) fn turn(
        &mut self,
        now: Timestamp,
        number: u32,
        may_open: bool,
        steps: &mut u32,
    ) -> Option<Action> {
        while *steps > 0 {
            *steps -= 1;
            let class = self.sites.group(number)?.flows.class()?;
            let chance = self.random();
            let (policy, suspensions) = (&self.policy, &self.suspensions);
            match self.sites.choose(now, number, policy, suspensions, chance, may_open) {
                Choice::Blocked { until, starved } => {
                    self.block(now, number, until, starved.then_some(class));
                    return None;
                }
                Choice::Go(lane, connection) => {
                    let group = self.sites.group_mut(number)?;
                    let site = group.site();
                    let key = group.flows.pop(&self.entries)?;
                    if !self.may_go(now, key, site) {
                        continue;
                    }
                    self.list(number);
                    self.sites.take(now, lane, connection);
                    let source = self.sites.lane(lane)?.source;
                    return self.hand_out(key, lane, source, connection).map(Action::Attempt);
                }
            }
        }
        self.list(number);
        None
    }

    /// A group waits: for a time, for something that is under way, or for a connection.
    pub(crate) fn block(
        &mut self,
        now: Timestamp,
        number: u32,
        until: Timestamp,
        starved: Option<Class>,
    ) {
        let Some(group) = self.sites.group_mut(number) else { return };
        if let Some(class) = starved
            && !std::mem::replace(group.starved.get_mut(class), true)
        {
            self.starved.push(class, number);
        }
        if let Some(at) = group.watch.arm(now, group.flows.earliest(), until) {
            self.alarms.push(Reverse((at, Alarm::Group(number))));
        }
    }

    /// Whether an entry whose turn it is may still go there; if not, it is put where it belongs.
    pub(crate) fn may_go(&mut self, now: Timestamp, key: u32, site: u32) -> bool {
        if self.bury(now, key) {
            return false;
        }
        let Some(entry) = self.entries.get(key) else { return false };
        if entry.expires_at <= now {
            self.expired.push_back(&mut self.entries, key);
            self.entries.stand(key, Standing::Leaving);
            return false;
        }
        let held =
            entry.hold != 0 || self.streams.get(entry.flow).is_some_and(|stream| stream.suspended);
        let there = self
            .destinations
            .get(entry.destination)
            .is_some_and(|d| !d.suspended && d.site(now) == Some(site));
        if held || !there {
            self.make_ready(now, key, false);
            return false;
        }
        true
    }

    /// Gives an entry to the driver.
    pub(crate) fn hand_out(
        &mut self,
        key: u32,
        lane: u32,
        source: SourceIndex,
        connection: Connection,
    ) -> Option<Attempt> {
        self.entries.change(key, |entry| {
            entry.place = Place::InFlight { lane };
            entry.standing = Standing::Flying;
        });
        let entry = self.entries.get(key)?;
        let domain = self.destinations.get(entry.destination)?.domain.clone();
        self.in_flight += 1;
        let (ticket, lane) = (Ticket(key), LaneId(lane));
        let number = u32::from(entry.attempts).saturating_add(1);
        // What is held is not handed out: somebody let it go.
        let released = entry.mark == QUARANTINED;
        Some(Attempt { ticket, id: entry.id, domain, lane, source, connection, number, released })
    }

    /// Takes an entry back from the driver and lets its lane learn from it.
    pub(crate) fn land(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        health: Health,
        mark: Mark,
    ) -> Option<Entry> {
        let entry = *self.entries.get(ticket.0)?;
        let Place::InFlight { lane } = entry.place else { return None };
        self.entries.link(ticket.0, NONE);
        self.in_flight -= 1;
        if lane == NONE {
            self.leaving -= 1;
        } else {
            self.sites.land(now, lane, health, mark);
            self.list_lane(lane);
        }
        Some(entry)
    }

    pub(crate) fn remove(&mut self, now: Timestamp, key: u32) {
        let Some(entry) = self.entries.get(key) else { return };
        let (destination, stream) = (entry.destination, entry.flow);
        self.entries.remove(key);
        self.streams.leave(stream);
        if let Some((domain, site)) = self.destinations.leave(destination) {
            self.forgotten.push_back(domain);
            if let Some(site) = site {
                self.sites.leave(now, site);
            }
        }
    }

    /// xorshift64*: good enough to spread retries.
    pub(crate) const fn random(&mut self) -> f64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
