//! Tells plugins what happened: they follow the event log as webhooks do, from a place that is
//! written down behind what was told. After a crash a little may be told again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;

use maily_api::event::Event;
use maily_core::clock::Clock;
use maily_delivery::asking::Asker;
use maily_plugins::answer::ReportAnswer;
use maily_plugins::call::Outcome;
use maily_plugins::hook::Hook;
use maily_plugins::input::EventInput;
use maily_plugins::input::Facts;
use maily_plugins::input::ReportInput;

use crate::event_id::EventId;
use crate::inputs;
use crate::place;
use crate::reading::Reader;
use crate::reading::Selection;
use crate::reading::Told;
use crate::scribe::Said;
use crate::scribe::Scribe;

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
const HOOKS: [Hook; 4] = [Hook::OnEvent, Hook::OnBounce, Hook::OnComplaint, Hook::OnUnsubscribe];

/// What tells plugins.
pub struct Watcher {
    /// Who is told.
    pub asker: Asker,
    /// Where events are.
    pub reader: Reader,
    /// Who writes down what they say.
    pub scribe: Scribe,
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
        let facts = events.iter().map(|event| Facts::new("event", &inputs::facts(event)));
        let facts: Vec<_> = facts.collect();
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
        let takes = |hook| plugins.takes(hook).then(|| report(hook, event)).flatten();
        let said = if let Some(input) = takes(Hook::OnBounce) {
            let outcome = self.asker.run(plugins.on_bounce(input)).await;
            outcome.map(|Outcome { answer, by, .. }| {
                let suppress = answer.decision();
                Said { tags: answer.tags, suppress, by }
            })
        } else if let Some(input) = takes(Hook::OnComplaint) {
            self.asker.run(plugins.on_complaint(input)).await.map(said)
        } else if let Some(input) = takes(Hook::OnUnsubscribe) {
            self.asker.run(plugins.on_unsubscribe(input)).await.map(said)
        } else {
            None
        };
        if let Some(said) = said {
            self.scribe.tag(event, said);
        }
    }
}

fn said(outcome: Outcome<ReportAnswer>) -> Said {
    let Outcome { answer, by, .. } = outcome;
    Said { tags: answer.tags, suppress: answer.suppress.then_some(true), by }
}

/// What a hook is given of an event; none if it is not about it.
fn report(hook: Hook, event: &Event) -> Option<ReportInput> {
    serde_json::from_value(inputs::of(hook, event)?).ok()
}
