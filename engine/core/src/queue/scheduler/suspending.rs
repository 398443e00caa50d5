//! Holding back and letting go, and looking after what stands still meanwhile.

use std::cmp::Reverse;

use crate::clock::Timestamp;
use crate::queue::destinations::Route;
use crate::queue::entries::expired;
use crate::queue::scheduler::Alarm;
use crate::queue::scheduler::Scheduler;
use crate::queue::suspension::Selector;
use crate::queue::suspension::Suspension;
use crate::queue::suspension::TooManySuspensions;

impl Scheduler {
    /// Holds back what is selected. What is under way goes on.
    ///
    /// # Errors
    /// There are too many suspensions.
    pub fn suspend(&mut self, now: Timestamp, new: Suspension) -> Result<(), TooManySuspensions> {
        let selector = new.selector.clone();
        let until = new.until;
        self.suspensions.insert(new)?;
        if let Some(until) = until {
            self.alarms.push(Reverse((until, Alarm::Suspensions)));
        }
        self.apply(now, &selector, true);
        Ok(())
    }

    /// Lets go. False if it was not suspended.
    pub fn resume(&mut self, now: Timestamp, selector: &Selector) -> bool {
        if !self.suspensions.remove(selector) {
            return false;
        }
        self.apply(now, selector, false);
        true
    }

    /// All that is held back.
    pub fn suspensions(&self) -> impl Iterator<Item = &Suspension> {
        self.suspensions.iter()
    }

    fn apply(&mut self, now: Timestamp, selector: &Selector, suspended: bool) {
        match selector {
            Selector::Destination(domain) => {
                let Some(number) = self.destinations.number(domain) else { return };
                self.apply_to_destination(now, number, suspended);
            }
            Selector::Site(name) => {
                let Some(site) = self.sites.number(name) else { return };
                self.sites.suspend(site, suspended);
                self.list_site(site);
            }
            Selector::Tenant(_) | Selector::Campaign { .. } => self.apply_to_streams(now),
            // Lanes ask when it is their turn.
            Selector::All | Selector::Source(_) => {
                self.sites.numbers().into_iter().for_each(|site| self.list_site(site));
                if !suspended {
                    self.let_go_unroutable(now);
                }
            }
        }
    }

    /// Mail for domains that could not be looked up while all was suspended has no lane that asks.
    fn let_go_unroutable(&mut self, now: Timestamp) {
        for number in self.destinations.numbers() {
            let Some(destination) = self.destinations.get(number) else { continue };
            if !destination.suspended && !destination.waiting.is_empty() {
                self.apply_to_destination(now, number, false);
            }
        }
    }

    pub(crate) fn list_site(&mut self, site: u32) {
        self.sites.groups_of(site).into_iter().for_each(|group| self.list(group));
    }

    fn apply_to_destination(&mut self, now: Timestamp, number: u32, suspended: bool) {
        let Some(destination) = self.destinations.get_mut(number) else { return };
        destination.suspended = suspended;
        if suspended {
            return self.watch_destination(now, number);
        }
        // The answer to a look-up wakes them too.
        if !matches!(destination.route, Route::Asked | Route::Wanted(_)) {
            let waiting = std::mem::take(&mut destination.waiting);
            self.thaw(now, waiting);
        }
    }

    fn apply_to_streams(&mut self, now: Timestamp) {
        for number in self.streams.numbers() {
            let Some(info) = self.streams.get_mut(number) else { continue };
            info.suspended = self.suspensions.stream(&info.stream);
            if !info.suspended {
                let held = std::mem::take(&mut info.held);
                self.thaw(now, held);
            }
        }
    }

    /// Sees to it that what a suspended destination holds expires in time.
    pub(crate) fn watch_destination(&mut self, now: Timestamp, number: u32) {
        let Some(destination) = self.destinations.get_mut(number) else { return };
        let earliest = destination.waiting.earliest();
        if destination.waiting.is_empty() {
            return;
        }
        if let Some(at) = destination.watch.arm(now, earliest, Timestamp::MAX) {
            self.alarms.push(Reverse((at, Alarm::Destination(number))));
        }
    }

    /// Sees to it that what a suspended stream holds expires in time.
    pub(crate) fn watch_stream(&mut self, now: Timestamp, number: u32) {
        let Some(info) = self.streams.get_mut(number) else { return };
        if info.held.is_empty() {
            return;
        }
        if let Some(at) = info.watch.arm(now, info.held.earliest(), Timestamp::MAX) {
            self.alarms.push(Reverse((at, Alarm::Stream(number))));
        }
    }

    pub(crate) fn run_alarms(&mut self, now: Timestamp) {
        while let Some(Reverse((at, alarm))) = self.alarms.peek().copied() {
            if at > now {
                return;
            }
            self.alarms.pop();
            match alarm {
                Alarm::Group(number) => self.on_group_alarm(now, number),
                Alarm::Destination(number) => self.on_destination_alarm(now, number),
                Alarm::Stream(number) => self.on_stream_alarm(now, number),
                Alarm::Held(number) => self.on_hold_alarm(now, number),
                Alarm::Thaw => self.on_thaw_alarm(now),
                Alarm::Suspensions => {
                    for selector in self.suspensions.over(now) {
                        self.resume(now, &selector);
                    }
                    for number in self.directives.over(now) {
                        self.end(now, number);
                    }
                }
            }
        }
    }

    fn on_group_alarm(&mut self, now: Timestamp, number: u32) {
        let Some(group) = self.sites.group_mut(number) else { return };
        group.watch.on_alarm(now);
        if group.watch.sweep(now, group.flows.earliest(), group.flows.len()) {
            group.flows.sweep(&mut self.entries, expired(now), &mut self.expired);
        }
        self.list(number);
    }

    fn on_destination_alarm(&mut self, now: Timestamp, number: u32) {
        let Some(destination) = self.destinations.get_mut(number) else { return };
        destination.watch.on_alarm(now);
        let waiting = &mut destination.waiting;
        if destination.watch.sweep(now, waiting.earliest(), waiting.len()) {
            waiting.sweep(&mut self.entries, expired(now), &mut self.expired);
        }
        if destination.suspended || self.suspensions.all() {
            self.watch_destination(now, number);
        }
    }

    fn on_stream_alarm(&mut self, now: Timestamp, number: u32) {
        let Some(info) = self.streams.get_mut(number) else { return };
        info.watch.on_alarm(now);
        if info.watch.sweep(now, info.held.earliest(), info.held.len()) {
            info.held.sweep(&mut self.entries, expired(now), &mut self.expired);
        }
        if info.suspended {
            self.watch_stream(now, number);
        }
    }
}
