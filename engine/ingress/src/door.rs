//! The front door: every message comes in here, whoever brings it. How it comes in is in
//! [`accept`](crate::accept) and [`inject`](crate::inject).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Event;
use maily_core::event::What;
use maily_core::mail::id::QueueId;
use maily_core::mail::id::QueueIdSource;
use maily_events::recorder::Recorder;
use maily_spool::spool::Spool;

use crate::counters::Counters;
use crate::feedback::Feedback;
use crate::hooks::Hooks;

/// The front door; clones share it.
#[derive(Clone)]
pub struct FrontDoor {
    /// Where mail goes.
    pub spool: Spool,
    /// Where it is told.
    pub events: Recorder,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Names for messages.
    pub ids: Arc<Mutex<QueueIdSource>>,
    /// Our own name.
    pub hostname: Arc<str>,
    /// How long a message is tried.
    pub expire_after: Duration,
    /// Where it counts.
    pub counters: Arc<Counters>,
    /// Who else decides.
    pub hooks: Hooks,
    /// What recipients tell us.
    pub feedback: Feedback,
}

impl FrontDoor {
    /// Writes down that a message was taken.
    pub(crate) fn note(&self, at: Timestamp, id: QueueId, accepted: Accepted) {
        self.events.record(&Event { at, id, what: What::Accepted(Box::new(accepted)) });
    }

    /// Writes down that a message was taken and thrown away.
    pub(crate) fn note_discarded(
        &self,
        at: Timestamp,
        id: QueueId,
        accepted: Accepted,
        reason: Box<str>,
    ) {
        self.note(at, id, accepted);
        self.events.record(&Event { at, id, what: What::Removed { reason } });
    }
}
