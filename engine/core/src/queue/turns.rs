//! Two classes, one after the other: transactional mail goes first, but of seventeen turns one is
//! for bulk, so that neither waits for the end of the other.

use std::collections::VecDeque;

use crate::mail::envelope::Class;

/// Turns of transactional mail before bulk mail gets one.
const TRANSACTIONAL_TURNS: u8 = 16;

/// Something for each class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ByClass<T> {
    transactional: T,
    bulk: T,
}

impl<T> ByClass<T> {
    pub(crate) const fn get(&self, class: Class) -> &T {
        match class {
            Class::Transactional => &self.transactional,
            Class::Bulk => &self.bulk,
        }
    }

    pub(crate) const fn get_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Transactional => &mut self.transactional,
            Class::Bulk => &mut self.bulk,
        }
    }
}

/// Says whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Turns {
    taken: u8,
}

impl Turns {
    /// The class whose turn it is, and the one that gets it if the first has nothing.
    pub(crate) const fn next(&mut self) -> [Class; 2] {
        if self.taken >= TRANSACTIONAL_TURNS {
            self.taken = 0;
            return [Class::Bulk, Class::Transactional];
        }
        self.taken += 1;
        [Class::Transactional, Class::Bulk]
    }
}

/// Numbers that wait in line, a line for each class.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: ByClass<VecDeque<u32>>,
    turns: Turns,
}

impl Lines {
    pub(crate) fn push(&mut self, class: Class, number: u32) {
        self.lines.get_mut(class).push_back(number);
    }

    pub(crate) fn pop(&mut self) -> Option<(Class, u32)> {
        if self.is_empty() {
            return None;
        }
        let [first, second] = self.turns.next();
        let mut of = |class| Some((class, self.lines.get_mut(class).pop_front()?));
        of(first).or_else(|| of(second))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.transactional.is_empty() && self.lines.bulk.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.transactional.len() + self.lines.bulk.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_gets_one_turn_of_seventeen_and_all_that_the_other_leaves() {
        let mut lines = Lines::default();
        (0..40).for_each(|n| lines.push(Class::Bulk, n));
        (0..32).for_each(|n| lines.push(Class::Transactional, n));
        let classes: Vec<_> = std::iter::from_fn(|| lines.pop()).map(|(class, _)| class).collect();
        let bulk = |part: &[Class]| part.iter().filter(|class| **class == Class::Bulk).count();
        assert_eq!((bulk(&classes[..16]), bulk(&classes[..34]), bulk(&classes)), (0, 2, 40));
        assert!(lines.is_empty());
    }
}
