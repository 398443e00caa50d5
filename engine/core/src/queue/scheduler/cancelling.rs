//! Taking mail out of the queue for good, wherever it waits.

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::id::QueueId;
use crate::queue::cancellation::Cancelled;
use crate::queue::cancellation::Which;
use crate::queue::entries::Entry;
use crate::queue::entries::List;
use crate::queue::scheduler::Scheduler;

impl Scheduler {
    /// Forgets what is meant and waits. What is with the driver stays, and is told: it may be under
    /// way to a next hop.
    ///
    /// Looks at all entries in the order in which they lie. What is cancelled counts no more; it is
    /// taken out of the lists when its turn comes there, or when half of all is cancelled, so that
    /// to cancel one costs the same whatever waits with it.
    pub fn cancel(&mut self, now: Timestamp, which: &Which) -> Cancelled {
        let marked = match which {
            Which::Messages(ids) => self.entries.cancel(|entry| ids.contains(&entry.id)),
            Which::HeldBy(name) => {
                let number = self.directives.number(name).unwrap_or(0);
                self.entries.cancel(|entry| number != 0 && entry.hold == number)
            }
            Which::Campaign { tenant, campaign } => {
                let mut flows = self.streams.numbers();
                flows.retain(|number| {
                    let stream = self.streams.get(*number).map(|info| &info.stream);
                    stream.is_some_and(|s| s.tenant == *tenant && s.campaign == *campaign)
                });
                self.entries.cancel(|entry| flows.contains(&entry.flow))
            }
        };
        let named = |keys: &[u32]| keys.iter().filter_map(|key| self.named(*key)).collect();
        let cancelled =
            Cancelled { gone: named(&marked.cancelled), in_flight: named(&marked.in_flight) };
        self.wheel.discount(marked.timed);
        self.cancelled += marked.cancelled.len();
        if self.cancelled * 2 > self.entries.len() {
            let mut list = self.take_out(Entry::is_cancelled);
            while let Some(key) = list.pop(&self.entries) {
                self.bury(now, key);
            }
        }
        cancelled
    }

    /// Removes an entry that is cancelled and stands in no list; false if it is not cancelled.
    pub(crate) fn bury(&mut self, now: Timestamp, key: u32) -> bool {
        let cancelled = self.entries.get(key).is_some_and(Entry::is_cancelled);
        if cancelled {
            self.cancelled -= 1;
            self.remove(now, key);
        }
        cancelled
    }

    fn named(&self, key: u32) -> Option<(QueueId, Domain)> {
        let entry = self.entries.get(key)?;
        let domain = self.destinations.get(entry.destination)?.domain.clone();
        Some((entry.id, domain))
    }

    /// Takes what leaves out of every list. Looks at all entries.
    pub(crate) fn take_out(&mut self, leaves: impl Fn(&Entry) -> bool + Copy) -> List {
        let mut gone = List::default();
        let entries = &mut self.entries;
        self.wheel.sweep(entries, leaves, &mut gone);
        let held = self.directives.iter_mut().map(|active| &mut active.held);
        let loose = [&mut self.waking, &mut self.expired, self.thaw.list_mut()];
        let refused = self.refused.iter_mut().map(|(.., list)| list);
        for list in loose.into_iter().chain(held).chain(refused) {
            list.sweep(entries, leaves, &mut gone);
        }
        for number in self.destinations.numbers() {
            if let Some(destination) = self.destinations.get_mut(number) {
                destination.waiting.sweep(entries, leaves, &mut gone);
            }
        }
        for number in self.streams.numbers() {
            if let Some(info) = self.streams.get_mut(number) {
                info.held.sweep(entries, leaves, &mut gone);
            }
        }
        for site in self.sites.numbers() {
            for group in self.sites.groups_of(site) {
                if let Some(group) = self.sites.group_mut(group) {
                    group.flows.sweep(entries, leaves, &mut gone);
                }
            }
        }
        gone
    }
}
