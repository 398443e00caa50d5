//! What happened in a run, to show that it happened at all.

/// What happened in a run, to show that it happened at all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) attempts: u64,
    pub(crate) delivered: u64,
    pub(crate) bounced: u64,
    pub(crate) expired: u64,
    pub(crate) deferred: u64,
    pub(crate) in_doubt: u64,
    pub(crate) unroutable: u64,
    pub(crate) given_back: u64,
    pub(crate) restarts: u64,
    pub(crate) suspensions: u64,
    pub(crate) cancelled: u64,
    pub(crate) too_late: u64,
    pub(crate) closes: u64,
    pub(crate) duplicates: u64,
    pub(crate) holds: u64,
    pub(crate) refused: u64,
    pub(crate) hurried: u64,
}

impl Sums {
    fn fields(&mut self) -> [&mut u64; 17] {
        [
            &mut self.attempts,
            &mut self.delivered,
            &mut self.bounced,
            &mut self.expired,
            &mut self.deferred,
            &mut self.in_doubt,
            &mut self.unroutable,
            &mut self.given_back,
            &mut self.restarts,
            &mut self.suspensions,
            &mut self.cancelled,
            &mut self.too_late,
            &mut self.closes,
            &mut self.duplicates,
            &mut self.holds,
            &mut self.refused,
            &mut self.hurried,
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = *other;
        for (sum, more) in self.fields().into_iter().zip(other.fields()) {
            *sum += *more;
        }
    }

    pub(crate) fn show_that_all_was_tried(mut self) {
        let sums = format!("{self:?}");
        assert!(self.fields().into_iter().all(|sum| *sum > 0), "{sums}");
    }
}
