//! Whose turn it is: the entries of one site that could go, in flows by tenant and campaign, in two
//! classes.
//!
//! Tenants take turns, and a tenant's campaigns take turns within its own, by deficit round robin
//! (Shreedhar and Varghese, 1995): each turn is worth one recipient, and a message goes when its
//! flow has saved up for all of its recipients. So a mailing of a million and a mailing of ten end
//! their first ten together, and a tenant with a hundred campaigns gets no more than one with one.
//! Transactional mail goes first, but of seventeen turns one is for bulk.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::clock::Timestamp;
use crate::mail::envelope::Class;
use crate::queue::entries::Entries;
use crate::queue::entries::Entry;
use crate::queue::entries::List;
use crate::queue::turns::ByClass;
use crate::queue::turns::Turns;

/// What a turn is worth, in recipients.
const TURN: u32 = 1;
/// A message with more recipients saves up for no more than these.
pub const COST_MAX: u16 = 100;

/// Which flow, by the numbers that the streams have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey {
    pub(crate) class: Class,
    pub(crate) tenant: u32,
    pub(crate) flow: u32,
}

/// One campaign's entries, and what it has saved.
#[derive(Debug, Default)]
struct Flow {
    list: List,
    saved: u32,
}

/// One tenant's campaigns in the order of their turns.
#[derive(Debug, Default)]
struct Tenant {
    order: VecDeque<u32>,
    saved: u32,
}

#[derive(Debug, Default)]
struct Many {
    order: VecDeque<u32>,
    tenants: HashMap<u32, Tenant>,
    flows: HashMap<u32, Flow>,
}

/// The flows of one class: mostly none or one, for which there is nothing to weigh.
#[derive(Debug, Default)]
enum Rotation {
    #[default]
    Empty,
    One {
        tenant: u32,
        flow: u32,
        list: List,
    },
    Many(Box<Many>),
}

impl Many {
    fn push(&mut self, entries: &mut Entries, key: FlowKey, entry: u32, front: bool) {
        let list = self.list(key.tenant, key.flow);
        if front { list.push_front(entries, entry) } else { list.push_back(entries, entry) }
    }

    fn list(&mut self, tenant: u32, id: u32) -> &mut List {
        let flow = self.flows.entry(id).or_default();
        if flow.list.is_empty() {
            let turns = self.tenants.entry(tenant).or_default();
            if turns.order.is_empty() {
                self.order.push_back(tenant);
            }
            turns.order.push_back(id);
        }
        &mut flow.list
    }

    fn pop(&mut self, entries: &Entries) -> Option<u32> {
        loop {
            let id = *self.order.front()?;
            let tenant = self.tenants.get_mut(&id)?;
            let flow_id = *tenant.order.front()?;
            let flow = self.flows.get_mut(&flow_id)?;
            let cost = entries.get(flow.list.head()).map_or(1, |entry| u32::from(entry.cost));
            if tenant.saved < cost {
                tenant.saved += TURN;
                self.order.rotate_left(1);
                continue;
            }
            if flow.saved < cost {
                flow.saved += TURN;
                tenant.order.rotate_left(1);
                continue;
            }
            tenant.saved -= cost;
            flow.saved -= cost;
            let key = flow.list.pop(entries);
            if flow.list.is_empty() {
                self.flows.remove(&flow_id);
                tenant.order.pop_front();
            }
            if tenant.order.is_empty() {
                self.tenants.remove(&id);
                self.order.pop_front();
            }
            return key;
        }
    }

    fn sweep(
        &mut self,
        entries: &mut Entries,
        leaves: impl Fn(&Entry) -> bool + Copy,
        left: &mut List,
    ) {
        self.flows.values_mut().for_each(|flow| flow.list.sweep(entries, leaves, left));
        self.flows.retain(|_, flow| !flow.list.is_empty());
        for tenant in self.tenants.values_mut() {
            tenant.order.retain(|flow| self.flows.contains_key(flow));
        }
        self.tenants.retain(|_, tenant| !tenant.order.is_empty());
        self.order.retain(|tenant| self.tenants.contains_key(tenant));
    }

    fn earliest(&self) -> Timestamp {
        self.flows.values().map(|flow| flow.list.earliest()).min().unwrap_or(Timestamp::MAX)
    }
}

impl Rotation {
    fn push(&mut self, entries: &mut Entries, key: FlowKey, entry: u32, front: bool) {
        match self {
            Self::One { flow, list, .. } if *flow == key.flow => {
                if front {
                    list.push_front(entries, entry)
                } else {
                    list.push_back(entries, entry)
                }
            }
            Self::One { tenant, flow, list } => {
                let mut many = Many::default();
                *many.list(*tenant, *flow) = std::mem::take(list);
                many.push(entries, key, entry, front);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => many.push(entries, key, entry, front),
            Self::Empty => {
                let mut list = List::default();
                list.push_back(entries, entry);
                *self = Self::One { tenant: key.tenant, flow: key.flow, list };
            }
        }
    }

    fn pop(&mut self, entries: &Entries) -> Option<u32> {
        let key = match self {
            Self::Empty => None,
            Self::One { list, .. } => list.pop(entries),
            Self::Many(many) => many.pop(entries),
        };
        self.settle();
        key
    }

    /// Whoever has nothing left takes no room.
    fn settle(&mut self) {
        let empty = match self {
            Self::Empty => false,
            Self::One { list, .. } => list.is_empty(),
            Self::Many(many) => many.order.is_empty(),
        };
        if empty {
            *self = Self::Empty;
        }
    }

    const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn sweep(
        &mut self,
        entries: &mut Entries,
        leaves: impl Fn(&Entry) -> bool + Copy,
        left: &mut List,
    ) {
        match self {
            Self::Empty => {}
            Self::One { list, .. } => list.sweep(entries, leaves, left),
            Self::Many(many) => many.sweep(entries, leaves, left),
        }
        self.settle();
    }

    fn earliest(&self) -> Timestamp {
        match self {
            Self::Empty => Timestamp::MAX,
            Self::One { list, .. } => list.earliest(),
            Self::Many(many) => many.earliest(),
        }
    }
}

/// The entries of one site that could go now.
#[derive(Debug)]
pub(crate) struct Flows {
    classes: ByClass<Rotation>,
    turns: Turns,
    length: u32,
    earliest: Timestamp,
}

impl Default for Flows {
    fn default() -> Self {
        let (classes, turns) = (ByClass::default(), Turns::default());
        Self { classes, turns, length: 0, earliest: Timestamp::MAX }
    }
}

impl Flows {
    /// Puts an entry at the end of its flow, or at its front if it has had its turn already.
    pub(crate) fn push(&mut self, entries: &mut Entries, key: FlowKey, entry: u32, front: bool) {
        self.length += 1;
        if let Some(entry) = entries.get(entry) {
            self.earliest = self.earliest.min(entry.expires_at);
        }
        self.classes.get_mut(key.class).push(entries, key, entry, front);
    }

    pub(crate) fn pop(&mut self, entries: &Entries) -> Option<u32> {
        if self.length == 0 {
            return None;
        }
        let [first, second] = self.turns.next();
        let key = match self.classes.get_mut(first).pop(entries) {
            Some(key) => Some(key),
            None => self.classes.get_mut(second).pop(entries),
        };
        self.length -= 1;
        if self.length == 0 {
            self.earliest = Timestamp::MAX;
        }
        key
    }

    pub(crate) const fn len(&self) -> usize {
        self.length as usize
    }

    /// The most urgent class that has something; none if there is nothing.
    pub(crate) const fn class(&self) -> Option<Class> {
        if !self.classes.get(Class::Transactional).is_empty() {
            Some(Class::Transactional)
        } else if self.length > 0 {
            Some(Class::Bulk)
        } else {
            None
        }
    }

    /// Nothing here expires before.
    pub(crate) const fn earliest(&self) -> Timestamp {
        self.earliest
    }

    /// Moves what leaves to another list. Looks at every entry.
    pub(crate) fn sweep(
        &mut self,
        entries: &mut Entries,
        leaves: impl Fn(&Entry) -> bool + Copy,
        left: &mut List,
    ) {
        let before = left.len();
        for class in [Class::Transactional, Class::Bulk] {
            self.classes.get_mut(class).sweep(entries, leaves, left);
        }
        self.length -= (left.len() - before) as u32;
        let of = |class| self.classes.get(class).earliest();
        self.earliest = of(Class::Transactional).min(of(Class::Bulk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::entries;
    use crate::queue::entries::tests::entry;

    struct Site {
        flows: Flows,
        entries: Entries,
    }

    impl Site {
        fn push(&mut self, class: Class, tenant: u32, flow: u32, cost: u16, count: u64) {
            for n in 0..count {
                let key = self.entries.insert(Entry { cost, flow, ..entry(n) });
                self.flows.push(&mut self.entries, FlowKey { class, tenant, flow }, key, false);
            }
        }

        /// The flows of the next entries.
        fn pop(&mut self, count: usize) -> Vec<u32> {
            (0..count)
                .filter_map(|_| self.flows.pop(&self.entries))
                .map(|key| self.entries.get(key).unwrap().flow)
                .collect()
        }
    }

    fn site() -> Site {
        Site { flows: Flows::default(), entries: Entries::default() }
    }

    fn count(flows: &[u32], flow: u32) -> usize {
        flows.iter().filter(|f| **f == flow).count()
    }

    #[test]
    fn a_small_flow_does_not_wait_for_a_large_one() {
        let mut site = site();
        site.push(Class::Bulk, 1, 1, 1, 1_000);
        site.push(Class::Bulk, 2, 2, 1, 3);
        let first = site.pop(7);
        assert_eq!((count(&first, 1), count(&first, 2)), (4, 3), "{first:?}");
        assert_eq!(site.pop(2_000).len(), 996);
        assert_eq!((site.flows.len(), site.flows.class()), (0, None));
    }

    #[test]
    fn a_tenant_gets_no_more_for_having_many_campaigns() {
        let mut site = site();
        (10..20).for_each(|flow| site.push(Class::Bulk, 1, flow, 1, 100));
        site.push(Class::Bulk, 2, 2, 1, 100);
        let first = site.pop(100);
        assert!((45..=55).contains(&count(&first, 2)), "{first:?}");
        (10..20).for_each(|flow| assert!((4..=6).contains(&count(&first, flow)), "{first:?}"));
    }

    #[test]
    fn a_message_with_many_recipients_counts_as_many() {
        let mut site = site();
        site.push(Class::Bulk, 1, 1, 10, 100);
        site.push(Class::Bulk, 2, 2, 1, 1_000);
        let first = site.pop(110);
        assert!((9..=11).contains(&count(&first, 1)), "{first:?}");
    }

    #[test]
    fn transactional_mail_goes_first_and_bulk_is_not_starved() {
        let mut site = site();
        site.push(Class::Bulk, 1, 1, 1, 100);
        site.push(Class::Transactional, 2, 2, 1, 100);
        assert_eq!(site.flows.class(), Some(Class::Transactional));
        let first = site.pop(34);
        assert_eq!((count(&first, 1), first[0]), (2, 2));
    }

    #[test]
    fn what_has_expired_is_swept_out_and_the_rest_keeps_its_turns() {
        let mut site = site();
        site.push(Class::Bulk, 1, 1, 1, 5);
        site.push(Class::Bulk, 2, 2, 1, 10);
        assert_eq!(site.flows.earliest(), Timestamp::from_secs(1_000));
        let mut expired = List::default();
        let late = entries::expired(Timestamp::from_secs(1_005));
        site.flows.sweep(&mut site.entries, late, &mut expired);
        assert_eq!((expired.len(), site.flows.len()), (11, 4));
        assert_eq!(site.flows.earliest(), Timestamp::from_secs(1_006));
        assert_eq!(site.pop(10), [2, 2, 2, 2]);
    }
}
