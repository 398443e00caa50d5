//! What follows from an attempt: the spool learns who is done and who is tried again, the log what
//! happened.

use maily_core::clock::Timestamp;
use maily_core::event::Attempt as AttemptEvent;
use maily_core::event::Attempted;
use maily_core::event::Event;
use maily_core::event::Peer;
use maily_core::event::What;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Attempt;
use maily_events::recorder::Recorder;
use maily_spool::spool::Spool;
use maily_spool::submission::Mark;

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
pub fn settle(spool: &Spool, events: &Recorder, now: Timestamp, settled: Settled<'_>) {
    let id = settled.attempt.id;
    let mut done = Vec::new();
    let mut again: Option<Mark> = None;
    for (index, outcome, settlement) in &settled.recipients {
        let Settlement::Retry(due) = settlement else {
            done.push(*index);
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
