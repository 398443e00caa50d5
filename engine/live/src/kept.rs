//! The last sessions that are over. Those out by site and source, so that one site that is tried
//! again and again does not push out the others; those that failed once more, so that many that
//! went well do not. What comes in is kept apart from what goes out: whoever connects to us often
//! pushes nothing of ours out.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use maily_core::live::Direction;

use crate::talk::SessionId;
use crate::talk::Talk;

/// The last sessions of one site and source.
pub(crate) const EACH_MAX: usize = 4;
/// Sites and sources of which sessions are kept; those with none for the longest time go first.
pub(crate) const PAIRS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1_023);
/// The last sessions in.
pub(crate) const IN_MAX: usize = 64;
/// The last sessions in which something failed, of either direction.
pub(crate) const FAILED_MAX: usize = 200;
/// How many of them may be with one client, or with one site by one source.
pub(crate) const FAILED_EACH_MAX: usize = 50;
/// Octets of the lines of all sessions out that are kept by site and source.
pub(crate) const OCTETS_MAX: usize = 16 << 20;

type Pair = (Box<str>, Box<str>);

/// The last sessions.
pub(crate) struct Kept {
    pairs: LruCache<Pair, VecDeque<Arc<Talk>>>,
    octets: usize,
    octets_max: usize,
    came_in: VecDeque<Arc<Talk>>,
    failed_in: VecDeque<Arc<Talk>>,
    failed_out: VecDeque<Arc<Talk>>,
}

impl Default for Kept {
    fn default() -> Self {
        Self::with_room(PAIRS_MAX, OCTETS_MAX)
    }
}

impl Kept {
    pub(crate) fn with_room(pairs_max: NonZeroUsize, octets_max: usize) -> Self {
        Self {
            pairs: LruCache::new(pairs_max),
            octets: 0,
            octets_max,
            came_in: VecDeque::new(),
            failed_in: VecDeque::new(),
            failed_out: VecDeque::new(),
        }
    }

    /// Keeps a session that is over.
    pub(crate) fn keep(&mut self, talk: Arc<Talk>) {
        // Of what failed before there is a copy.
        if talk.record.lock().has_news() {
            self.keep_failure(Arc::clone(&talk));
        }
        match talk.about.direction {
            Direction::In => {
                push(&mut self.came_in, talk, IN_MAX);
            }
            Direction::Out => self.keep_of_pair(talk),
        }
    }

    /// Keeps what failed.
    pub(crate) fn keep_failure(&mut self, talk: Arc<Talk>) {
        let ring = match talk.about.direction {
            Direction::In => &mut self.failed_in,
            Direction::Out => &mut self.failed_out,
        };
        let mut alike = (0..).zip(&*ring).filter(|(_, old)| old.about.is_like(&talk.about));
        let first = alike.next().map(|(place, _)| place);
        if alike.count() + 1 >= FAILED_EACH_MAX {
            first.and_then(|place| ring.remove(place));
        }
        push(ring, talk, FAILED_MAX);
    }

    fn keep_of_pair(&mut self, talk: Arc<Talk>) {
        let pair = (talk.about.site.clone(), talk.about.source.clone());
        self.octets += octets(&talk);
        if let Some(of_pair) = self.pairs.get_mut(&pair) {
            if let Some(old) = push(of_pair, talk, EACH_MAX) {
                self.octets -= octets(&old);
            }
        } else if let Some((_, old)) = self.pairs.push(pair, VecDeque::from([talk])) {
            self.octets -= old.iter().map(octets).sum::<usize>();
        }
        while self.octets > self.octets_max {
            let Some((_, old)) = self.pairs.pop_lru() else { break };
            self.octets -= old.iter().map(octets).sum::<usize>();
        }
    }

    fn each(&self) -> impl Iterator<Item = &Arc<Talk>> {
        let pairs = self.pairs.iter().flat_map(|(_, of_pair)| of_pair);
        pairs.chain(&self.came_in).chain(&self.failed_in).chain(&self.failed_out)
    }

    /// All that are kept, each once.
    pub(crate) fn all(&self) -> Vec<Arc<Talk>> {
        let all: HashMap<_, _> = self.each().map(|talk| (Arc::as_ptr(talk), talk)).collect();
        all.into_values().cloned().collect()
    }

    pub(crate) fn find(&self, id: SessionId) -> Option<Arc<Talk>> {
        self.each().find(|talk| talk.about.id == id).cloned()
    }
}

/// Adds one; gives the oldest if that is one too many.
fn push(ring: &mut VecDeque<Arc<Talk>>, talk: Arc<Talk>, most: usize) -> Option<Arc<Talk>> {
    let old = if ring.len() >= most { ring.pop_front() } else { None };
    ring.push_back(talk);
    old
}

/// What a session that is over takes: it does not change any more.
fn octets(talk: &Arc<Talk>) -> usize {
    size_of::<Talk>() + talk.record.lock().octets_kept()
}
