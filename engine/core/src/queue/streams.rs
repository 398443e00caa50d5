//! The streams that have mail waiting, each under a number: one tenant's campaign in one class.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;

use crate::mail::envelope::Stream;
use crate::queue::entries::List;
use crate::queue::flows::FlowKey;
use crate::queue::slab::Slab;
use crate::queue::suspension::Suspensions;
use crate::queue::watch::Watch;

/// Streams without mail that are remembered, so that one that comes and goes costs nothing.
const IDLE_MAX: usize = 1_024;

#[derive(Debug)]
pub(crate) struct StreamInfo {
    pub(crate) stream: Stream,
    /// For turns: streams of one tenant have the same, and others hardly ever.
    tenant: u32,
    pub(crate) pool: u16,
    pub(crate) suspended: bool,
    pub(crate) held: List,
    pub(crate) watch: Watch,
    entries: u32,
    idle: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Streams {
    streams: Slab<StreamInfo>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    idle: VecDeque<u32>,
}

impl Streams {
    /// The number of a stream that gets an entry, by this pool.
    pub(crate) fn enter(&mut self, stream: &Stream, pool: u16, suspensions: &Suspensions) -> u32 {
        let hash = self.hasher.hash_one(stream);
        let same = |number: &u32| {
            let known = self.streams.get(*number);
            known.is_some_and(|known| known.pool == pool && known.stream == *stream)
        };
        let number = match self.numbers.find(hash, same) {
            Some(number) => *number,
            None => {
                let number = self.streams.insert(StreamInfo {
                    stream: stream.clone(),
                    tenant: self.hasher.hash_one(&stream.tenant) as u32,
                    pool,
                    suspended: suspensions.stream(stream),
                    held: List::default(),
                    watch: Watch::default(),
                    entries: 0,
                    idle: false,
                });
                let (streams, hasher) = (&self.streams, &self.hasher);
                let rehash = |number: &u32| {
                    streams.get(*number).map_or(0, |info| hasher.hash_one(&info.stream))
                };
                self.numbers.insert_unique(hash, number, rehash);
                number
            }
        };
        if let Some(info) = self.streams.get_mut(number) {
            info.entries += 1;
        }
        number
    }

    /// One of its entries is gone.
    pub(crate) fn leave(&mut self, number: u32) {
        let Some(info) = self.streams.get_mut(number) else { return };
        info.entries -= 1;
        if info.entries > 0 || info.idle {
            return;
        }
        info.idle = true;
        self.idle.push_back(number);
        if self.idle.len() > IDLE_MAX
            && let Some(oldest) = self.idle.pop_front()
        {
            self.forget_idle(oldest);
        }
    }

    fn forget_idle(&mut self, number: u32) {
        let Some(info) = self.streams.get_mut(number) else { return };
        info.idle = false;
        if info.entries > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&info.stream);
        if let Ok(found) = self.numbers.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        self.streams.remove(number);
    }

    pub(crate) fn get(&self, number: u32) -> Option<&StreamInfo> {
        self.streams.get(number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut StreamInfo> {
        self.streams.get_mut(number)
    }

    /// The numbers of all streams; for what an operator asks, not for what happens often.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.numbers.iter().copied().collect()
    }
}

impl StreamInfo {
    pub(crate) const fn key(&self, number: u32) -> FlowKey {
        FlowKey { class: self.stream.class, tenant: self.tenant, flow: number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_come_and_go_are_forgotten() {
        let none = Suspensions::default();
        let mut streams = Streams::default();
        let stream = |n: usize| Stream { campaign: format!("c{n}").into(), ..Stream::default() };
        let busy = streams.enter(&stream(0), 0, &none);
        assert_ne!(streams.enter(&stream(0), 1, &none), busy, "another pool, another stream");
        for n in 1..5_000 {
            let number = streams.enter(&stream(n), 0, &none);
            assert_eq!(streams.get(number).map(|info| &info.stream), Some(&stream(n)));
            streams.leave(number);
        }
        assert_eq!(streams.streams.len(), IDLE_MAX + 2);
        assert_eq!(streams.enter(&stream(0), 0, &none), busy);
        assert_eq!(streams.numbers().len(), IDLE_MAX + 2);
    }
}
