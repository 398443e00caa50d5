//! What is done about outcomes: they are counted, logged, and settled in the spool, once the sender
//! has been told what it must be told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use maily_core::bounce::classify::Rules;
use maily_core::bounce::fate::Fate;
use maily_core::bounce::fate::Remote;
use maily_core::bounce::owed::Circumstances;
use maily_core::bounce::owed::owed;
use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::event::Peer;
use maily_core::event::ReportKind;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Attempt;
use maily_events::recorder::Recorder;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;

use crate::counters::Counters;
use crate::dropping::Dropped;
use crate::reports::OWED_MAX;
use crate::reports::Owed;
use crate::reports::Reporting;
use crate::reports::Writer;
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
    /// Whether the next hop offers DSN: then a success is its to report (RFC 3461 5.2.7).
    pub dsn: bool,
    /// How long it took.
    pub micros: u64,
    /// Recipient, outcome and settlement.
    pub recipients: Vec<(RecipientIndex, Outcome, Settlement)>,
}

/// Whether the queue is done with what was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what must be tried again is in no queue until it is put into one"]
pub enum Held {
    /// It is: what is not settled yet will be.
    No,
    /// More reports are owed than can be kept: it must be tried again, and then reported.
    TryAgain,
}

/// Writes reports down.
pub struct Reporter {
    spool: Spool,
    events: Recorder,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    delay_notice_after: Duration,
    rules: Arc<Rules>,
    telling: watch::Sender<Reporting>,
    owed: mpsc::Sender<Owed>,
    writing: JoinHandle<()>,
}

impl Reporter {
    /// A reporter that settles in this spool, with the task that writes to senders.
    pub fn new(
        spool: Spool,
        events: Recorder,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
        reporting: Reporting,
    ) -> Self {
        let (owed, owing) = mpsc::channel(OWED_MAX);
        let delay_notice_after = reporting.delay_notice_after;
        let rules = Arc::clone(&reporting.rules);
        let (telling, reporting) = watch::channel(reporting);
        let writer = Writer {
            spool: spool.clone(),
            events: events.clone(),
            clock: Arc::clone(&clock),
            counters: Arc::clone(&counters),
            reporting,
        };
        let writing = tokio::spawn(writer.run(owing));
        Self { spool, events, clock, counters, delay_notice_after, rules, telling, owed, writing }
    }

    /// Reports by other settings from now on.
    pub fn reload(&mut self, reporting: Reporting) {
        self.delay_notice_after = reporting.delay_notice_after;
        self.rules = Arc::clone(&reporting.rules);
        self.telling.send_replace(reporting);
    }

    /// Counts, logs and settles; hands what is owed to the sender to the task that writes it.
    pub fn report(&self, report: Report<'_>) -> Held {
        let now = self.clock.now();
        self.counters.attempted(report.peer.as_ref());
        let age = now.since(report.stored.submission.ready_at());
        let host = report.peer.as_ref().map_or("", |peer| &peer.host);
        for (_, outcome, settlement) in &report.recipients {
            self.counters.count(outcome, *settlement);
            if let Some(verdict) = self.rules.of_outcome(outcome, host) {
                self.counters.failures.count(verdict.reason);
            }
            if *settlement == Settlement::Done {
                self.counters.latency.count(age);
            }
        }
        let fates = self.fates(&report, now);
        let held: Vec<_> = fates
            .iter()
            .filter(|fate| fate.kind != ReportKind::Delayed)
            .map(|fate| fate.recipient)
            .collect();
        let Report { attempt, site, peer, micros, recipients, .. } = report;
        let between_attempts = attempt.number == 0;
        let retried = recipients.iter().any(|(.., what)| matches!(what, Settlement::Retry(_)));
        let settled = Settled { attempt, site, peer, micros, recipients };
        settle::settle(&self.spool, &self.events, now, settled, &held);
        if fates.is_empty() {
            return Held::No;
        }
        match self.owed.try_send(Owed { id: attempt.id, fates, between_attempts }) {
            Ok(()) => Held::No,
            Err(
                mpsc::error::TrySendError::Full(owed) | mpsc::error::TrySendError::Closed(owed),
            ) => self.overflow(&owed, retried),
        }
    }

    /// Settles recipients to whom a message is not sent after all, without a word to the sender.
    pub fn drop(&self, id: QueueId, recipients: &[RecipientIndex], dropped: &Dropped) {
        self.counters.dropped.fetch_add(recipients.len() as u64, Ordering::Relaxed);
        settle::dropped(&self.spool, &self.events, self.clock.now(), id, recipients, dropped);
    }

    /// No more reports will be owed; the task ends when it has written those that are.
    pub fn finish(self) -> JoinHandle<()> {
        self.writing
    }

    /// What each recipient's sender must be told.
    fn fates(&self, report: &Report<'_>, now: Timestamp) -> Vec<Fate> {
        let submission = &report.stored.submission;
        let age = now.since(submission.ready_at());
        let late = age >= self.delay_notice_after;
        let circumstances = Circumstances { next_hop_reports: report.dsn, late };
        let noticed = if late { self.spool.noticed(submission.id) } else { Vec::new() };
        let (envelope, class) = (&submission.envelope, submission.stream.class);
        let mut fates = Vec::new();
        for (recipient, outcome, settlement) in &report.recipients {
            let kind = owed(envelope, class, *recipient, outcome, *settlement, circumstances);
            let given_up = matches!(settlement, Settlement::Bounce | Settlement::Expire);
            if given_up && envelope.reverse_path == ReversePath::Null {
                self.counters.double_bounced.fetch_add(1, Ordering::Relaxed);
            }
            let Some(kind) = kind else { continue };
            if kind == ReportKind::Delayed && noticed.contains(recipient) {
                continue;
            }
            let expired = *settlement == Settlement::Expire;
            let diagnosis = outcome.diagnosis().clone();
            let remote = report.peer.as_ref();
            let remote = remote.map(|p| Remote { host: p.host.clone(), address: p.address });
            let recipient = *recipient;
            fates.push(Fate { recipient, kind, expired, diagnosis, remote, at: now });
        }
        fates
    }

    /// So many reports wait for a disk that no more can be kept in memory. A failure is found out
    /// again by another attempt, a delay by the next deferral; a success cannot be, because the
    /// message must not go out twice.
    fn overflow(&self, owed: &Owed, retried: bool) -> Held {
        tracing::warn!(id = %owed.id, "too many reports wait to be stored");
        settle::unreported(&self.spool, &self.counters, owed.id, &owed.fates);
        let failed = owed.fates.iter().any(|fate| fate.kind == ReportKind::Failed);
        if failed && !retried { Held::TryAgain } else { Held::No }
    }
}
