//! What follows from an attempt: the spool learns who is done and who is tried again, the log what
//! happened.

use std::sync::atomic::Ordering;

use maily_core::bounce::fate::Fate;
use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Attempt as AttemptEvent;
use maily_core::event::Attempted;
use maily_core::event::Event;
use maily_core::event::Peer;
use maily_core::event::ReportKind;
use maily_core::event::What;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Attempt;
use maily_events::recorder::Recorder;
use maily_spool::spool::Spool;
use maily_spool::submission::Mark;

use crate::counters::Counters;
use crate::dropping::Dropped;

/// A try that is over, with what is done about it.
pub struct Settled<'a> {
    /// The try.
    pub attempt: &'a Attempt,
    /// The site's name; empty if there is none.
    pub site: Box<str>,
    /// With whom we spoke.
    pub peer: Option<Peer>,
    /// How long it took.
    pub micros: u64,
    /// Recipient, outcome and settlement.
    pub recipients: Vec<(RecipientIndex, Outcome, Settlement)>,
}

/// Writes it down: first the log, then the spool, so that nothing is settled without a trace.
/// Recipients in `held` are not settled yet: their sender is owed a report, which comes first.
pub fn settle(
    spool: &Spool,
    events: &Recorder,
    now: Timestamp,
    settled: Settled<'_>,
    held: &[RecipientIndex],
) {
    let id = settled.attempt.id;
    let mut done = Vec::new();
    let mut again: Option<Mark> = None;
    for (index, outcome, settlement) in &settled.recipients {
        let Settlement::Retry(due) = settlement else {
            if !held.contains(index) {
                done.push(*index);
            }
            continue;
        };
        match &mut again {
            Some(mark) => mark.recipients.push(*index),
            None => {
                again = Some(Mark {
                    id,
                    recipients: vec![*index],
                    attempts: settled.attempt.number,
                    due: *due,
                    diagnosis: outcome.diagnosis().clone(),
                });
            }
        }
    }
    let recipients = settled.recipients.into_iter();
    let what = What::Attempted(Box::new(Attempted {
        domain: settled.attempt.domain.clone(),
        site: settled.site,
        attempt: settled.attempt.number,
        peer: settled.peer,
        micros: settled.micros,
        recipients: recipients
            .map(|(recipient, outcome, settlement)| AttemptEvent { recipient, outcome, settlement })
            .collect(),
    }));
    events.record(&Event { at: now, id, what });
    if let Some(mark) = again {
        spool.mark(mark);
    }
    if !done.is_empty() {
        spool.settle(id, &done);
    }
}

/// Writes down that a message is not sent after all, and settles its recipient.
pub fn dropped(
    spool: &Spool,
    events: &Recorder,
    now: Timestamp,
    id: QueueId,
    recipients: &[RecipientIndex],
    dropped: &Dropped,
) {
    let reason = match dropped {
        Dropped::Suppressed(reason) => *reason,
        Dropped::Cancelled(why) => return removed(spool, events, now, id, recipients, why),
    };
    for &recipient in recipients {
        let what = What::Suppressed { recipient, reason };
        events.record(&Event { at: now, id, what });
    }
    spool.settle(id, recipients);
}

/// Writes down that these recipients' mail was taken back before it was sent.
pub fn removed(
    spool: &Spool,
    events: &Recorder,
    now: Timestamp,
    id: QueueId,
    recipients: &[RecipientIndex],
    reason: &str,
) {
    let what = What::Removed { reason: reason.into() };
    events.record(&Event { at: now, id, what });
    spool.settle(id, recipients);
}

/// A report that is on disk, with what it tells.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The message that it tells of.
    pub original: QueueId,
    /// Its own name.
    pub report: QueueId,
    /// How it came to us: from ourselves.
    pub accepted: Accepted,
    /// What it tells of whom.
    pub told: Vec<(RecipientIndex, ReportKind)>,
}

/// Writes down that a report was written, then settles whom it tells of: what failed or was
/// relayed is done with, of what is late it is noted that the sender knows.
///
/// A crash before this leaves the report in the spool and the recipients unsettled, so the report
/// may be repeated; it is never lost.
pub fn reported(spool: &Spool, events: &Recorder, now: Timestamp, reported: Reported) {
    let Reported { original, report, accepted, told } = reported;
    let what = What::Accepted(Box::new(accepted));
    events.record(&Event { at: now, id: report, what });
    for kind in [ReportKind::Failed, ReportKind::Delayed, ReportKind::Relayed] {
        let of_kind = told.iter().filter(|(_, told)| *told == kind);
        let recipients: Vec<_> = of_kind.map(|(recipient, _)| *recipient).collect();
        if recipients.is_empty() {
            continue;
        }
        let what = What::Reported { report, kind, recipients: recipients.clone() };
        events.record(&Event { at: now, id: original, what });
        match kind {
            ReportKind::Delayed => spool.notice(original, &recipients),
            ReportKind::Failed | ReportKind::Relayed => spool.settle(original, &recipients),
        }
    }
}

/// The report of a success could not be stored. It is left out: were the recipient kept unsettled
/// for its sake, the message would go out twice.
pub fn unreported(spool: &Spool, counters: &Counters, id: QueueId, fates: &[Fate]) {
    let relayed = fates.iter().filter(|fate| fate.kind == ReportKind::Relayed);
    let relayed: Vec<_> = relayed.map(|fate| fate.recipient).collect();
    if !relayed.is_empty() {
        counters.reports_lost.fetch_add(relayed.len() as u64, Ordering::Relaxed);
        spool.settle(id, &relayed);
    }
}
