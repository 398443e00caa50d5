//! The delivery under way: who is settled, and which recipients this transaction is about.

use std::ops::Range;

use crate::mail::envelope::RecipientIndex;
use crate::mail::outcome::Outcome;
use crate::smtp::client::script::Script;
use crate::smtp::delivery::Delivery;

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) delivery: Delivery,
    outcomes: Vec<Option<Outcome>>,
    pub(super) eight_bit: bool,
    /// The recipients of the transaction under way.
    pub(super) range: Range<usize>,
    pub(super) script: Script,
    /// How many octets of the session there are up to the message's end, once it is on its way.
    pub(super) message_end: Option<u64>,
}

impl InFlight {
    pub(super) fn new(delivery: Delivery, eight_bit: bool) -> Self {
        Self {
            outcomes: vec![None; delivery.recipients.len()],
            delivery,
            eight_bit,
            range: 0..0,
            script: Script::default(),
            message_end: None,
        }
    }

    /// Moves on to a transaction for at most `most` recipients from this one on.
    pub(super) fn move_on(&mut self, from: usize, most: usize) {
        self.range = from..self.outcomes.len().min(from.saturating_add(most));
        self.message_end = None;
    }

    /// Whether anyone of the transaction under way may still get the message.
    pub(super) fn is_wanted(&self) -> bool {
        self.outcomes.get(self.range.clone()).unwrap_or_default().iter().any(Option::is_none)
    }

    /// Whether the peer has taken a recipient of this transaction before this one.
    pub(super) fn has_taken_before(&self, index: usize) -> bool {
        let before = self.outcomes.get(self.range.start..index).unwrap_or_default();
        before.iter().any(Option::is_none)
    }

    /// Whether recipients are left for another transaction.
    pub(super) fn has_more(&self) -> bool {
        self.outcomes.iter().skip(self.range.end).any(Option::is_none)
    }

    /// Settles one recipient.
    pub(super) fn settle(&mut self, index: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(index).filter(|place| place.is_none()) {
            *place = Some(outcome);
        }
    }

    /// Settles those of the transaction under way who are not.
    pub(super) fn settle_rest(&mut self, outcome: &Outcome) {
        let places = self.outcomes.get_mut(self.range.clone()).unwrap_or_default();
        places.iter_mut().filter(|p| p.is_none()).for_each(|p| *p = Some(outcome.clone()));
    }

    /// Settles all of the delivery who are not.
    pub(super) fn settle_all(&mut self, outcome: &Outcome) {
        let places = self.outcomes.iter_mut();
        places.filter(|place| place.is_none()).for_each(|place| *place = Some(outcome.clone()));
    }

    /// One outcome for each recipient.
    pub(super) fn done(self) -> Vec<(RecipientIndex, Outcome)> {
        let indices = self.delivery.recipients.into_iter().map(|(index, _)| index);
        indices.zip(self.outcomes.into_iter().flatten()).collect()
    }
}
