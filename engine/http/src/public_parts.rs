//! What the routes for recipients stand on: handed over by whoever knows the configuration.

use std::sync::Arc;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::tracking::links::Links;
use maily_events::recorder::Recorder;
use maily_ingress::feedback::Feedback;
use maily_spool::spool::Spool;

use crate::hit_counters::HitCounters;
use crate::recent::RecentHits;

/// What the routes for recipients stand on.
pub struct Public {
    /// By what links are known.
    pub links: Arc<Links>,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Whether a message still waits.
    pub spool: Spool,
    /// Where hits are written.
    pub events: Recorder,
    /// What recipients tell us.
    pub feedback: Feedback,
    /// What was fetched of late.
    pub recent: Arc<Mutex<RecentHits>>,
    /// Where it is counted.
    pub counters: Arc<HitCounters>,
}
