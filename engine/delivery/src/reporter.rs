//! What is done about outcomes: they are counted, logged, and settled in the spool.

use std::sync::Arc;

use maily_core::clock::Clock;
use maily_core::event::Peer;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Attempt;
use maily_events::recorder::Recorder;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;

use crate::counters::Counters;
use crate::settle;
use crate::settle::Settled;

/// A try that is over, with what follows from it.
#[derive(Debug)]
pub struct Report<'a> {
    /// The try.
    pub attempt: &'a Attempt,
    /// The message, as it was when the try began.
    pub stored: &'a Arc<Stored>,
    /// The name of the site; empty if there is none.
    pub site: Box<str>,
    /// With whom we spoke.
    pub peer: Option<Peer>,
    /// How long it took.
    pub micros: u64,
    /// Recipient, outcome and settlement.
    pub recipients: Vec<(RecipientIndex, Outcome, Settlement)>,
}

/// Writes reports down.
pub struct Reporter {
    spool: Spool,
    events: Recorder,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

impl Reporter {
    /// A reporter that settles in this spool.
    pub fn new(
        spool: Spool,
        events: Recorder,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { spool, events, clock, counters }
    }

    /// Counts, logs and settles.
    pub fn report(&self, report: Report<'_>) {
        for (_, outcome, settlement) in &report.recipients {
            self.counters.count(outcome, *settlement);
        }
        let Report { attempt, site, peer, micros, recipients, .. } = report;
        let settled = Settled { attempt, site, peer, micros, recipients };
        settle::settle(&self.spool, &self.events, self.clock.now(), settled);
    }
}
