//! What is known in memory of one waiting message. Millions of these must fit, so a message with
//! one recipient, as nearly all are, needs nothing beside its 40 octets.

use maily_core::clock::Timestamp;
use maily_core::mail::envelope::RecipientIndex;
use maily_journal::scan::Position;

/// More attempts than this are not counted; at one an hour they last three years.
const ATTEMPTS_MAX: u32 = u16::MAX as u32 >> 1;

/// A position in 8 octets: the journal keeps offsets within 32 bits, and makes no segment 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    segment: u32,
    offset: u32,
}

impl Place {
    fn of(position: Position) -> Self {
        // Four milliards of segments are more than a journal lives to see.
        let narrow = |wide| u32::try_from(wide).unwrap_or(u32::MAX);
        Self { segment: narrow(position.segment), offset: narrow(position.offset) }
    }

    fn position(self) -> Option<Position> {
        let wide = Position { segment: self.segment.into(), offset: self.offset.into() };
        (self != Self::default()).then_some(wide)
    }
}

/// What an attempt left to do. What it heard stays on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotMark {
    pub(crate) recipients: Vec<RecipientIndex>,
    pub(crate) attempts: u32,
    pub(crate) due: Timestamp,
    /// Where the record lies; none until it is on disk.
    pub(crate) at: Option<Position>,
}

/// What a message with more than one recipient needs beside.
#[derive(Clone, Debug)]
struct More {
    recipients: u32,
    left: u32,
    /// A bit for each settled recipient.
    settled: Box<[u64]>,
    marks: Vec<SlotMark>,
    noticed: Vec<RecipientIndex>,
}

/// One waiting message.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    place: Place,
    /// Of the only recipient's last mark.
    marked_at: Place,
    due: Timestamp,
    more: Option<Box<More>>,
    octets: u32,
    /// Of the only recipient, doubled; one more if its sender was told of the delay.
    attempts_noticed: u16,
    /// The number of its template; 0 if it has none.
    template: u16,
}

impl Slot {
    pub(crate) fn new(position: Position, octets: u64, recipients: u32) -> Self {
        let more = (recipients != 1).then(|| {
            let settled = vec![0; recipients.div_ceil(64) as usize].into();
            let (marks, noticed) = (Vec::new(), Vec::new());
            Box::new(More { recipients, left: recipients, settled, marks, noticed })
        });
        Self {
            place: Place::of(position),
            marked_at: Place::default(),
            due: Timestamp::EPOCH,
            more,
            octets: u32::try_from(octets).unwrap_or(u32::MAX),
            attempts_noticed: 0,
            template: 0,
        }
    }

    /// The same, rendered from the template with this number.
    pub(crate) const fn with_template(mut self, template: u16) -> Self {
        self.template = template;
        self
    }

    /// The number of its template; 0 if it has none.
    pub(crate) const fn template(&self) -> u16 {
        self.template
    }

    const fn attempts(&self) -> u32 {
        (self.attempts_noticed >> 1) as u32
    }

    /// Where its record lies.
    pub(crate) fn position(&self) -> Position {
        let Place { segment, offset } = self.place;
        Position { segment: segment.into(), offset: offset.into() }
    }

    /// Octets of its record.
    pub(crate) const fn octets(&self) -> u64 {
        self.octets as u64
    }

    pub(crate) fn move_to(&mut self, position: Position, octets: u64) {
        self.place = Place::of(position);
        self.octets = u32::try_from(octets).unwrap_or(u32::MAX);
    }

    /// How many recipients it has, settled or not.
    pub(crate) fn recipients(&self) -> u32 {
        self.more.as_ref().map_or(1, |more| more.recipients)
    }

    pub(crate) fn is_settled(&self, recipient: RecipientIndex) -> bool {
        let (word, bit) = place_of(recipient);
        let settled = self.more.as_ref().and_then(|more| more.settled.get(word));
        settled.is_some_and(|word| word >> bit & 1 == 1)
    }

    pub(crate) fn unsettled(&self) -> Vec<RecipientIndex> {
        self.all().filter(|recipient| !self.is_settled(*recipient)).collect()
    }

    pub(crate) fn settled(&self) -> Vec<RecipientIndex> {
        self.all().filter(|recipient| self.is_settled(*recipient)).collect()
    }

    fn all(&self) -> impl Iterator<Item = RecipientIndex> {
        (0..self.recipients()).map(RecipientIndex)
    }

    /// True if nobody is left.
    pub(crate) fn settle(&mut self, recipients: &[RecipientIndex]) -> bool {
        let Some(more) = &mut self.more else { return recipients.contains(&RecipientIndex(0)) };
        for recipient in recipients.iter().filter(|recipient| recipient.0 < more.recipients) {
            let (word, bit) = place_of(*recipient);
            let Some(word) = more.settled.get_mut(word) else { continue };
            more.left -= u32::from(*word >> bit & 1 == 0);
            *word |= 1 << bit;
        }
        more.left == 0
    }

    /// Attempts so far for this recipient, when it is tried next, and where that is written; none
    /// before the first, if it did not have to wait for that.
    pub(crate) fn mark_of(
        &self,
        recipient: RecipientIndex,
    ) -> Option<(u32, Timestamp, Option<Position>)> {
        if let Some(more) = &self.more {
            let mark = more.marks.iter().find(|mark| mark.recipients.contains(&recipient))?;
            return Some((mark.attempts, mark.due, mark.at));
        }
        let inline = (self.attempts(), self.due, self.marked_at.position());
        // One that is to wait from the beginning has a due time and no attempt.
        let marked = self.attempts() > 0 || self.due > Timestamp::EPOCH;
        (marked && recipient.0 == 0).then_some(inline)
    }

    pub(crate) fn marks(&self) -> Vec<SlotMark> {
        if let Some(more) = &self.more {
            return more.marks.clone();
        }
        let first = RecipientIndex(0);
        let mark = self.mark_of(first).map(|(attempts, due, at)| {
            let recipients = vec![first];
            SlotMark { recipients, attempts, due, at }
        });
        mark.into_iter().collect()
    }

    /// Replaces what earlier attempts left to do for these recipients.
    pub(crate) fn mark(&mut self, mark: SlotMark) {
        let Some(more) = &mut self.more else {
            if mark.recipients.contains(&RecipientIndex(0)) {
                let attempts = mark.attempts.min(ATTEMPTS_MAX) as u16;
                self.attempts_noticed = attempts << 1 | self.attempts_noticed & 1;
                self.due = mark.due;
                self.marked_at = mark.at.map(Place::of).unwrap_or_default();
            }
            return;
        };
        for old in &mut more.marks {
            old.recipients.retain(|recipient| !mark.recipients.contains(recipient));
        }
        more.marks.retain(|old| !old.recipients.is_empty());
        more.marks.push(mark);
    }

    /// The mark of this attempt is on disk here, unless a later one has taken its place.
    pub(crate) fn marked(&mut self, recipients: &[RecipientIndex], attempts: u32, at: Position) {
        let last = self.attempts() == attempts.min(ATTEMPTS_MAX);
        match &mut self.more {
            None if last => self.marked_at = Place::of(at),
            None => {}
            Some(more) => {
                let same = |mark: &&mut SlotMark| {
                    mark.attempts == attempts
                        && mark.recipients.iter().any(|one| recipients.contains(one))
                };
                more.marks.iter_mut().filter(same).for_each(|mark| mark.at = Some(at));
            }
        }
    }

    /// The sender was told that these recipients' mail is late.
    pub(crate) fn notice(&mut self, recipients: &[RecipientIndex]) {
        let Some(more) = &mut self.more else {
            self.attempts_noticed |= u16::from(recipients.contains(&RecipientIndex(0)));
            return;
        };
        for recipient in recipients {
            if recipient.0 < more.recipients && !more.noticed.contains(recipient) {
                more.noticed.push(*recipient);
            }
        }
    }

    /// Recipients of whose delay the sender was told.
    pub(crate) fn noticed(&self) -> Vec<RecipientIndex> {
        match &self.more {
            Some(more) => more.noticed.clone(),
            None if self.attempts_noticed & 1 == 1 => vec![RecipientIndex(0)],
            None => Vec::new(),
        }
    }
}

const fn place_of(recipient: RecipientIndex) -> (usize, u32) {
    (recipient.0 as usize / 64, recipient.0 % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: u64) -> Position {
        Position { segment: 3, offset }
    }

    fn mark(recipients: &[u32], attempts: u32) -> SlotMark {
        let recipients = recipients.iter().copied().map(RecipientIndex).collect();
        SlotMark { recipients, attempts, due: Timestamp::from_secs(attempts.into()), at: None }
    }

    #[test]
    fn a_slot_keeps_within_40_octets() {
        assert_eq!(size_of::<Slot>(), 40);
    }

    #[test]
    fn one_recipient_and_many_answer_alike() {
        for recipients in [1, 2, 100] {
            let mut slot = Slot::new(position(64), 1_000, recipients);
            let first = RecipientIndex(0);
            assert_eq!(slot.mark_of(first), None);
            slot.mark(mark(&[0], 1));
            slot.mark(mark(&[0], 2));
            slot.marked(&[first], 1, position(5));
            slot.marked(&[first], 2, position(6));
            slot.notice(&[first]);
            let at = Some(position(6));
            assert_eq!(slot.mark_of(first), Some((2, Timestamp::from_secs(2), at)));
            assert_eq!(slot.marks().len(), 1);
            assert_eq!(slot.noticed(), [first]);
            assert_eq!(slot.unsettled().len(), recipients as usize);
            assert!(!slot.settle(&[RecipientIndex(recipients)]), "nobody");
            assert_eq!(slot.settle(&[first]), recipients == 1);
        }
    }

    #[test]
    fn what_has_to_wait_from_the_beginning_has_a_mark_without_an_attempt() {
        for recipients in [1, 2] {
            let mut slot = Slot::new(position(64), 1_000, recipients);
            let all: Vec<_> = (0..recipients).collect();
            slot.mark(SlotMark { due: Timestamp::from_secs(7), ..mark(&all, 0) });
            let first = slot.mark_of(RecipientIndex(0));
            assert_eq!(first, Some((0, Timestamp::from_secs(7), None)), "{recipients}");
            assert_eq!(slot.marks().len(), 1);
        }
    }

    #[test]
    fn a_mark_for_some_leaves_the_mark_of_the_others() {
        let mut slot = Slot::new(position(64), 1_000, 3);
        slot.mark(mark(&[0, 1, 2], 1));
        slot.mark(mark(&[1], 2));
        let attempts = [0, 1, 2].map(|n| slot.mark_of(RecipientIndex(n)).unwrap().0);
        assert_eq!(attempts, [1, 2, 1]);
        assert!(!slot.settle(&[RecipientIndex(0), RecipientIndex(0), RecipientIndex(2)]));
        assert_eq!(slot.settled(), [RecipientIndex(0), RecipientIndex(2)]);
        assert!(slot.settle(&[RecipientIndex(1)]));
    }
}
