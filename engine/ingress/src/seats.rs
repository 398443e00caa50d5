//! How many sessions there are, in all and from each address, and who may have one more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Sessions now.
#[derive(Debug, Default)]
struct Taken {
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// The seats of a listener; clones share them.
#[derive(Clone, Debug)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
    all_max: u32,
    per_address_max: u32,
}

/// One session's seat, for as long as it lives.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    address: Option<IpAddr>,
}

impl Seats {
    /// So many in all and for each address.
    pub fn new(all_max: u32, per_address_max: u32) -> Self {
        Self { taken: Arc::default(), all_max, per_address_max }
    }

    /// The same seats with other limits; who sits keeps the seat.
    pub fn limited(&self, all_max: u32, per_address_max: u32) -> Self {
        Self { taken: Arc::clone(&self.taken), all_max, per_address_max }
    }

    /// Sessions now.
    pub fn taken(&self) -> u32 {
        self.taken.lock().all
    }

    /// A seat for a client whose address is not known yet, if there is one left.
    pub fn take(&self) -> Option<Seat> {
        let mut taken = self.taken.lock();
        if taken.all >= self.all_max {
            return None;
        }
        taken.all += 1;
        Some(Seat { seats: self.clone(), address: None })
    }
}

impl Seat {
    /// Now the address is known; false if too many come from there.
    pub fn name(&mut self, address: IpAddr) -> bool {
        let mut taken = self.seats.taken.lock();
        let own = taken.by_address.entry(address).or_default();
        if *own >= self.seats.per_address_max {
            return false;
        }
        *own += 1;
        self.address = Some(address);
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(own) = taken.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn each_address_and_all_together_have_their_limit() {
        let seats = Seats::new(3, 2);
        let sit = |last| {
            let mut seat = seats.take()?;
            seat.name(address(last)).then_some(seat)
        };
        let (first, _second) = (sit(1).unwrap(), sit(1).unwrap());
        assert!(sit(1).is_none(), "one above, of one address");
        let _third = sit(2).unwrap();
        assert!(sit(3).is_none(), "one above, in all");
        drop(first);
        assert!(sit(3).is_some());
        assert!(sit(1).is_some());
        drop((_second, _third));
        let _first = sit(1).unwrap();
        let one_more = seats.limited(2, 1).take().unwrap();
        assert!(seats.limited(2, 1).take().is_none(), "those who sat before count, too");
        drop((one_more, _first));
        assert!(seats.taken.lock().by_address.is_empty());
        assert_eq!(seats.taken.lock().all, 0);
    }
}
