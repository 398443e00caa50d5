//! One waiting message as the queue needs to know it, with where it lies: a row of a checkpoint.
//!
//! The format only grows, or the checkpoint's format number changes: a checkpoint that is not
//! understood is made again from the journal.

use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_journal::scan::Position;

use crate::entry::Accept;
use crate::entry::Keyed;
use crate::slot::Slot;
use crate::slot::SlotMark;
use crate::submission::Spooled;
use crate::submission::Waiting;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Line {
    Message(Row),
    /// A template's name, where its record lies, and its octets.
    Template([u8; 32], (u64, u64), u64),
    /// An idempotency key, where its record lies, and its octets. All keys come first.
    Key(Keyed, (u64, u64), u64),
}

/// A message's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: QueueId,
    accepted_at: Timestamp,
    expires_at: Timestamp,
    stream: Stream,
    place: (u64, u64),
    octets: u64,
    domains: Vec<Domain>,
    /// Of which of the domains each recipient is; empty if there is one domain and one recipient.
    domain_of: Vec<u32>,
    settled: Vec<RecipientIndex>,
    marks: Vec<RowMark>,
    noticed: Vec<RecipientIndex>,
    pub(crate) template: Option<[u8; 32]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RowMark {
    recipients: Vec<RecipientIndex>,
    attempts: u32,
    due: Timestamp,
    at: Option<(u64, u64)>,
}

impl Row {
    /// The row of a message whose record lies here, before anything became of it.
    pub(crate) fn of(accept: Accept, position: Position, octets: u64) -> Self {
        let mut domains: Vec<Domain> = Vec::with_capacity(1);
        let mut domain_of = Vec::new();
        let recipients = &accept.envelope.recipients;
        for recipient in recipients {
            let domain = recipient.forward_path.0.domain();
            let known = domains.iter().position(|known| known == domain);
            let number = known.unwrap_or_else(|| {
                domains.push(domain.clone());
                domains.len() - 1
            });
            if recipients.len() > 1 {
                domain_of.push(number as u32);
            }
        }
        let template = accept.template();
        Self {
            id: accept.id,
            accepted_at: accept.accepted_at,
            expires_at: accept.expires_at,
            stream: accept.stream,
            place: (position.segment, position.offset),
            octets,
            domains,
            domain_of,
            settled: Vec::new(),
            marks: Vec::new(),
            noticed: Vec::new(),
            template,
        }
    }

    pub(crate) const fn position(&self) -> Position {
        Position { segment: self.place.0, offset: self.place.1 }
    }

    /// What has become of it by now.
    pub(crate) fn refresh(&mut self, slot: &Slot) {
        self.settled = slot.settled();
        self.noticed = slot.noticed();
        let mark = |mark: SlotMark| RowMark {
            recipients: mark.recipients,
            attempts: mark.attempts,
            due: mark.due,
            at: mark.at.map(|at| (at.segment, at.offset)),
        };
        self.marks = slot.marks().into_iter().map(mark).collect();
    }

    /// The slot as the row has it.
    pub(crate) fn slot(&self) -> Slot {
        let recipients = self.domain_of.len().max(1) as u32;
        let mut slot = Slot::new(self.position(), self.octets, recipients);
        slot.settle(&self.settled);
        slot.notice(&self.noticed);
        for mark in &self.marks {
            slot.mark(SlotMark {
                recipients: mark.recipients.clone(),
                attempts: mark.attempts,
                due: mark.due,
                at: mark.at.map(|(segment, offset)| Position { segment, offset }),
            });
        }
        slot
    }

    /// As the queue needs to know it.
    pub(crate) fn spooled(self, slot: &Slot) -> Spooled {
        let accepted_at = self.accepted_at;
        let mut destinations: Vec<Waiting> = Vec::with_capacity(self.domains.len());
        for (number, domain) in self.domains.into_iter().enumerate() {
            let of_domain = |recipient: &RecipientIndex| {
                let own = self.domain_of.get(recipient.0 as usize).copied().unwrap_or(0);
                own as usize == number && !slot.is_settled(*recipient)
            };
            let all = 0..self.domain_of.len().max(1) as u32;
            let mut left = all.map(RecipientIndex).filter(of_domain);
            let Some(first) = left.next() else { continue };
            let mark = slot.mark_of(first);
            destinations.push(Waiting {
                domain,
                recipients: 1 + left.count() as u32,
                attempts: mark.map_or(0, |(attempts, ..)| attempts),
                due: mark.map_or(accepted_at, |(_, due, _)| due),
            });
        }
        Spooled {
            id: self.id,
            accepted_at,
            expires_at: self.expires_at,
            stream: self.stream,
            destinations,
        }
    }
}
