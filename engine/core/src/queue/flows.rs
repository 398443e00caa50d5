//! Whose turn it is: messages of one site, in flows by tenant and campaign, in two classes.
//!
//! Each flow gets one message in turn, so that a mailing of a million and a mailing of ten end
//! their first ten together. Transactional mail goes first, but of seventeen turns one is for bulk.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::mail::envelope::Class;

/// Turns of transactional mail before bulk mail gets one.
const TRANSACTIONAL_TURNS: u32 = 16;

/// A flow: one tenant's campaign, as a number.
pub(crate) type FlowId = u32;

#[derive(Debug, Default)]
struct Rotation {
    flows: HashMap<FlowId, VecDeque<u32>>,
    order: VecDeque<FlowId>,
}

impl Rotation {
    fn push(&mut self, flow: FlowId, entry: u32) {
        let queue = self.flows.entry(flow).or_default();
        if queue.is_empty() {
            self.order.push_back(flow);
        }
        queue.push_back(entry);
    }

    fn pop(&mut self) -> Option<u32> {
        let flow = self.order.pop_front()?;
        let queue = self.flows.get_mut(&flow)?;
        let entry = queue.pop_front();
        if queue.is_empty() {
            self.flows.remove(&flow);
        } else {
            self.order.push_back(flow);
        }
        entry
    }
}

/// The entries of one site that could go now.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    transactional: Rotation,
    bulk: Rotation,
    turns: u32,
    length: usize,
}

impl Flows {
    pub(crate) fn push(&mut self, class: Class, flow: FlowId, entry: u32) {
        self.length += 1;
        match class {
            Class::Transactional => self.transactional.push(flow, entry),
            Class::Bulk => self.bulk.push(flow, entry),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<u32> {
        let bulk_first = self.turns >= TRANSACTIONAL_TURNS;
        let entry = if bulk_first {
            self.bulk.pop().or_else(|| self.transactional.pop())
        } else {
            self.transactional.pop().or_else(|| self.bulk.pop())
        };
        self.turns = if bulk_first { 0 } else { self.turns + 1 };
        self.length -= usize::from(entry.is_some());
        entry
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_flow_does_not_wait_for_a_large_one() {
        let mut flows = Flows::default();
        (0..1_000).for_each(|n| flows.push(Class::Bulk, 1, n));
        (5_000..5_003).for_each(|n| flows.push(Class::Bulk, 2, n));
        let first: Vec<_> = (0..6).filter_map(|_| flows.pop()).collect();
        assert_eq!(first, [0, 5_000, 1, 5_001, 2, 5_002]);
    }

    #[test]
    fn transactional_mail_goes_first_and_bulk_is_not_starved() {
        let mut flows = Flows::default();
        (0..100).for_each(|n| flows.push(Class::Bulk, 1, n));
        (1_000..1_100).for_each(|n| flows.push(Class::Transactional, 2, n));
        let first: Vec<_> = (0..34).filter_map(|_| flows.pop()).collect();
        assert_eq!(first.iter().filter(|n| **n < 1_000).count(), 2);
        assert_eq!(first[0], 1_000);
        assert_eq!(flows.len(), 166);
    }
}
