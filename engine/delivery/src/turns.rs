//! Whose turn it is at the threads that write and sign: one message of each tenant after the other,
//! so that nobody's slow templates keep another's mail waiting for more than one message a thread.
//!
//! What is written late lies in memory until its next hop has taken it, and a next hop may take
//! minutes. So there is a bound for all that is written and not sent, and a smaller one for each
//! tenant. Who is at it waits until something of theirs has gone; others go on. A message that is
//! being written is counted when it is done: the bounds are passed by one message a thread at most.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Condvar;
use parking_lot::Mutex;

/// Octets of all messages that are written and not sent.
pub const WRITTEN_OCTETS_MAX: usize = 256 << 20;
/// Octets of one tenant's messages that are written and not sent.
pub const WRITTEN_OCTETS_MAX_EACH: usize = WRITTEN_OCTETS_MAX / 2;

/// Who waits: a tenant's messages that are bound late do not stand before those that are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// Whether they are written only now.
    pub late: bool,
    /// Whose they are.
    pub tenant: Box<str>,
}

/// What one flow has.
#[derive(Debug)]
struct Share<T> {
    waiting: VecDeque<T>,
    /// Octets that are written and not sent.
    written: usize,
}

impl<T> Default for Share<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), written: 0 }
    }
}

#[derive(Debug)]
struct State<T> {
    shares: BTreeMap<Flow, Share<T>>,
    /// Who has something waiting, in the order of their turns.
    order: VecDeque<Flow>,
    written: usize,
    ended: bool,
}

/// The queue before the threads.
#[derive(Debug)]
pub struct Turns<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    written_max: usize,
    written_max_each: usize,
}

/// The place in memory that a written message takes until this is dropped.
pub struct Written {
    octets: usize,
    flow: Flow,
    turns: Arc<dyn Room>,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").field("octets", &self.octets).finish_non_exhaustive()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.turns.give_back(&self.flow, self.octets);
    }
}

/// Where [`Written`] goes back to.
trait Room: Send + Sync {
    fn give_back(&self, flow: &Flow, octets: usize);
}

impl<T: Send + 'static> Turns<T> {
    /// Nobody waits, and nothing is written.
    pub fn new(written_max: usize, written_max_each: usize) -> Self {
        let state =
            State { shares: BTreeMap::new(), order: VecDeque::new(), written: 0, ended: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Self { state, changed, written_max, written_max_each }
    }

    /// Something waits for a thread.
    pub fn push(&self, flow: Flow, work: T) {
        let mut state = self.state.lock();
        let share = state.shares.entry(flow.clone()).or_default();
        share.waiting.push_back(work);
        if share.waiting.len() == 1 {
            state.order.push_back(flow);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The next that may go; waits for it. None at the end.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(work) = self.next(&mut state) {
                return Some(work);
            }
            self.changed.wait(&mut state);
        }
    }

    fn next(&self, state: &mut State<T>) -> Option<T> {
        let State { shares, order, written, .. } = state;
        let full = *written >= self.written_max;
        let may_go = |flow: &Flow| {
            let share = shares.get(flow).map_or(0, |share| share.written);
            !flow.late || (!full && share < self.written_max_each)
        };
        let flow = order.remove(order.iter().position(may_go)?)?;
        let share = shares.get_mut(&flow)?;
        let work = share.waiting.pop_front();
        if share.waiting.is_empty() {
            Self::tidy(shares, &flow);
        } else {
            order.push_back(flow);
        }
        work
    }

    fn tidy(shares: &mut BTreeMap<Flow, Share<T>>, flow: &Flow) {
        if shares.get(flow).is_some_and(|share| share.waiting.is_empty() && share.written == 0) {
            shares.remove(flow);
        }
    }

    /// A message has been written.
    pub fn written(self: &Arc<Self>, flow: Flow, octets: usize) -> Written {
        let mut state = self.state.lock();
        state.written += octets;
        state.shares.entry(flow.clone()).or_default().written += octets;
        Written { octets, flow, turns: Arc::clone(self) as Arc<dyn Room> }
    }

    /// The threads get nothing more.
    pub fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }
}

impl<T: Send + 'static> Room for Turns<T> {
    fn give_back(&self, flow: &Flow, octets: usize) {
        let mut state = self.state.lock();
        state.written = state.written.saturating_sub(octets);
        if let Some(share) = state.shares.get_mut(flow) {
            share.written = share.written.saturating_sub(octets);
            Self::tidy(&mut state.shares, flow);
        }
        drop(state);
        // Of those who wait, more than one may go now.
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Arc<Turns<u32>> {
        Arc::new(Turns::new(100, 60))
    }

    fn late(tenant: &str) -> Flow {
        Flow { late: true, tenant: tenant.into() }
    }

    fn next(turns: &Turns<u32>) -> Option<u32> {
        turns.next(&mut turns.state.lock())
    }

    #[test]
    fn each_tenant_has_its_turn_however_much_another_has_waiting() {
        let turns = turns();
        (0..100).for_each(|number| turns.push(late("bulk"), number));
        turns.push(late("shop"), 1_000);
        turns.push(late("shop"), 1_001);
        let order: Vec<_> = (0..5).filter_map(|_| next(&turns)).collect();
        assert_eq!(order, [0, 1_000, 1, 1_001, 2]);
    }

    #[test]
    fn who_has_too_much_written_and_not_sent_waits_and_others_go_on() {
        let turns = turns();
        (0..3).for_each(|number| turns.push(late("big"), number));
        turns.push(late("shop"), 10);
        turns.push(Flow { late: false, tenant: "big".into() }, 20);
        assert_eq!(next(&turns), Some(0));
        let first = turns.written(late("big"), 59);
        assert_eq!(next(&turns), Some(10));
        assert_eq!(next(&turns), Some(20));
        assert_eq!(next(&turns), Some(1), "below its bound, it may pass it by one");
        let second = turns.written(late("big"), 1);
        assert_eq!(next(&turns), None);
        drop(first);
        assert_eq!(next(&turns), Some(2));
        drop(second);
        assert!(turns.state.lock().shares.is_empty(), "nothing is kept of who has nothing");
    }

    #[test]
    fn all_together_have_a_bound() {
        let turns = turns();
        let held: Vec<_> = ["a", "b"].map(|name| turns.written(late(name), 50)).into();
        turns.push(late("c"), 1);
        assert_eq!(next(&turns), None);
        turns.push(Flow { late: false, tenant: "c".into() }, 2);
        assert_eq!(next(&turns), Some(2), "what is only signed needs no room");
        drop(held);
        assert_eq!(next(&turns), Some(1));
    }

    #[test]
    fn a_thread_that_waits_for_room_is_woken_by_it_and_by_the_end() {
        let turns = turns();
        let held = turns.written(late("a"), 60);
        turns.push(late("a"), 7);
        let waiting = Arc::clone(&turns);
        let thread = std::thread::spawn(move || (waiting.pop(), waiting.pop()));
        drop(held);
        while !turns.state.lock().order.is_empty() {
            std::thread::yield_now();
        }
        turns.end();
        assert_eq!(thread.join().unwrap(), (Some(7), None));
    }
}
