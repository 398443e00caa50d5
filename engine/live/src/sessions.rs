//! All sessions, in and out: who begins one enters it here, who looks on finds it here.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use maily_core::clock::Clock;
use maily_core::live::Direction;
use maily_core::live::Phase;
use maily_core::live::record::Record;

use crate::register::Register;
use crate::session::Live;
use crate::talk::About;
use crate::talk::SessionId;
use crate::talk::SessionRow;
use crate::talk::Talk;

/// The most sessions that are seen at once. There may be more; they go on unseen.
pub const SESSIONS_MAX: usize = 16_384;

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
    register: Arc<Register>,
    next: AtomicU64,
}

impl Sessions {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_room(clock, SESSIONS_MAX)
    }

    fn with_room(clock: Arc<dyn Clock>, most: usize) -> Arc<Self> {
        // Names of an earlier process are behind these: it had no session each microsecond.
        let next = AtomicU64::new(clock.now().as_micros());
        Arc::new(Self { register: Arc::new(Register::new(clock, most)), next })
    }

    /// A client has come from this address.
    pub fn come_in(&self, peer: &str) -> Live {
        self.begin(Direction::In, [peer, "", ""], Phase::Greeting)
    }

    /// We go out to this site, by this egress source.
    pub fn go_out(&self, site: &str, source: &str) -> Live {
        self.begin(Direction::Out, ["", site, source], Phase::Connecting)
    }

    fn begin(&self, direction: Direction, with: [&str; 3], phase: Phase) -> Live {
        let register = &self.register;
        if !register.make_room() {
            tracing::debug!(?with, "a session goes on unseen: there are too many others");
            return Live::unseen();
        }
        let id = SessionId(self.next.fetch_add(1, Ordering::Relaxed));
        let [client, site, source] = with.map(Box::from);
        let record = Record::new(register.clock.now(), phase, String::from(&*client));
        let about = About { id, direction, client, site, source, began: record.since };
        let talk = Arc::new(Talk::new(about, record));
        register.enter(&talk);
        Live::new(Arc::clone(register), talk)
    }

    /// All sessions that go on, the oldest first.
    pub fn snapshot(&self) -> Vec<SessionRow> {
        let mut talks = self.register.all();
        talks.sort_unstable_by_key(|talk| talk.about.id);
        talks.iter().map(|talk| talk.row()).filter(|row| row.over.is_none()).collect()
    }

    /// A session that goes on, or one that is over and still kept.
    pub fn find(&self, id: SessionId) -> Option<Arc<Talk>> {
        self.register.live(id).or_else(|| self.register.kept.lock().find(id))
    }

    /// Those that are over and are wanted, and what was kept where something failed.
    /// The last first.
    pub fn over(&self, wanted: &Wanted<'_>) -> Vec<Arc<Talk>> {
        let mut talks = self.register.kept.lock().all();
        talks.retain(|talk| wanted.fits(talk));
        talks.sort_by_cached_key(|talk| Reverse((talk.record.lock().kept, talk.about.id)));
        talks
    }

    /// Asks a session to end: one in is told so at its next turn, one out ends when the message
    /// under way is off its hands. None if there is no such session.
    pub fn ask_to_leave(&self, id: SessionId) -> Option<Direction> {
        let talk = self.register.live(id)?;
        talk.ask_to_leave();
        Some(talk.about.direction)
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
