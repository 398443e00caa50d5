//! Reads events as the contract says them: of one project or of all, from any place, each once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use parking_lot::RwLock;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_core::bounce::classify::Rules;
use maily_core::clock::Timestamp;
use maily_core::event;
use maily_core::event::What;
use maily_core::mail::id::QueueId;
use maily_delivery::labels::LabelCache;
use maily_events::cursor::Cursor;
use maily_events::feed::Feed;
use maily_events::feed::FeedError;
use maily_events::feed::Found;
use maily_events::feed::PAGE_EVENTS_MAX;
use maily_registry::name::Name;
use maily_spool::spool::Spool;

use crate::event_id::EventId;
use crate::stories::Stories;
use crate::stories::Story;
use crate::telling;

/// Pages of the log that are looked through for one answer.
const PAGES_MAX: usize = 8;
/// The acceptances of a batch are written when all of it is on disk, and its first messages may be
/// delivered by then: what happened to a message that nothing is known of waits so long for it.
const HELD_BACK: Duration = Duration::from_secs(10);

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of this project; of all, and of none, if not set.
    pub project: Option<Name>,
    /// Of these types; of all if there are none.
    pub types: Vec<EventType>,
}

/// Some events, oldest first.
#[derive(Clone, Debug)]
pub struct Told {
    /// Each with its id.
    pub events: Vec<(EventId, Event)>,
    /// From where to read on.
    pub next: EventId,
    /// There is more already: reading on need not wait.
    pub more: bool,
    /// Up to where the log was looked at: more may be there behind this place.
    pub seen: Cursor,
}

/// A reader of events; clones share what is known of messages.
#[derive(Clone, Debug)]
pub struct Reader {
    feed: Feed,
    spool: Spool,
    stories: Arc<Mutex<Stories>>,
    /// What mailings say beside their words.
    labels: LabelCache,
    /// What replies mean.
    rules: Arc<RwLock<Arc<Rules>>>,
}

/// Messages with their stories, or without one where there is none to be had.
type Messages = BTreeMap<QueueId, Option<Arc<Story>>>;

/// What one answer is made of.
struct Answering<'a> {
    rules: &'a Rules,
    after: EventId,
    limit: usize,
    selection: &'a Selection,
    told: Told,
}

impl Reader {
    /// A reader of this log, about messages of this spool; replies are read by these rules.
    pub fn new(feed: Feed, spool: Spool, rules: Arc<Rules>) -> Self {
        let labels = LabelCache::new(spool.clone());
        let rules = Arc::new(RwLock::new(rules));
        Self { feed, spool, stories: Arc::default(), labels, rules }
    }

    /// Reads replies by these rules from now on.
    pub fn read_by(&self, rules: Arc<Rules>) {
        *self.rules.write() = rules;
    }

    /// At the oldest event that is kept.
    pub const fn oldest(&self) -> EventId {
        EventId::before(Cursor::OLDEST)
    }

    /// Behind the newest event.
    pub fn newest(&self) -> EventId {
        EventId::before(self.feed.newest())
    }

    /// Returns when there are events behind this place.
    pub async fn wait(&self, seen: Cursor) {
        self.feed.wait(seen).await;
    }

    /// The wanted events behind this place, up to so many; blocks. There may be few though there is
    /// more, where little is wanted.
    ///
    /// # Errors
    /// The place is not in the log any more, or the log could not be read.
    pub fn read(
        &self,
        after: EventId,
        limit: usize,
        selection: &Selection,
        now: Timestamp,
    ) -> Result<Told, FeedError> {
        let seen = self.feed.newest();
        let told = Told { events: Vec::new(), next: after, more: true, seen };
        let rules = Arc::clone(&self.rules.read());
        let mut answering = Answering { rules: &rules, after, limit, selection, told };
        for _ in 0..PAGES_MAX {
            let wanted = |event: &event::Event| self.may_be(event, selection);
            let from = answering.told.next.start;
            let page = self.feed.read(from, limit.min(PAGE_EVENTS_MAX), wanted)?;
            let known = self.look_up(&page.events, now)?;
            if !page.events.iter().all(|found| answering.add(found, &known)) {
                return Ok(answering.told);
            }
            let told = &mut answering.told;
            told.next = told.next.max(EventId::before(page.next));
            told.more = page.more;
            if !told.more || told.events.len() >= limit {
                break;
            }
        }
        Ok(answering.told)
    }

    /// Whether an event may be wanted, as far as is known; learns from it what there is to learn.
    /// An event that is not in the log yet, as it will be told; none if nothing is known of its
    /// message. Blocks.
    ///
    /// # Errors
    /// The log could not be read.
    pub fn about(&self, event: event::Event, now: Timestamp) -> Result<Option<Event>, FeedError> {
        let (id, rules) = (event.id, Arc::clone(&self.rules.read()));
        let (start, end) = (Cursor::OLDEST, Cursor::OLDEST);
        let found = [Found { start, end, event }];
        let known = self.look_up(&found, now)?;
        let Some(story) = known.get(&id).and_then(Option::as_deref) else { return Ok(None) };
        let [found] = &found;
        Ok(telling::tell(found, Some(story), &rules).into_iter().next().map(|(_, told)| told))
    }

    fn may_be(&self, event: &event::Event, selection: &Selection) -> bool {
        let mut stories = self.stories.lock();
        if let What::Accepted(accepted) = &event.what {
            stories.put(event.id, Some(Arc::new(Story::of_accepted(accepted))));
        }
        if !telling::fits(&event.what, &selection.types) {
            return false;
        }
        let Some(wanted) = &selection.project else { return true };
        match stories.get(event.id) {
            Some(story) => telling::project(&event.what, story.as_deref()) == Some(wanted.as_str()),
            None => true,
        }
    }

    /// The messages of these events, as far as they are known: by heart; from the spool while they
    /// wait; else from the log, all together.
    fn look_up(&self, events: &[Found], now: Timestamp) -> Result<Messages, FeedError> {
        let (mut known, mut missing) = (Messages::new(), BTreeSet::new());
        for found in events {
            let id = found.event.id;
            let by_heart = self.stories.lock().get(id);
            if let Some(story) = by_heart {
                known.insert(id, story);
            } else if let Some(story) = self.waiting(id) {
                self.learn(&mut known, id, Some(story));
            } else {
                missing.insert(id);
            }
        }
        if missing.is_empty() {
            return Ok(known);
        }
        for (id, accepted) in self.feed.acceptances(&missing)? {
            self.learn(&mut known, id, Some(Story::of_accepted(&accepted)));
        }
        for found in events {
            let id = found.event.id;
            if !known.contains_key(&id) && now.since(found.event.at) >= HELD_BACK {
                self.learn(&mut known, id, None);
            }
        }
        Ok(known)
    }

    fn learn(&self, known: &mut Messages, id: QueueId, story: Option<Story>) {
        let story = story.map(Arc::new);
        self.stories.lock().put(id, story.clone());
        known.insert(id, story);
    }

    fn waiting(&self, id: QueueId) -> Option<Story> {
        let stored = self.spool.hot(id);
        let stored = stored.or_else(|| self.spool.get(id).ok())?;
        Some(Story::of_stored(&stored, self.labels.of(&stored)))
    }
}

impl Answering<'_> {
    /// Adds the events of a record; false if nothing behind it is to be added.
    fn add(&mut self, found: &Found, known: &Messages) -> bool {
        let told = &mut self.told;
        let Some(story) = known.get(&found.event.id) else {
            (told.next, told.more) = (told.next.max(EventId::before(found.start)), false);
            return false;
        };
        let project = telling::project(&found.event.what, story.as_deref());
        let selection = self.selection;
        if selection.project.as_ref().is_some_and(|name| project != Some(name.as_str())) {
            return true;
        }
        for (id, event) in telling::tell(found, story.as_deref(), self.rules) {
            let wanted = selection.types.is_empty() || selection.types.contains(&event.kind);
            if id <= self.after || !wanted {
                continue;
            }
            if told.events.len() >= self.limit {
                return false;
            }
            told.next = id;
            told.events.push((id, event));
        }
        true
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
