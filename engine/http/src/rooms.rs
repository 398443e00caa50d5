//! Room for the bodies of requests: counted as they arrive, so that a client that says it will send
//! much, and sends nothing, takes nothing. No holder of a token may take more than its share.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fault::Fault;

/// The most octets of all bodies that are being received or worked on.
pub const BODIES_OCTETS_MAX: usize = 256 << 20;
/// The most octets of those of one holder.
pub const BODIES_OCTETS_MAX_EACH: usize = BODIES_OCTETS_MAX / 2;

/// What is taken.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    each: HashMap<Box<str>, usize>,
}

/// The room for all bodies.
#[derive(Debug)]
pub(crate) struct Rooms {
    taken: Mutex<Taken>,
    most: usize,
    most_each: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self::new(BODIES_OCTETS_MAX, BODIES_OCTETS_MAX_EACH)
    }
}

impl Rooms {
    pub(crate) fn new(most: usize, most_each: usize) -> Self {
        Self { taken: Mutex::default(), most, most_each }
    }

    /// Whether a body of so many octets would find room now.
    ///
    /// # Errors
    /// 503: it would not.
    pub(crate) fn fits(&self, holder: &str, octets: usize) -> Result<(), Fault> {
        self.check(&self.taken.lock(), holder, octets)
    }

    fn check(&self, taken: &Taken, holder: &str, octets: usize) -> Result<(), Fault> {
        if taken.all.saturating_add(octets) > self.most {
            return Err(Fault::no_room("too many requests are being received"));
        }
        let own = taken.each.get(holder).copied().unwrap_or_default();
        if own.saturating_add(octets) > self.most_each {
            return Err(Fault::no_room("too many requests of this token are being received"));
        }
        Ok(())
    }

    /// A place for one body, which has nothing yet.
    pub(crate) fn place(self: &Arc<Self>, holder: Box<str>) -> Place {
        Place { rooms: Arc::clone(self), holder, octets: Mutex::new(0) }
    }

    #[cfg(test)]
    pub(crate) fn octets(&self) -> usize {
        self.taken.lock().all
    }
}

/// What one body takes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    rooms: Arc<Rooms>,
    holder: Box<str>,
    octets: Mutex<usize>,
}

impl Place {
    /// So many octets more have come.
    ///
    /// # Errors
    /// 503: there is no room for them.
    pub(crate) fn grow(&self, octets: usize) -> Result<(), Fault> {
        let mut taken = self.rooms.taken.lock();
        self.rooms.check(&taken, &self.holder, octets)?;
        taken.all += octets;
        match taken.each.get_mut(&self.holder) {
            Some(own) => *own += octets,
            None => {
                taken.each.insert(self.holder.clone(), octets);
            }
        }
        *self.octets.lock() += octets;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let octets = *self.octets.get_mut();
        if octets == 0 {
            return;
        }
        let mut taken = self.rooms.taken.lock();
        taken.all = taken.all.saturating_sub(octets);
        let left = taken.each.get_mut(&self.holder).map(|own| {
            *own = own.saturating_sub(octets);
            *own
        });
        if left == Some(0) {
            taken.each.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_counted_and_given_back() {
        let rooms = Arc::new(Rooms::new(10, 6));
        let (a, b) = (rooms.place("a".into()), rooms.place("b".into()));
        a.grow(3).unwrap();
        a.grow(3).unwrap();
        assert_eq!(a.grow(1).unwrap_err().status(), 503, "its share is spent");
        assert!(rooms.fits("a", 0).is_ok() && rooms.fits("a", 1).is_err());
        b.grow(4).unwrap();
        assert!(b.grow(1).is_err(), "all is spent");
        drop(a);
        b.grow(2).unwrap();
        assert!(b.grow(1).is_err(), "its share");
        drop(b);
        assert_eq!(rooms.octets(), 0);
        assert!(rooms.taken.lock().each.is_empty(), "nothing is kept of who has nothing");
    }
}
