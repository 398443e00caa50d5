//! The task that writes to senders what they are owed: it builds a delivery status notification
//! (RFC 3464), puts it into the spool like any other message, and only then settles whom it tells
//! of. A crash in between may repeat a report, and never loses one.
//!
//! While the disk has no room, what is owed waits here, bounded, and its recipients stay unsettled
//! in the spool: a restart tries them again and comes to the same report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use maily_core::bounce::classify::Rules;
use maily_core::bounce::dsn;
use maily_core::bounce::fate::Fate;
use maily_core::bounce::fate::Report;
use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Origin;
use maily_core::event::ReportKind;
use maily_core::mail::envelope::Class;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::id::QueueIdSource;
use maily_events::recorder::Recorder;
use maily_spool::body::Body;
use maily_spool::error::GetError;
use maily_spool::error::PutError;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;
use maily_spool::submission::Submission;

use crate::counters::Counters;
use crate::settle;
use crate::settle::Reported;

/// Messages that reports can be owed for before their attempts are put off.
pub(crate) const OWED_MAX: usize = 1_024;
/// Messages whose reports could not be stored and are kept to be stored later; with more, no new
/// ones are taken on.
const AGAIN_MAX: usize = 1_024;
/// Reports that are put into the spool at once, so that they share a sync.
const AT_ONCE: usize = 64;
/// How long to wait when a report could not be stored.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The stream of reports: no mailing may make them wait.
const STREAM: &str = "delivery-reports";

/// What the operator decides about reports.
#[derive(Clone)]
pub struct Reporting {
    /// Our own name.
    pub hostname: Arc<str>,
    /// The age at which the sender of a message is told that it is late.
    pub delay_notice_after: Duration,
    /// How long a report is tried.
    pub expire_after: Duration,
    /// Names for reports, from where all messages get theirs.
    pub ids: Arc<Mutex<QueueIdSource>>,
    /// By what failures are counted.
    pub rules: Arc<Rules>,
}

/// What a sender is owed about a message. It does not hold the message, so that many may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The message.
    pub id: QueueId,
    /// What became of recipients.
    pub fates: Vec<Fate>,
    /// It grew old while no attempt was under way: what the last one heard has to be read yet.
    pub between_attempts: bool,
}

/// The task's means.
pub struct Writer {
    /// Where the messages are, and where reports go.
    pub spool: Spool,
    /// Where it is written down.
    pub events: Recorder,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub counters: Arc<Counters>,
    /// What the operator decides, now and after each reload.
    pub reporting: watch::Receiver<Reporting>,
}

/// A report on its way into the spool.
struct Letter {
    owed: Owed,
    at: Timestamp,
    reported: Reported,
}

/// What came of trying to write a report.
enum Prepared {
    Letter(Box<Letter>, Box<Submission>),
    /// There is nobody left to tell of.
    Nothing,
    Later(Owed),
}

impl Writer {
    /// Writes what is owed until nobody can owe any more. What cannot be stored then stays
    /// unsettled, and is owed again after the next start.
    pub async fn run(self, mut owing: mpsc::Receiver<Owed>) {
        let mut again: Vec<Owed> = Vec::new();
        let mut batch = Vec::with_capacity(AT_ONCE);
        let mut tick = tokio::time::interval(AGAIN_AFTER);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = tokio::select! {
                count = owing.recv_many(&mut batch, AT_ONCE), if again.len() < AGAIN_MAX => {
                    count == 0
                }
                _ = tick.tick(), if !again.is_empty() => {
                    batch.extend(again.drain(..again.len().min(AT_ONCE)));
                    owing.is_closed() && owing.is_empty()
                }
            };
            if over {
                batch.append(&mut again);
            }
            again.extend(self.write(merged(batch.drain(..))).await);
            if over {
                for left in &again {
                    tracing::warn!(id = %left.id, "a report is left for the next start");
                }
                return;
            }
        }
    }

    /// Writes these reports; gives back what could not be stored.
    async fn write(&self, owed: Vec<Owed>) -> Vec<Owed> {
        let mut again = Vec::new();
        let mut puts = JoinSet::new();
        for owed in owed {
            match self.prepare(owed).await {
                Prepared::Letter(letter, submission) => {
                    let spool = self.spool.clone();
                    puts.spawn(async move { (letter, spool.put(*submission).await) });
                }
                Prepared::Nothing => {}
                Prepared::Later(owed) => again.push(owed),
            }
        }
        while let Some(joined) = puts.join_next().await {
            match joined {
                Ok((letter, Ok(()))) => {
                    self.counters.reported.fetch_add(1, Ordering::Relaxed);
                    settle::reported(&self.spool, &self.events, letter.at, letter.reported);
                }
                Ok((letter, Err(error))) => again.extend(self.not_stored(letter.owed, &error)),
                Err(error) => tracing::error!(%error, "a report was not stored"),
            }
        }
        again
    }

    async fn prepare(&self, mut owed: Owed) -> Prepared {
        let stored = match self.load(owed.id).await {
            Ok(stored) => stored,
            Err(GetError::Failed(why)) => {
                tracing::error!(id = %owed.id, why, "a message to report could not be read");
                return Prepared::Later(owed);
            }
            // Settled in the meantime, or in quarantine.
            Err(_) => return Prepared::Nothing,
        };
        let noticed = self.spool.noticed(owed.id);
        owed.fates.retain(|fate| {
            let told = fate.kind == ReportKind::Delayed && noticed.contains(&fate.recipient);
            stored.unsettled.contains(&fate.recipient) && !told
        });
        if owed.between_attempts {
            owed = self.recall(owed).await;
        }
        let at = self.clock.now();
        let id = self.reporting.borrow().ids.lock().next(at);
        match self.letter(&owed, &stored, id, at) {
            Some((reported, submission)) => {
                let letter = Letter { owed, at, reported };
                Prepared::Letter(Box::new(letter), Box::new(submission))
            }
            None => Prepared::Nothing,
        }
    }

    /// Puts into each fate what the last attempt heard, as far as there was one.
    async fn recall(&self, owed: Owed) -> Owed {
        let spool = self.spool.clone();
        let mut read = owed.clone();
        let reading = tokio::task::spawn_blocking(move || {
            for fate in read.fates.iter_mut().filter(|fate| fate.expired) {
                if let Some(heard) = spool.heard(read.id, fate.recipient) {
                    fate.diagnosis = heard;
                }
            }
            read.between_attempts = false;
            read
        });
        reading.await.unwrap_or(owed)
    }

    async fn load(&self, id: QueueId) -> Result<Arc<Stored>, GetError> {
        if let Some(stored) = self.spool.hot(id) {
            return Ok(stored);
        }
        let spool = self.spool.clone();
        let read = tokio::task::spawn_blocking(move || spool.get(id)).await;
        read.unwrap_or_else(|error| Err(GetError::Failed(error.to_string())))
    }

    fn letter(
        &self,
        owed: &Owed,
        stored: &Stored,
        id: QueueId,
        at: Timestamp,
    ) -> Option<(Reported, Submission)> {
        let original = &stored.submission;
        // A message that is rendered at the attempt has no text yet that could be given back.
        let message = match &original.body {
            Body::Stored(message) => message.as_ref(),
            Body::Template { .. } => &[],
        };
        let reporting = self.reporting.borrow().clone();
        let notification = dsn::write(&Report {
            id,
            at,
            hostname: &reporting.hostname,
            original: original.id,
            arrived_at: original.accepted_at,
            expires_at: original.expires_at,
            envelope: &original.envelope,
            message,
            fates: owed.fates.clone(),
        })?;
        let stream =
            Stream { class: Class::Transactional, tenant: Box::default(), campaign: STREAM.into() };
        let to = notification.envelope.recipients.iter();
        let accepted = Accepted {
            reverse_path: notification.envelope.reverse_path.clone(),
            recipients: to.map(|recipient| recipient.forward_path.clone()).collect(),
            message_id: notification.message_id,
            octets: notification.message.len() as u64,
            stream: stream.clone(),
            origin: Origin::Report(original.id),
        };
        let told = owed.fates.iter().map(|fate| (fate.recipient, fate.kind)).collect();
        let reported = Reported { original: original.id, report: id, accepted, told };
        let submission = Submission {
            id,
            accepted_at: at,
            expires_at: at + reporting.expire_after,
            due: None,
            envelope: notification.envelope,
            stream,
            body: Body::Stored(notification.message),
        };
        Some((reported, submission))
    }

    fn not_stored(&self, mut owed: Owed, error: &PutError) -> Option<Owed> {
        tracing::warn!(id = %owed.id, %error, "a report could not be stored: tried later");
        settle::unreported(&self.spool, &self.counters, owed.id, &owed.fates);
        owed.fates.retain(|fate| fate.kind != ReportKind::Relayed);
        Some(owed).filter(|owed| !owed.fates.is_empty())
    }
}

/// One report for each message, and the newest word on each of its recipients.
fn merged(owed: impl Iterator<Item = Owed>) -> Vec<Owed> {
    let mut merged: Vec<Owed> = Vec::new();
    for owed in owed {
        match merged.iter_mut().find(|known| known.id == owed.id) {
            None => merged.push(owed),
            Some(known) => {
                let again = |fate: &Fate| owed.fates.iter().any(|f| f.recipient == fate.recipient);
                known.fates.retain(|fate| !again(fate));
                known.between_attempts |= owed.between_attempts;
                known.fates.extend(owed.fates);
            }
        }
    }
    merged
}
