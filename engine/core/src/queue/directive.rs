//! What an operator says of messages that wait, wherever they wait: a value, so that it can be
//! stored, shown and taken back. What holds back a whole path is a
//! [`crate::queue::suspension::Suspension`].

use std::collections::BTreeSet;

use crate::clock::Timestamp;
use crate::mail::id::QueueId;
use crate::queue::entries::List;
use crate::queue::watch::Watch;
use crate::selector::Selector;

/// Directives at once: an entry has an octet for who holds it.
pub const DIRECTIVES_MAX: usize = 255;

/// What is done with the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// They are not sent. They keep their attempts, and expire all the same.
    Hold,
    /// They go by this pool.
    Move(Box<str>),
}

/// Which of the messages that the selector selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covers {
    /// Those that were accepted by then.
    AcceptedBy(Timestamp),
    /// These.
    Only(BTreeSet<QueueId>),
    /// Also those that come later.
    Future,
}

/// What an operator says.
#[derive(Clone, Debug)]
pub struct Directive {
    /// Its name, which no other has.
    pub name: Box<str>,
    /// Who said so, and why.
    pub reason: Box<str>,
    /// When it was said; ages are meant as of then.
    pub since: Timestamp,
    /// When it ends by itself; none if it does not.
    pub until: Option<Timestamp>,
    /// What is done.
    pub verb: Verb,
    /// With which messages.
    pub selector: Selector,
    /// Which of them.
    pub covers: Covers,
}

/// There are [`DIRECTIVES_MAX`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {DIRECTIVES_MAX} directives already: take one back that is not needed")]
pub struct TooManyDirectives;

/// One that is in force, with what it holds.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) directive: Directive,
    pub(crate) held: List,
    pub(crate) watch: Watch,
}

/// Those that are in force, each under a number from 1 on.
#[derive(Debug, Default)]
pub(crate) struct Directives(Vec<Option<Active>>);

impl Directives {
    pub(crate) fn insert(&mut self, directive: Directive) -> Result<u8, TooManyDirectives> {
        let new = Active { directive, held: List::default(), watch: Watch::default() };
        if let Some(place) = self.0.iter().position(Option::is_none) {
            if let Some(slot) = self.0.get_mut(place) {
                *slot = Some(new);
            }
            return Ok(place as u8 + 1);
        }
        if self.0.len() >= DIRECTIVES_MAX {
            return Err(TooManyDirectives);
        }
        self.0.push(Some(new));
        Ok(self.0.len() as u8)
    }

    pub(crate) fn get(&self, number: u8) -> Option<&Active> {
        self.0.get(usize::from(number).checked_sub(1)?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u8) -> Option<&mut Active> {
        self.0.get_mut(usize::from(number).checked_sub(1)?)?.as_mut()
    }

    /// The number of the one with this name.
    pub(crate) fn number(&self, name: &str) -> Option<u8> {
        self.iter().find(|(_, active)| *active.directive.name == *name).map(|(number, _)| number)
    }

    pub(crate) fn remove(&mut self, number: u8) -> Option<Active> {
        self.0.get_mut(usize::from(number).checked_sub(1)?)?.take()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Active)> {
        (1..).zip(&self.0).filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Active> {
        self.0.iter_mut().flatten()
    }

    /// Those that end by themselves by now.
    pub(crate) fn over(&self, now: Timestamp) -> Vec<u8> {
        let over = |active: &Active| active.directive.until.is_some_and(|until| until <= now);
        self.iter().filter(|(_, active)| over(active)).map(|(number, _)| number).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_a_number_is_given_again() {
        let mut all = Directives::default();
        let one = |n: usize| Directive {
            name: format!("d-{n}").into(),
            reason: "test".into(),
            since: Timestamp::EPOCH,
            until: None,
            verb: Verb::Hold,
            selector: Selector::all(),
            covers: Covers::Future,
        };
        (1..=DIRECTIVES_MAX).for_each(|n| assert_eq!(all.insert(one(n)), Ok(n as u8)));
        assert_eq!(all.insert(one(0)), Err(TooManyDirectives));
        assert!(all.remove(7).is_some() && all.remove(7).is_none() && all.remove(0).is_none());
        assert_eq!((all.insert(one(0)), all.number("d-0")), (Ok(7), Some(7)));
    }
}
