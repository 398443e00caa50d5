//! What there is to tell: of one recipient, and of a message.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::event::ReportKind;
use crate::mail::envelope::Envelope;
use crate::mail::envelope::Recipient;
use crate::mail::envelope::RecipientIndex;
use crate::mail::id::QueueId;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;

/// RFC 3463 3.5: the delivery time has expired.
const EXPIRED: EnhancedStatus = EnhancedStatus::new(4, 4, 7);

/// The server that was asked last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name; from the DNS, so it may hold anything.
    pub host: Box<str>,
    /// Its address.
    pub address: IpAddr,
}

/// What became of one recipient, as its sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Which recipient of the message.
    pub recipient: RecipientIndex,
    /// Failed, delayed or relayed: nothing else is ours to say, because final delivery and the
    /// expansion of lists happen elsewhere.
    pub kind: ReportKind,
    /// It failed because it grew too old, not because somebody said no.
    pub expired: bool,
    /// What the last attempt heard.
    pub diagnosis: Diagnosis,
    /// Who said it; none if nobody was reached.
    pub remote: Option<Remote>,
    /// When.
    pub at: Timestamp,
}

impl Fate {
    /// The status that fits what we did: the subject and detail are the peer's, the class is ours.
    /// RFC 3464 2.3.4 wants a class that agrees with the action.
    pub fn status(&self) -> EnhancedStatus {
        match self.kind {
            ReportKind::Failed if self.expired => EXPIRED,
            ReportKind::Failed => self.diagnosis.status.with_class(5),
            ReportKind::Delayed => self.diagnosis.status.with_class(4),
            ReportKind::Relayed => self.diagnosis.status.with_class(2),
        }
    }
}

/// What a report is made of.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The report's own name.
    pub id: QueueId,
    /// When it is written.
    pub at: Timestamp,
    /// Our own name.
    pub hostname: &'a str,
    /// The message that it tells of.
    pub original: QueueId,
    /// When that came.
    pub arrived_at: Timestamp,
    /// Until when that is tried.
    pub expires_at: Timestamp,
    /// Who sent it to whom.
    pub envelope: &'a Envelope,
    /// What it says.
    pub message: &'a [u8],
    /// What became of its recipients.
    pub fates: Vec<Fate>,
}

impl Report<'_> {
    /// What is told, with whom it is told of.
    pub(super) fn told(&self) -> impl Iterator<Item = (&Fate, &Recipient)> {
        self.fates.iter().filter_map(|fate| {
            Some((fate, self.envelope.recipients.get(fate.recipient.0 as usize)?))
        })
    }

    /// Whether something of this kind is told.
    pub(super) fn tells(&self, kind: ReportKind) -> bool {
        self.fates.iter().any(|fate| fate.kind == kind)
    }
}
