//! Writes down what recipients did, and what plugins say of what happened. Where a plugin takes
//! `on_track` it is asked first, beside the request, which was answered already: it may leave a hit
//! out, and give it tags. A hit that it cannot be asked about is written down without.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;

use maily_api::event::Event as Told;
use maily_api::event::EventType;
use maily_core::clock::Clock;
use maily_core::event::Event;
use maily_core::event::Tagged;
use maily_core::event::What;
use maily_core::mail::address::Mailbox;
use maily_delivery::asking::Asker;
use maily_events::recorder::Recorder;
use maily_plugins::call::Outcome;
use maily_plugins::hook::Hook;
use maily_plugins::input::TrackInput;
use maily_plugins::set::Plugins;

use crate::hit_counters::HitCounters;
use crate::inputs;
use crate::inputs::text;
use crate::reading::Reader;

/// Hits that wait for plugins; those beyond are written down without asking.
pub const HITS_MAX: usize = 1_024;
/// Hits about which plugins are asked at the same time.
const ASKED_AT_ONCE: usize = 16;

/// Who writes hits and tags down; clones share it.
#[derive(Clone)]
pub struct Scribe {
    events: Recorder,
    plugins: Arc<Plugins>,
    clock: Arc<dyn Clock>,
    hits: mpsc::Sender<Event>,
    /// What is counted of hits.
    pub counters: Arc<HitCounters>,
}

/// Hits about which plugins are to be asked.
pub struct Hits {
    scribe: Scribe,
    waiting: mpsc::Receiver<Event>,
}

/// What plugins say of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Their words for it.
    pub tags: Vec<String>,
    /// Whether the recipient is not to be written to any more.
    pub suppress: Option<bool>,
    /// Which plugins.
    pub by: Vec<Box<str>>,
}

impl Scribe {
    /// Writes into this log, and asks these plugins; what it gives beside itself is to be run.
    pub fn new(events: Recorder, plugins: Arc<Plugins>, clock: Arc<dyn Clock>) -> (Self, Hits) {
        let (hits, waiting) = mpsc::channel(HITS_MAX);
        let this = Self { events, plugins, clock, hits, counters: Arc::default() };
        (this.clone(), Hits { scribe: this, waiting })
    }

    /// Writes down what a recipient did, or asks plugins first. Returns at once.
    pub(crate) fn hit(&self, event: Event) {
        if !self.plugins.takes(Hook::OnTrack) {
            return self.events.record(&event);
        }
        if let Err(TrySendError::Full(event) | TrySendError::Closed(event)) =
            self.hits.try_send(event)
        {
            HitCounters::one(&self.counters.unseen);
            self.events.record(&event);
        }
    }

    /// Writes down what plugins say of an event, if they say anything of somebody.
    pub(crate) fn tag(&self, about: &Told, said: Said) {
        if said.tags.is_empty() && said.suppress.is_none() {
            return;
        }
        let mailbox = text(about, "recipient").and_then(|text| Mailbox::parse(text).ok());
        let message = text(about, "message").and_then(|id| id.parse().ok());
        let (Some(mailbox), Some(id)) = (mailbox, message) else { return };
        let what = What::Tagged(Box::new(Tagged {
            project: about.project.as_deref().unwrap_or_default().into(),
            mailbox,
            about: about.kind.name().into(),
            tags: said.tags.into_iter().map(Into::into).collect(),
            suppress: said.suppress,
            by: said.by,
        }));
        self.events.record(&Event { at: self.clock.now(), id, what });
    }
}

impl Hits {
    /// Asks about hits until the daemon ends; what waits then is written down without.
    pub async fn run(mut self, asker: Asker, reader: Reader, mut draining: watch::Receiver<bool>) {
        let mut hits = Vec::with_capacity(ASKED_AT_ONCE);
        loop {
            tokio::select! {
                count = self.waiting.recv_many(&mut hits, ASKED_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    let all = hits.drain(..).map(|hit| self.scribe.ask(hit, &asker, &reader));
                    join_all(all).await;
                }
                () = ended(&mut draining) => break,
            }
        }
        self.waiting.close();
        while let Some(hit) = self.waiting.recv().await {
            HitCounters::one(&self.scribe.counters.unseen);
            self.scribe.events.record(&hit);
        }
    }
}

/// Returns when the daemon ends.
async fn ended(draining: &mut watch::Receiver<bool>) {
    let _gone = draining.wait_for(|draining| *draining).await;
}

impl Scribe {
    async fn ask(&self, hit: Event, asker: &Asker, reader: &Reader) {
        let (reader, now, event) = (reader.clone(), self.clock.now(), hit.clone());
        let about = tokio::task::spawn_blocking(move || reader.about(event, now)).await;
        let Some(told) = about.ok().and_then(Result::ok).flatten() else {
            HitCounters::one(&self.counters.unseen);
            return self.events.record(&hit);
        };
        match self.said(&told, asker).await {
            Some(outcome) if outcome.answer.discard => {
                HitCounters::one(&self.counters.discarded);
                let by = outcome.by.join(", ");
                tracing::debug!(id = %hit.id, by, "plugins leave a hit out");
            }
            Some(outcome) => {
                self.events.record(&hit);
                let said = Said { tags: outcome.answer.tags, suppress: None, by: outcome.by };
                self.tag(&told, said);
            }
            None => {
                HitCounters::one(&self.counters.unseen);
                self.events.record(&hit);
            }
        }
    }

    /// What plugins answer; none if they could not be asked.
    async fn said(
        &self,
        told: &Told,
        asker: &Asker,
    ) -> Option<Outcome<maily_plugins::answer::TrackAnswer>> {
        debug_assert!(matches!(told.kind, EventType::Opened | EventType::Clicked));
        let input: TrackInput = serde_json::from_value(inputs::of(Hook::OnTrack, told)?).ok()?;
        asker.run(self.plugins.on_track(input)).await
    }
}
