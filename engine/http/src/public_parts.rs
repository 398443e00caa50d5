//! What the routes for recipients stand on: handed over by whoever knows the configuration.

use std::sync::Arc;

use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::tracking::links::Links;
use maily_ingress::feedback::Feedback;
use maily_spool::spool::Spool;

use crate::recent::RecentHits;
use crate::scribe::Scribe;

/// What the routes for recipients stand on.
pub struct Public {
    /// By what links are known.
    pub links: Arc<Links>,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Whether a message still waits.
    pub spool: Spool,
    /// Who writes hits down, and counts them.
    pub scribe: Scribe,
    /// What recipients tell us.
    pub feedback: Feedback,
    /// What was fetched of late.
    pub recent: Arc<Mutex<RecentHits>>,
}
