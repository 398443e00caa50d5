//! Sends events to webhooks: each follows the log from its own place, one event after the other. A
//! webhook that takes nothing does not move; what it has not taken in all its time is set aside. No
//! event is a queued message. After a crash a few events may come again, under the same ids.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio::task::JoinSet;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_egress::post::Poster;
use maily_egress::post::Target;
use maily_events::cursor::Cursor;
use maily_events::feed::FeedError;
use maily_registry::error::RegistryError;
use maily_registry::progress::DEAD_LETTERS_MAX;
use maily_registry::progress::DeadLetter;
use maily_registry::progress::Progress;
use maily_registry::registry::Registry;
use maily_registry::webhook::Webhook;

use crate::event_id::EventId;
use crate::hook_meters::HookMeters;
use crate::reading::Reader;
use crate::reading::Selection;
use crate::reading::Told;
use crate::retry;
use crate::retry::Retry;
use crate::seal;

/// Events that are sent before the place is written down.
const EVENTS_AT_ONCE: usize = 50;
/// When what is ours could not be read or written, it is tried again after this time.
const OUR_FAULT: Duration = Duration::from_secs(30);
/// By this status a receiver says that it wants no more (RFC 9110 15.5.11).
const GONE: u16 = 410;

/// With what events are sent.
pub struct Sending {
    /// What posts.
    pub poster: Poster,
    /// How long to go on.
    pub retry: Retry,
}

/// What sends; clones share it.
#[derive(Clone)]
pub struct Deliverer {
    /// Where webhooks are.
    pub registry: Registry,
    /// Where events are.
    pub reader: Reader,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// With what it sends, now and from now on.
    pub sending: watch::Receiver<Arc<Sending>>,
    /// Where it counts.
    pub meters: Arc<HookMeters>,
    /// Whether the daemon ends.
    pub draining: watch::Receiver<bool>,
}

/// What a webhook waits for.
enum Pause {
    None,
    Change,
    Until(Timestamp),
    Events(Cursor),
}

/// What became of a post.
enum Post {
    Taken,
    Unwanted,
    Failed(String),
    /// The daemon ends.
    Broken,
}

impl Deliverer {
    /// Follows all webhooks until the daemon ends.
    pub async fn run(mut self) {
        let mut changed = self.registry.webhooks_changed();
        let (mut tasks, mut running) = (JoinSet::new(), BTreeMap::new());
        loop {
            changed.borrow_and_update();
            for webhook in self.registry.all_webhooks() {
                if !running.values().any(|id| *id == webhook.id) {
                    let id = webhook.id.clone();
                    let task = tasks.spawn(self.clone().follow(webhook));
                    running.insert(task.id(), id);
                }
            }
            tokio::select! {
                _ = changed.changed() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    running.remove(&id);
                }
                _ = self.draining.wait_for(|draining| *draining) => break,
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Follows one webhook until it is gone or the daemon ends.
    async fn follow(self, mut webhook: Webhook) {
        let mut changed = self.registry.webhooks_changed();
        let mut draining = self.draining.clone();
        // How far it was looked, where nothing was to be sent: (epoch, place).
        let mut looked = (0, EventId::OLDEST);
        while !*draining.borrow() {
            changed.borrow_and_update();
            let Some(now) = self.registry.webhook(&webhook.project, &webhook.id) else { break };
            webhook = now;
            let pause = match self.turn(&webhook, &mut looked).await {
                Ok(pause) => pause,
                Err(RegistryError::Changed(_) | RegistryError::NotFound(_)) => Pause::None,
                Err(error) => {
                    tracing::error!(%error, webhook = %webhook.id, "a webhook could not be moved");
                    Pause::Until(self.clock.now() + OUR_FAULT)
                }
            };
            let waiting = async {
                match pause {
                    Pause::None => {}
                    Pause::Change => std::future::pending().await,
                    Pause::Until(at) => tokio::time::sleep(at.since(self.clock.now())).await,
                    Pause::Events(seen) => self.reader.wait(seen).await,
                }
            };
            tokio::select! {
                () = waiting => {}
                _ = changed.changed() => {}
                _ = draining.wait_for(|draining| *draining) => break,
            }
        }
        self.meters.next(&webhook.id, None);
    }

    /// Sends what there is to send, up to so many events.
    async fn turn(
        &self,
        webhook: &Webhook,
        looked: &mut (u32, EventId),
    ) -> Result<Pause, RegistryError> {
        let Some(mut progress) = self.registry.progress(webhook) else {
            let place = (self.reader.newest().start.as_u64(), None);
            let begun = Progress { place, ..Progress::default() };
            self.registry.move_webhook(webhook, &begun, None).await?;
            return Ok(Pause::None);
        };
        if webhook.draft.paused || progress.disabled {
            return Ok(Pause::Change);
        }
        let letters = self.registry.dead_letters(webhook, None, DEAD_LETTERS_MAX);
        if let Some(letter) = letters.into_iter().find(|letter| letter.again) {
            return self.send_again(webhook, letter).await;
        }
        let now = self.clock.now();
        if let Some(at) = progress.next_try_at.filter(|at| now < *at) {
            return Ok(Pause::Until(at));
        }
        let (start, number) = progress.place;
        let mut place = EventId { start: Cursor::from_u64(start), number };
        if looked.0 == progress.epoch {
            place = place.max(looked.1);
        }
        let told = match self.read(webhook, place).await {
            Ok(told) => told,
            Err(FeedError::Gone(_)) => {
                tracing::warn!(webhook = %webhook.id, "events for a webhook are gone");
                progress.place = (Cursor::OLDEST.as_u64(), None);
                *looked = (progress.epoch, EventId::OLDEST);
                self.registry.move_webhook(webhook, &progress, None).await?;
                return Ok(Pause::None);
            }
            Err(error) => return Err(RegistryError::Disk(error.to_string())),
        };
        let pause = self.send_all(webhook, &told, progress).await?;
        if matches!(pause, Pause::Events(_) | Pause::None) && told.events.is_empty() {
            *looked = (self.registry.progress(webhook).map_or(0, |now| now.epoch), told.next);
        }
        Ok(pause)
    }

    async fn read(&self, webhook: &Webhook, place: EventId) -> Result<Told, FeedError> {
        let (reader, now) = (self.reader.clone(), self.clock.now());
        let types = webhook.draft.events.iter().filter_map(|name| EventType::of(name)).collect();
        let selection = Selection { project: Some(webhook.project.clone()), types };
        let read = move || reader.read(place, EVENTS_AT_ONCE, &selection, now);
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            // It did not end by itself: this place again is as good as any.
            Err(_) => Ok(Told { events: Vec::new(), next: place, more: false, seen: place.start }),
        }
    }

    /// Sends these events until one is not taken.
    async fn send_all(
        &self,
        webhook: &Webhook,
        told: &Told,
        mut progress: Progress,
    ) -> Result<Pause, RegistryError> {
        let mut moved = false;
        for (id, event) in &told.events {
            self.meters.next(&webhook.id, happened(event));
            let place = (id.start.as_u64(), id.number.unwrap_or_default());
            let body = serde_json::to_string(event).unwrap_or_default();
            match self.send(webhook, &event.id, &body).await {
                Post::Taken => {
                    HookMeters::one(&self.meters.taken);
                    retry::done(&mut progress, place);
                    moved = true;
                }
                Post::Broken => break,
                Post::Unwanted => {
                    progress.disabled = true;
                    progress.error = Some("it answered 410: it wants no more".into());
                    self.registry.move_webhook(webhook, &progress, None).await?;
                    return Ok(Pause::Change);
                }
                Post::Failed(why) => {
                    return self.not_taken(webhook, progress, place, (body, why)).await;
                }
            }
        }
        if moved {
            self.registry.move_webhook(webhook, &progress, None).await?;
        }
        if told.more || moved {
            return Ok(Pause::None);
        }
        self.meters.next(&webhook.id, None);
        Ok(Pause::Events(told.seen))
    }

    /// An event was not taken: it is tried again, or set aside.
    async fn not_taken(
        &self,
        webhook: &Webhook,
        mut progress: Progress,
        place: (u64, u32),
        (body, why): (String, String),
    ) -> Result<Pause, RegistryError> {
        HookMeters::one(&self.meters.failed);
        let now = self.clock.now();
        let retry = self.sending.borrow().retry;
        tracing::info!(webhook = %webhook.id, why, "a webhook did not take an event");
        if !retry.on_failure(&mut progress, now, &why) {
            self.registry.move_webhook(webhook, &progress, None).await?;
            return Ok(progress.next_try_at.map_or(Pause::None, Pause::Until));
        }
        let error = progress.error.clone().unwrap_or_default();
        let letter = DeadLetter { place, body: body.into(), given_up_at: now, error, again: false };
        let mut next = progress.clone();
        retry::done(&mut next, place);
        match self.registry.move_webhook(webhook, &next, Some(&letter)).await {
            Ok(()) => HookMeters::one(&self.meters.aside),
            Err(RegistryError::TooMany { .. }) => {
                progress.disabled = true;
                progress.error = Some("too many events are set aside".into());
                self.registry.move_webhook(webhook, &progress, None).await?;
                return Ok(Pause::Change);
            }
            Err(error) => return Err(error),
        }
        Ok(Pause::None)
    }

    /// Tries once an event that was set aside.
    async fn send_again(
        &self,
        webhook: &Webhook,
        letter: DeadLetter,
    ) -> Result<Pause, RegistryError> {
        let id = EventId::of(Cursor::from_u64(letter.place.0), letter.place.1).to_string();
        match self.send(webhook, &id, &letter.body).await {
            Post::Taken => {
                HookMeters::one(&self.meters.taken);
                self.registry.remove_dead_letter(webhook, letter.place).await?;
            }
            Post::Broken => {}
            Post::Unwanted => {
                let tried = DeadLetter { again: false, error: "410".into(), ..letter };
                self.registry.put_dead_letter(webhook, &tried).await?;
            }
            Post::Failed(why) => {
                HookMeters::one(&self.meters.failed);
                let tried = DeadLetter { again: false, error: why.into(), ..letter };
                self.registry.put_dead_letter(webhook, &tried).await?;
            }
        }
        Ok(Pause::None)
    }

    async fn send(&self, webhook: &Webhook, id: &str, body: &str) -> Post {
        let sending = Arc::clone(&self.sending.borrow());
        let target = match Target::parse(&webhook.draft.url) {
            Ok(target) => target,
            Err(error) => return Post::Failed(error.to_string()),
        };
        let fields = seal::fields(webhook, id, self.clock.now(), body);
        let mut draining = self.draining.clone();
        let status = tokio::select! {
            status = sending.poster.post(&target, &fields, body.to_owned().into()) => status,
            _ = draining.wait_for(|draining| *draining) => return Post::Broken,
        };
        match status {
            Ok(200..300) => Post::Taken,
            Ok(GONE) => Post::Unwanted,
            Ok(status) => Post::Failed(format!("it answered {status}")),
            Err(error) => Post::Failed(error.to_string()),
        }
    }
}

/// When it happened.
fn happened(event: &Event) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(&event.time, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000).ok().map(Timestamp::from_micros)
}
