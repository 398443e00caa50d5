//! The register of sessions. It is in many parts, each with a lock that is held for a few
//! instructions, so that sessions that come and go do not wait for each other.

use std::array;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::live::Direction;
use maily_core::live::Phase;

use crate::kept::Kept;
use crate::session::Live;
use crate::talk::About;
use crate::talk::SessionId;
use crate::talk::SessionRow;
use crate::talk::Talk;

/// The most sessions that are seen at once. There may be more; they go on unseen.
pub const SESSIONS_MAX: usize = 16_384;
const PARTS: usize = 16;

/// Which sessions that are over are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Only these.
    pub direction: Option<Direction>,
    /// Only those with this site.
    pub site: Option<&'a str>,
    /// Only those by this egress source.
    pub source: Option<&'a str>,
    /// Only those in which something failed.
    pub failed: bool,
}

impl Wanted<'_> {
    fn fits(&self, talk: &Talk) -> bool {
        let about = &talk.about;
        self.direction.is_none_or(|direction| direction == about.direction)
            && self.site.is_none_or(|site| site == &*about.site)
            && self.source.is_none_or(|source| source == &*about.source)
            && (!self.failed || talk.record.lock().failed)
    }
}

/// All sessions that go on, and the last ones that are over.
pub struct Sessions {
    pub(crate) clock: Arc<dyn Clock>,
    parts: [Mutex<HashMap<SessionId, Arc<Talk>>>; PARTS],
    count: AtomicUsize,
    most: usize,
    next: AtomicU64,
    kept: Mutex<Kept>,
}

impl Sessions {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_room(clock, SESSIONS_MAX)
    }

    fn with_room(clock: Arc<dyn Clock>, most: usize) -> Arc<Self> {
        // Names of an earlier process are behind these: it had no session each microsecond.
        let next = AtomicU64::new(clock.now().as_micros());
        let parts = array::from_fn(|_| Mutex::default());
        Arc::new(Self {
            clock,
            parts,
            count: AtomicUsize::new(0),
            most,
            next,
            kept: Mutex::default(),
        })
    }

    /// A client has come from this address.
    pub fn come_in(self: &Arc<Self>, peer: String) -> Live {
        self.begin(Direction::In, ("", ""), Phase::Greeting, peer)
    }

    /// We go out to this site, by this egress source.
    pub fn go_out(self: &Arc<Self>, site: &str, source: &str) -> Live {
        self.begin(Direction::Out, (site, source), Phase::Connecting, String::new())
    }

    fn begin(
        self: &Arc<Self>,
        direction: Direction,
        (site, source): (&str, &str),
        phase: Phase,
        peer: String,
    ) -> Live {
        let room = |count| (count < self.most).then_some(count + 1);
        if self.count.try_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            tracing::debug!(peer, "a session goes on unseen: there are {} others", self.most);
            return Live::unseen();
        }
        let id = SessionId(self.next.fetch_add(1, Ordering::Relaxed));
        let (site, source, began) = (site.into(), source.into(), self.clock.now());
        let about = About { id, direction, site, source, began };
        let talk = Arc::new(Talk::new(about, phase, peer));
        if let Some(part) = self.part(id) {
            part.lock().insert(id, Arc::clone(&talk));
        }
        Live::new(Arc::clone(self), talk)
    }

    fn part(&self, id: SessionId) -> Option<&Mutex<HashMap<SessionId, Arc<Talk>>>> {
        // One of another is at hand: the rest of a division by their number is below it.
        self.parts.get((id.0 % PARTS as u64) as usize)
    }

    pub(crate) fn leave(&self, talk: Arc<Talk>) {
        talk.record.lock().close(self.clock.now());
        talk.changed.notify_waiters();
        let id = talk.about.id;
        // It is kept before it leaves, so that whoever looks for it finds it.
        self.kept.lock().keep(talk);
        if let Some(part) = self.part(id) {
            part.lock().remove(&id);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// All sessions that go on, the oldest first.
    pub fn snapshot(&self) -> Vec<SessionRow> {
        let mut talks = Vec::with_capacity(self.count.load(Ordering::Relaxed));
        for part in &self.parts {
            talks.extend(part.lock().values().cloned());
        }
        talks.sort_unstable_by_key(|talk| talk.about.id);
        talks.iter().map(|talk| talk.row()).filter(|row| row.over.is_none()).collect()
    }

    /// A session that goes on, or one that is over and still kept.
    pub fn find(&self, id: SessionId) -> Option<Arc<Talk>> {
        self.live(id).or_else(|| self.kept.lock().find(id))
    }

    fn live(&self, id: SessionId) -> Option<Arc<Talk>> {
        self.part(id)?.lock().get(&id).cloned()
    }

    /// Those that are over and are wanted, the last first.
    pub fn over(&self, wanted: &Wanted<'_>) -> Vec<Arc<Talk>> {
        let mut talks = self.kept.lock().all();
        talks.retain(|talk| wanted.fits(talk));
        talks
            .sort_by_cached_key(|talk| std::cmp::Reverse((talk.record.lock().over, talk.about.id)));
        talks
    }

    /// Asks a session to end: one in is told so at its next turn, one out ends when the message
    /// under way is off its hands. None if there is no such session.
    pub fn ask_to_leave(&self, id: SessionId) -> Option<Direction> {
        let talk = self.live(id)?;
        talk.ask_to_leave();
        Some(talk.about.direction)
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
