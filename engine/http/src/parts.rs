//! What the routes stand on: handed over by whoever knows the configuration.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use maily_core::clock::Clock;
use maily_ingress::throttle::Throttle;
use maily_registry::audit::Audit;
use maily_registry::chance::Chance;
use maily_registry::registry::Registry;

use crate::budget::Budget;
use crate::budget::Spending;
use crate::fault::Fault;
use crate::hook_meters::HookMeters;
use crate::mail::Mail;
use crate::meters::Meters;
use crate::rooms::Rooms;
use crate::samples::Samples;
use crate::surveyed::LastSurvey;

/// The most streams of events at once.
pub const STREAMS_MAX: usize = 100;

/// What the routes stand on.
#[derive(Clone)]
pub struct Parts {
    /// Projects, tokens and templates.
    pub registry: Registry,
    /// Who changed what.
    pub audit: Audit,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// What nobody can guess.
    pub chance: Arc<dyn Chance>,
    /// How often each token may ask.
    pub budget: Budget,
    /// The way of mail; none where no daemon runs.
    pub mail: Option<Mail>,
}

/// All that requests share.
pub struct Shared {
    /// What they stand on.
    pub parts: Parts,
    /// Who guessed wrong of late.
    pub(crate) throttle: Mutex<Throttle>,
    /// How often each token may ask, and has.
    pub(crate) spending: Mutex<(Budget, Spending)>,
    /// How often each route was asked.
    pub meters: Arc<Meters>,
    /// What is counted of webhooks.
    pub hooks: Arc<HookMeters>,
    /// Room for bodies.
    pub(crate) rooms: Arc<Rooms>,
    /// Room for streams of events.
    pub(crate) streams: Arc<Semaphore>,
    /// The queue as it was a moment ago.
    pub(crate) last_survey: LastSurvey,
    /// The counts of the last minute.
    pub(crate) samples: Samples,
}

impl Shared {
    /// All that requests share, at the start.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            throttle: Mutex::default(),
            spending: Mutex::new((parts.budget, Spending::default())),
            meters: Arc::default(),
            hooks: Arc::default(),
            rooms: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            last_survey: LastSurvey::default(),
            samples: Samples::default(),
            parts,
        })
    }

    /// The way of mail.
    ///
    /// # Errors
    /// No daemon runs.
    pub(crate) fn mail(&self) -> Result<&Mail, Fault> {
        self.parts.mail.as_ref().ok_or_else(|| Fault::no_room("no daemon runs that moves mail"))
    }

    /// Another budget from now on.
    pub fn limit(&self, budget: Budget) {
        self.spending.lock().0 = budget;
    }
}
