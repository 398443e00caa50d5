//! Where sessions are found while they go on, and afterwards. It is in many parts, each with a lock
//! that is held for a few instructions, so that sessions that come and go do not wait for each
//! other.

use std::array;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::live::record::Record;

use crate::kept::Kept;
use crate::talk::SessionId;
use crate::talk::Talk;

const PARTS: usize = 16;

type Part = Mutex<HashMap<SessionId, Arc<Talk>>>;

/// All sessions.
pub(crate) struct Register {
    pub(crate) clock: Arc<dyn Clock>,
    /// The last ones that are over.
    pub(crate) kept: Mutex<Kept>,
    parts: [Part; PARTS],
    count: AtomicUsize,
    most: usize,
}

impl Register {
    pub(crate) fn new(clock: Arc<dyn Clock>, most: usize) -> Self {
        let parts = array::from_fn(|_| Mutex::default());
        Self { clock, kept: Mutex::default(), parts, count: AtomicUsize::new(0), most }
    }

    /// Makes room for one more session; false if there is none.
    pub(crate) fn make_room(&self) -> bool {
        let room = |count| (count < self.most).then_some(count + 1);
        self.count.try_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    /// A session goes on from now on. There must be room for it.
    pub(crate) fn enter(&self, talk: &Arc<Talk>) {
        if let Some(part) = self.part(talk.about.id) {
            part.lock().insert(talk.about.id, Arc::clone(talk));
        }
    }

    /// A session is over.
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

    /// Something failed in a session that may go on.
    pub(crate) fn keep_failure(&self, talk: &Talk, failure: Record) {
        let copy = Arc::new(Talk::new(talk.about.clone(), failure));
        self.kept.lock().keep_failure(copy);
    }

    /// A session that goes on.
    pub(crate) fn live(&self, id: SessionId) -> Option<Arc<Talk>> {
        self.part(id)?.lock().get(&id).cloned()
    }

    /// All sessions that go on.
    pub(crate) fn all(&self) -> Vec<Arc<Talk>> {
        let mut talks = Vec::with_capacity(self.count.load(Ordering::Relaxed));
        for part in &self.parts {
            talks.extend(part.lock().values().cloned());
        }
        talks
    }

    fn part(&self, id: SessionId) -> Option<&Part> {
        // There always is one: the rest of a division by their number is below it.
        self.parts.get((id.0 % PARTS as u64) as usize)
    }
}
