//! The templates that waiting mail is rendered from: where each lies, and how much mail needs it.
//!
//! A template is named by the SHA-256 of its content. Messages hold a small number instead, because
//! there are millions of them.

use hashbrown::HashMap;

use maily_journal::scan::Position;

/// Templates that can be kept at once.
pub(crate) const TEMPLATES_MAX: usize = u16::MAX as usize;

/// One template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Template {
    pub(crate) name: [u8; 32],
    /// Where its record lies and its octets; none while only messages speak of it.
    pub(crate) place: Option<(Position, u64)>,
    /// Messages that need it, and puts under way.
    pub(crate) needed: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    numbers: HashMap<[u8; 32], u16>,
    /// The template with number n is at n - 1.
    all: Vec<Option<Template>>,
}

impl Templates {
    /// The number of a template, given now if it has none; none if there are too many.
    pub(crate) fn number(&mut self, name: [u8; 32]) -> Option<u16> {
        if let Some(number) = self.numbers.get(&name) {
            return Some(*number);
        }
        let free = self.all.iter().position(Option::is_none);
        let at = free.unwrap_or(self.all.len());
        let number = u16::try_from(at + 1).ok().filter(|_| at < TEMPLATES_MAX)?;
        let template = Template { name, place: None, needed: 0 };
        match self.all.get_mut(at) {
            Some(slot) => *slot = Some(template),
            None => self.all.push(Some(template)),
        }
        self.numbers.insert(name, number);
        Some(number)
    }

    pub(crate) fn find(&self, name: &[u8; 32]) -> Option<(u16, Template)> {
        let number = *self.numbers.get(name)?;
        Some((number, self.get(number)?))
    }

    pub(crate) fn get(&self, number: u16) -> Option<Template> {
        *self.all.get(usize::from(number).checked_sub(1)?)?
    }

    fn get_mut(&mut self, number: u16) -> Option<&mut Template> {
        self.all.get_mut(usize::from(number).checked_sub(1)?)?.as_mut()
    }

    pub(crate) fn hold(&mut self, number: u16) {
        if let Some(template) = self.get_mut(number) {
            template.needed += 1;
        }
    }

    pub(crate) fn release(&mut self, number: u16) {
        if let Some(template) = self.get_mut(number) {
            template.needed = template.needed.saturating_sub(1);
            if template.needed == 0 && template.place.is_none() {
                self.remove(number);
            }
        }
    }

    /// It lies here now; gives where it lay before.
    pub(crate) fn place(&mut self, number: u16, at: (Position, u64)) -> Option<(Position, u64)> {
        self.get_mut(number)?.place.replace(at)
    }

    /// Its record is gone; gives where it lay.
    pub(crate) fn displace(&mut self, number: u16) -> Option<(Position, u64)> {
        let template = self.get_mut(number)?;
        let before = template.place.take();
        if template.needed == 0 {
            self.remove(number);
        }
        before
    }

    pub(crate) fn remove(&mut self, number: u16) -> Option<Template> {
        let slot = self.all.get_mut(usize::from(number).checked_sub(1)?)?;
        let template = slot.take()?;
        self.numbers.remove(&template.name);
        Some(template)
    }

    /// Those whose record lies in this segment.
    pub(crate) fn lying_in(&self, segment: u64) -> Vec<(u16, Template)> {
        let here = |template: &Template| {
            template.place.is_some_and(|(position, _)| position.segment == segment)
        };
        self.placed().filter(|(_, template)| here(template)).collect()
    }

    /// Those whose record is known.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (u16, Template)> {
        let numbered = self.all.iter().enumerate();
        numbered
            .filter_map(|(at, template)| Some((u16::try_from(at + 1).ok()?, (*template)?)))
            .filter(|(_, template)| template.place.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> [u8; 32] {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_le_bytes());
        name
    }

    #[test]
    fn one_more_than_can_be_kept_gets_no_number_until_one_goes() {
        let mut templates = Templates::default();
        for number in 0..TEMPLATES_MAX as u32 {
            assert_eq!(templates.number(name(number)), Some(number as u16 + 1));
        }
        assert_eq!(templates.number(name(70_000)), None);
        assert_eq!(templates.number(name(5)), Some(6), "a known one keeps its number");
        templates.hold(9);
        templates.release(9);
        assert_eq!(templates.number(name(70_000)), Some(9));
    }
}
