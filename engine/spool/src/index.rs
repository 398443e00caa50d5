//! Where each waiting message lies and who of its recipients is settled: a fold of the journal,
//! kept in memory, that can be thrown away and made again.
//!
//! It holds no address and no domain, so that millions of waiting messages fit.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use maily_core::clock::Timestamp;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_journal::scan::Position;

use crate::entry::Keyed;
use crate::keys::Keys;
use crate::slot::Slot;
use crate::slot::SlotMark;
use crate::templates::Templates;

/// What lives in one segment: messages, and templates and idempotency keys among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) messages: u64,
    pub(crate) octets: u64,
}

/// The fold.
#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: HashMap<QueueId, Slot>,
    uses: BTreeMap<u64, Use>,
    live_octets: u64,
    templates: Templates,
    keys: Keys,
}

impl Index {
    pub(crate) fn insert(&mut self, id: QueueId, slot: Slot) {
        self.occupy(slot.position(), slot.octets());
        self.templates.hold(slot.template());
        if let Some(old) = self.slots.insert(id, slot) {
            self.release(&old);
        }
    }

    /// Settles recipients; true if none of the message is left.
    pub(crate) fn settle(&mut self, id: QueueId, recipients: &[RecipientIndex]) -> bool {
        let gone = self.slots.get_mut(&id).is_some_and(|slot| slot.settle(recipients));
        if gone {
            self.remove(id);
        }
        gone
    }

    /// Replaces what earlier attempts left to do for these recipients.
    pub(crate) fn mark(&mut self, id: QueueId, mark: SlotMark) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.mark(mark);
        }
    }

    /// The mark of this attempt is on disk here.
    pub(crate) fn marked(
        &mut self,
        id: QueueId,
        recipients: &[RecipientIndex],
        attempts: u32,
        at: Position,
    ) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.marked(recipients, attempts, at);
        }
    }

    /// The sender was told that these recipients' mail is late.
    pub(crate) fn notice(&mut self, id: QueueId, recipients: &[RecipientIndex]) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.notice(recipients);
        }
    }

    /// The message now lies elsewhere: only if it still lies where it was.
    pub(crate) fn moved(&mut self, id: QueueId, from: Position, to: Position, octets: u64) {
        let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.position() == from) else {
            return;
        };
        let old = slot.octets();
        slot.move_to(to, octets);
        self.occupy(to, octets);
        self.vacate(from, old);
    }

    pub(crate) fn remove(&mut self, id: QueueId) {
        if let Some(slot) = self.slots.remove(&id) {
            self.release(&slot);
        }
    }

    fn release(&mut self, slot: &Slot) {
        self.vacate(slot.position(), slot.octets());
        self.templates.release(slot.template());
    }

    /// The templates. What is done to places goes through [`Index::place_template`].
    pub(crate) const fn templates(&mut self) -> &mut Templates {
        &mut self.templates
    }

    /// The number for a message's template; 0 if it has none.
    pub(crate) fn template_number(&mut self, name: Option<[u8; 32]>) -> u16 {
        // One too many cannot have been put.
        name.and_then(|name| self.templates.number(name)).unwrap_or_default()
    }

    /// A template's record lies here now.
    pub(crate) fn place_template(&mut self, name: [u8; 32], at: Position, octets: u64) {
        let Some(number) = self.templates.number(name) else { return };
        let before = self.templates.place(number, (at, octets));
        self.occupy(at, octets);
        if let Some((before, octets)) = before {
            self.vacate(before, octets);
        }
    }

    /// Forgets the templates in this segment that no mail needs.
    pub(crate) fn forget_templates_in(&mut self, segment: u64) {
        for (number, template) in self.templates.lying_in(segment) {
            if template.needed == 0 {
                self.forget_template(number);
            }
        }
    }

    fn forget_template(&mut self, number: u16) {
        let gone = self.templates.remove(number);
        if let Some((at, octets)) = gone.and_then(|template| template.place) {
            self.vacate(at, octets);
        }
    }

    /// A template's record is damaged. Its number stays with the mail that needs it.
    pub(crate) fn lose_template(&mut self, name: &[u8; 32]) {
        let Some((number, _)) = self.templates.find(name) else { return };
        if let Some((at, octets)) = self.templates.displace(number) {
            self.vacate(at, octets);
        }
    }

    /// Keeps no more idempotency keys than these.
    pub(crate) fn limit_keys(&mut self, max: usize) {
        self.keys = Keys::up_to(max);
    }

    /// The idempotency keys. What is done to places goes through the doors below.
    pub(crate) const fn keys(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// A key's record lies here now, and says this.
    pub(crate) fn place_key(&mut self, keyed: &Keyed, at: Position, octets: u64) {
        let before = self.keys.place(keyed, (at, octets));
        self.occupy(at, octets);
        if let Some((before, octets)) = before {
            self.vacate(before, octets);
        }
    }

    /// A key's record was written again: only if it still lies where it was.
    pub(crate) fn key_moved(&mut self, key: &[u8; 32], from: Position, to: Position, octets: u64) {
        if let Some((from, before)) = self.keys.moved(key, from, (to, octets)) {
            self.occupy(to, octets);
            self.vacate(from, before);
        }
    }

    /// No request holds this key any more.
    pub(crate) fn release_key(&mut self, key: &[u8; 32]) {
        if let Some((at, octets)) = self.keys.release(key) {
            self.vacate(at, octets);
        }
    }

    /// Forgets the keys whose time is over.
    pub(crate) fn expire_keys(&mut self, now: Timestamp) {
        for (at, octets) in self.keys.expire(now) {
            self.vacate(at, octets);
        }
    }

    fn occupy(&mut self, at: Position, octets: u64) {
        let used = self.uses.entry(at.segment).or_default();
        used.messages += 1;
        used.octets += octets;
        self.live_octets += octets;
    }

    fn vacate(&mut self, at: Position, octets: u64) {
        let Some(used) = self.uses.get_mut(&at.segment) else { return };
        used.messages = used.messages.saturating_sub(1);
        used.octets = used.octets.saturating_sub(octets);
        self.live_octets = self.live_octets.saturating_sub(octets);
        if used.messages == 0 {
            self.uses.remove(&at.segment);
        }
    }

    pub(crate) fn get(&self, id: QueueId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// The slot of a message that lies here.
    pub(crate) fn at(&self, id: QueueId, position: Position) -> Option<&Slot> {
        self.slots.get(&id).filter(|slot| slot.position() == position)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Octets of all records that live.
    pub(crate) const fn live_octets(&self) -> u64 {
        self.live_octets
    }

    pub(crate) fn used(&self, segment: u64) -> Use {
        self.uses.get(&segment).copied().unwrap_or_default()
    }

    /// Messages that lie in this segment; looks at all.
    pub(crate) fn ids_in(&self, segment: u64) -> Vec<QueueId> {
        let here = self.slots.iter().filter(|(_, slot)| slot.position().segment == segment);
        here.map(|(id, _)| *id).collect()
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.slots.reserve(more);
    }
}
