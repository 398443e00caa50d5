//! Tells plugins what happened: they follow the event log as webhooks do, from a place that is
//! written down behind what was told. After a crash a little may be told again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Map;
use serde_json::Value;
use tokio::sync::watch;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_core::clock::Clock;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_delivery::asking::Asker;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;
use maily_events::suppression::Suppressions;
use maily_plugins::call::Outcome;
use maily_plugins::hook::Hook;
use maily_plugins::input::Contact;
use maily_plugins::input::EventInput;
use maily_plugins::input::Facts;
use maily_plugins::input::ReportInput;
use maily_plugins::input::TrackInput;

use crate::event_id::EventId;
use crate::place;
use crate::reading::Reader;
use crate::reading::Selection;
use crate::reading::Told;

/// Events that are told before the place is written down.
const EVENTS_AT_ONCE: usize = 100;
/// Events about which plugins are asked one by one at the same time.
const ASKED_AT_ONCE: usize = 16;
/// How often it is looked whether a plugin wants to know of events, where none does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before the same is told again to who could not do it.
const AGAIN_IN: Duration = Duration::from_secs(5);
/// So often the same is told; then it is left.
const TRIES_MAX: u32 = 10;
/// The hooks that are told of events.
const HOOKS: [Hook; 5] =
    [Hook::OnEvent, Hook::OnBounce, Hook::OnComplaint, Hook::OnUnsubscribe, Hook::OnTrack];

/// What tells plugins.
pub struct Watcher {
    /// Who is told.
    pub asker: Asker,
    /// Where events are.
    pub reader: Reader,
    /// Whom plugins have not written to any more.
    pub suppressions: Suppressions,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// The file that says how far it has come.
    pub place: PathBuf,
    /// Whether the daemon ends.
    pub draining: watch::Receiver<bool>,
}

impl Watcher {
    /// Tells plugins until the daemon ends.
    pub async fn run(self) {
        let mut draining = self.draining.clone();
        tokio::select! {
            () = self.follow() => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    }

    async fn follow(&self) {
        loop {
            while !self.is_wanted() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            let mut after = place::read(&self.place).unwrap_or_else(|| self.reader.newest());
            while self.is_wanted() {
                after = self.turn(after).await;
            }
            // Who wants to know later wants to know what is new then.
            let _none = std::fs::remove_file(&self.place);
        }
    }

    fn is_wanted(&self) -> bool {
        HOOKS.iter().any(|hook| self.asker.plugins.takes(*hook))
    }

    /// Tells what there is behind this place; gives the place behind it.
    async fn turn(&self, after: EventId) -> EventId {
        let (reader, now) = (self.reader.clone(), self.clock.now());
        let reading = tokio::task::spawn_blocking(move || {
            reader.read(after, EVENTS_AT_ONCE, &Selection::default(), now)
        });
        let told = match reading.await {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => {
                // What is gone cannot be told any more.
                tracing::warn!(%error, "plugins are told of events from here on");
                return self.reader.newest();
            }
            Err(_) => return after,
        };
        self.tell(&told).await;
        if told.next != after
            && let Err(error) = place::write(&self.place, told.next)
        {
            let path = self.place.display();
            tracing::error!(%error, %path, "how far plugins have been told could not be written");
        }
        if !told.more {
            tokio::select! {
                () = self.reader.wait(told.seen) => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        told.next
    }

    async fn tell(&self, told: &Told) {
        let events: Vec<_> = told.events.iter().map(|(_, event)| event).collect();
        for some in events.chunks(ASKED_AT_ONCE) {
            join_all(some.iter().map(|event| self.tell_one(event))).await;
        }
        if events.is_empty() || !self.asker.plugins.takes(Hook::OnEvent) {
            return;
        }
        let facts: Vec<_> = events.iter().map(|event| facts(event)).collect();
        for _ in 0..TRIES_MAX {
            let call = self.asker.plugins.on_event(EventInput { events: facts.clone() });
            match self.asker.run(call).await {
                Some(Outcome { retry: true, .. }) => tokio::time::sleep(AGAIN_IN).await,
                _ => return,
            }
        }
        tracing::error!(
            events = facts.len(),
            "a plugin was told often enough: events are left out"
        );
    }

    async fn tell_one(&self, event: &Event) {
        let plugins = &self.asker.plugins;
        let (report, call) = match event.kind {
            EventType::Opened | EventType::Clicked if plugins.takes(Hook::OnTrack) => {
                let input = TrackInput { event: facts(event), contact: contact(event) };
                let _answer = self.asker.run(plugins.on_track(input)).await;
                return;
            }
            EventType::Bounced | EventType::Expired if plugins.takes(Hook::OnBounce) => {
                let hard = event.data.get("hard").and_then(Value::as_bool) == Some(true);
                let kind = if hard { "hard" } else { "soft" };
                let reason = SuppressionReason::Bounced;
                (reason, plugins.on_bounce(report(event, kind)))
            }
            EventType::Complained if plugins.takes(Hook::OnComplaint) => {
                let how = text(event, "complaint").unwrap_or_default();
                let reason = SuppressionReason::Complained;
                (reason, plugins.on_complaint(report(event, &how)))
            }
            EventType::Unsubscribed if plugins.takes(Hook::OnUnsubscribe) => {
                let how = text(event, "how").unwrap_or_default();
                let reason = SuppressionReason::Unsubscribed;
                (reason, plugins.on_unsubscribe(report(event, &how)))
            }
            _ => return,
        };
        let Some(outcome) = self.asker.run(call).await else { return };
        if outcome.answer.suppress == Some(true) {
            self.suppress(event, report).await;
        }
    }

    /// A plugin wants a recipient of a project not to be written to any more.
    async fn suppress(&self, event: &Event, reason: SuppressionReason) {
        let mailbox = text(event, "recipient").and_then(|text| Mailbox::parse(&text).ok());
        let (Some(mailbox), Some(project)) = (mailbox, &event.project) else { return };
        let message = text(event, "message").and_then(|id| id.parse().ok());
        let said = Said { at: self.clock.now(), reason, message, until: None };
        let subject = Subject::new(project, "", &mailbox);
        if let Err(error) = self.suppressions.suppress(&subject, said).await {
            tracing::error!(%error, project, "what a plugin wants suppressed could not be written");
        }
    }
}

/// An event as plugins see it: `type`, `id`, `time`, `project`, and all that belongs to its type.
fn facts(event: &Event) -> Facts {
    let mut all = event.data.as_object().cloned().unwrap_or_default();
    for (name, value) in [
        ("id", Value::from(event.id.as_str())),
        ("type", Value::from(event.kind.name())),
        ("time", Value::from(event.time.as_str())),
        ("project", Value::from(event.project.clone())),
    ] {
        all.insert(name.to_owned(), value);
    }
    Facts::new("event", &all)
}

fn contact(event: &Event) -> Contact {
    Contact::new(&text(event, "recipient").unwrap_or_default(), Map::new())
}

fn report(event: &Event, kind: &str) -> ReportInput {
    ReportInput {
        recipient: text(event, "recipient").unwrap_or_default(),
        kind: kind.to_owned(),
        status: text(event, "status"),
        text: text(event, "text").unwrap_or_default(),
        contact: contact(event),
        message_id: text(event, "message"),
        campaign: text(event, "campaign"),
    }
}

fn text(event: &Event, name: &str) -> Option<String> {
    event.data.get(name)?.as_str().map(str::to_owned)
}
