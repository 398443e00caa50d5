//! The lives of messages, gathered from the event log: what happened to each, in the order in which
//! it happened, with the lives of the reports that were written about it.
//!
//! The log is in the order of writing, and a fast delivery may be written before the acceptance.
//! So it is read more than once: to find out which messages are meant, then for their events, then
//! for those of their reports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_core::event::{Accepted, Event, What};
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Settlement;
use maily_events::log;
use maily_events::log::About;

/// A clock that was set back by more hides what happened meanwhile.
const CLOCK_SET_BACK_MAX: Duration = Duration::from_secs(2 * 86_400);

/// What happened to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// The message.
    pub id: QueueId,
    /// In the order of time.
    pub events: Vec<Event>,
    /// The reports that were written about it.
    pub reports: Vec<Self>,
}

/// What has become of a recipient so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been settled.
    Waiting,
    /// A next hop has taken the message.
    Delivered,
    /// It was refused for good.
    Bounced,
    /// It grew too old.
    Expired,
    /// An operator removed the message.
    Removed,
    /// It must not be written to.
    Suppressed,
}

impl State {
    /// In one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Bounced => "bounced",
            Self::Expired => "expired",
            Self::Removed => "removed",
            Self::Suppressed => "suppressed",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The messages that are meant, oldest first.
    pub lives: Vec<Life>,
    /// Pieces of the log that could not be read.
    pub damaged: u64,
}

/// Gathers the lives of all messages with this queue id, Message-ID or recipient.
///
/// # Errors
/// The log could not be read.
pub fn find(events: &Path, wanted: &str) -> Result<Found, String> {
    let mut ids = BTreeSet::new();
    // Any text of 13 letters may be a queue id; none has an `@`.
    let id: Option<QueueId> = wanted.parse().ok();
    ids.extend(id);
    if id.is_none() {
        let acceptance = |about: About| about.is_acceptance;
        log::search(events, Timestamp::EPOCH, acceptance, |event| {
            if is_meant(&event, wanted) {
                ids.insert(event.id);
            }
        })?;
    }
    if ids.is_empty() {
        // Told once more only for the count of what could not be read.
        return Ok(Found { lives: Vec::new(), damaged: log::read(events, drop)? });
    }
    let (of_ids, damaged) = gather(events, &ids)?;
    let told: BTreeSet<_> = of_ids.values().flatten().filter_map(report_of).collect();
    let (mut of_reports, _) =
        if told.is_empty() { Default::default() } else { gather(events, &told)? };
    let mut lives = Vec::new();
    for (id, events) in of_ids {
        // A report is shown with what it tells of, not once more by itself.
        if told.contains(&id) {
            continue;
        }
        let mut reports: Vec<Life> = Vec::new();
        for report in events.iter().filter_map(report_of) {
            if let Some(events) = of_reports.remove(&report) {
                reports.push(Life { id: report, events, reports: Vec::new() });
            }
        }
        lives.push(Life { id, events, reports });
    }
    Ok(Found { lives, damaged })
}

type Gathered = BTreeMap<QueueId, Vec<Event>>;

fn gather(events: &Path, ids: &BTreeSet<QueueId>) -> Result<(Gathered, u64), String> {
    let mut gathered = Gathered::new();
    // Nothing happened to a message before its id was made; but ids run ahead of a clock that was
    // set back.
    let since = ids.first().map_or(Timestamp::EPOCH, |id| id.made_at() - CLOCK_SET_BACK_MAX);
    let damaged = log::search(
        events,
        since,
        |about| ids.contains(&about.id),
        |event| {
            gathered.entry(event.id).or_default().push(event);
        },
    )?;
    for events in gathered.values_mut() {
        events.sort_by_key(|event| (event.at, !matches!(event.what, What::Accepted(_))));
    }
    Ok((gathered, damaged))
}

const fn report_of(event: &Event) -> Option<QueueId> {
    match event.what {
        What::Reported { report, .. } => Some(report),
        _ => None,
    }
}

fn is_meant(event: &Event, wanted: &str) -> bool {
    let What::Accepted(accepted) = &event.what else { return false };
    *accepted.message_id == *wanted.trim_start_matches('<').trim_end_matches('>')
        || accepted.recipients.iter().any(|path| path.to_string().eq_ignore_ascii_case(wanted))
}

impl Life {
    /// How it came, if that is still in the log.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.events.iter().find_map(|event| match &event.what {
            What::Accepted(accepted) => Some(accepted.as_ref()),
            _ => None,
        })
    }

    /// A recipient's address; its number where the acceptance is no longer in the log.
    pub fn name(&self, recipient: RecipientIndex) -> String {
        self.accepted()
            .and_then(|accepted| accepted.recipients.get(recipient.0 as usize))
            .map_or_else(|| format!("recipient {}", recipient.0), ToString::to_string)
    }

    /// What has become of each recipient.
    pub fn states(&self) -> Vec<State> {
        let count = self.accepted().map_or(0, |accepted| accepted.recipients.len());
        let mut states = vec![State::Waiting; count];
        for event in &self.events {
            match &event.what {
                What::Attempted(attempted) => {
                    for each in &attempted.recipients {
                        let state = match each.settlement {
                            Settlement::Done => State::Delivered,
                            Settlement::Bounce => State::Bounced,
                            Settlement::Expire => State::Expired,
                            Settlement::Retry(_) => State::Waiting,
                        };
                        set(&mut states, each.recipient, state);
                    }
                }
                What::Removed { .. } => {
                    let waiting = states.iter_mut().filter(|state| **state == State::Waiting);
                    waiting.for_each(|state| *state = State::Removed);
                }
                What::Suppressed { recipient, .. } => {
                    set(&mut states, *recipient, State::Suppressed);
                }
                What::Returned(told) if told.failed => {
                    set(&mut states, told.recipient, State::Bounced);
                }
                What::Accepted(_)
                | What::Returned(_)
                | What::Complained(_)
                | What::Tagged(_)
                | What::Reported { .. }
                | What::Opened(_)
                | What::Clicked { .. }
                | What::Unsubscribed(_) => {}
            }
        }
        states
    }
}

fn set(states: &mut [State], recipient: RecipientIndex, state: State) {
    if let Some(known) = states.get_mut(recipient.0 as usize) {
        *known = state;
    }
}

#[cfg(test)]
mod tests {
    use maily_core::clock::Timestamp;
    use maily_core::event::{Attempt, Attempted, Origin, ReportKind};
    use maily_core::mail::address::{Domain, Mailbox};
    use maily_core::mail::envelope::{ForwardPath, ReversePath, Stream};
    use maily_core::mail::outcome::{Diagnosis, EnhancedStatus, Outcome};
    use maily_events::recorder::Recorder;

    use super::*;

    fn event(id: u64, at: u64, what: What) -> Event {
        Event { at: Timestamp::from_secs(at), id: QueueId::from_u64(id), what }
    }

    fn accepted(recipients: &[&str], message_id: &str, origin: Origin) -> What {
        let path = |text: &&str| ForwardPath(Mailbox::parse(text).unwrap());
        What::Accepted(Box::new(Accepted {
            reverse_path: ReversePath::Null,
            recipients: recipients.iter().map(path).collect(),
            message_id: message_id.into(),
            octets: 1,
            stream: Stream::default(),
            origin,
        }))
    }

    fn attempted(settlements: &[(u32, Settlement)]) -> What {
        let words = Diagnosis::reply(250, EnhancedStatus::new(2, 0, 0), "x");
        let each = |(number, settlement): &(u32, Settlement)| Attempt {
            recipient: RecipientIndex(*number),
            outcome: Outcome::Delivered(words.clone()),
            settlement: *settlement,
        };
        What::Attempted(Box::new(Attempted {
            domain: Domain::parse("example.net").unwrap(),
            site: "mx".into(),
            attempt: 1,
            peer: None,
            micros: 1,
            recipients: settlements.iter().map(each).collect(),
        }))
    }

    #[test]
    fn a_life_is_in_the_order_of_time_with_its_reports() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(dir.path(), 1 << 20).unwrap();
        let from = Origin::Report(QueueId::from_u64(9));
        let report = QueueId::from_u64(2);
        let (kind, recipients) = (ReportKind::Failed, vec![RecipientIndex(1)]);
        for event in [
            // Delivered so fast that the acceptance is written behind it.
            event(1, 11, attempted(&[(0, Settlement::Done), (1, Settlement::Bounce)])),
            event(1, 10, accepted(&["ann@example.net", "bob@example.net"], "m@x", from.clone())),
            event(2, 13, attempted(&[(0, Settlement::Retry(Timestamp::MAX))])),
            event(2, 12, accepted(&["sender@example.org"], "r@x", from.clone())),
            event(1, 12, What::Reported { report, kind, recipients }),
            event(3, 12, accepted(&["cat@example.net"], "n@x", from)),
        ] {
            recorder.record(&event);
        }
        drop(recorder);
        let id = QueueId::from_u64(1).to_string();
        for wanted in [&*id, "m@x", "<m@x>", "BOB@example.net"] {
            let found = find(dir.path(), wanted).unwrap();
            let [life] = found.lives.as_slice() else { panic!("{wanted}: {found:?}") };
            let times: Vec<_> = life.events.iter().map(|event| event.at.as_secs()).collect();
            assert_eq!(times, [10, 11, 12], "{wanted}");
            assert_eq!(life.states(), [State::Delivered, State::Bounced]);
            assert_eq!(life.name(RecipientIndex(1)), "bob@example.net");
            assert_eq!(life.name(RecipientIndex(2)), "recipient 2");
            let [told] = life.reports.as_slice() else { panic!("{life:?}") };
            assert_eq!((told.id, told.states()), (report, vec![State::Waiting]));
        }
        assert_eq!(find(dir.path(), "nobody@x"), Ok(Found::default()));
        assert_eq!(find(dir.path(), &report.to_string()).unwrap().lives.len(), 1);
    }
}
