//! Reads events as the contract says them: of one project or of all, from any place, each once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use parking_lot::RwLock;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_core::bounce::classify::Rules;
use maily_core::clock::Timestamp;
use maily_core::event;
use maily_core::event::Labels;
use maily_core::event::What;
use maily_core::mail::id::QueueId;
use maily_core::render::mailing::Mailing;
use maily_events::cursor::Cursor;
use maily_events::feed::Feed;
use maily_events::feed::FeedError;
use maily_events::feed::Found;
use maily_events::feed::PAGE_EVENTS_MAX;
use maily_registry::name::Name;
use maily_spool::body::Body;
use maily_spool::spool::Spool;

use crate::event_id::EventId;
use crate::stories::Stories;
use crate::stories::Story;
use crate::telling;

/// Pages of the log that are looked through for one answer.
const PAGES_MAX: usize = 8;
/// Mailings of which it is remembered what they say beside their words.
const LABELS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
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
    /// What mailings say beside their words, by their names in the spool.
    labels: Arc<Mutex<LruCache<[u8; 32], Arc<Labels>>>>,
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
        let labels = Arc::new(Mutex::new(LruCache::new(LABELS_MAX)));
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
        let labels = match &stored.submission.body {
            Body::Template { template, .. } => self.labels(template),
            Body::Stored(_) => Arc::default(),
        };
        Some(Story::of_stored(&stored, labels))
    }

    fn labels(&self, template: &[u8; 32]) -> Arc<Labels> {
        if let Some(labels) = self.labels.lock().get(template) {
            return Arc::clone(labels);
        }
        let octets = self.spool.template(template).ok();
        let mailing = octets.and_then(|octets| Mailing::decode(&octets).ok());
        let Some(Mailing { tags, meta, .. }) = mailing else { return Arc::default() };
        let labels = Arc::new(Labels { tags, meta });
        self.labels.lock().put(*template, Arc::clone(&labels));
        labels
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
