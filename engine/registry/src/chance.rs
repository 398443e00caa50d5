//! Chance comes in as an argument: the binary has the machine's, a test its own.

/// There is no randomness to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine gave no randomness")]
pub struct NoChance;

/// Gives octets that nobody can guess.
pub trait Chance: Send + Sync + 'static {
    /// Fills all of `octets`.
    ///
    /// # Errors
    /// There are none; nothing made from `octets` may be used then.
    fn fill(&self, octets: &mut [u8]) -> Result<(), NoChance>;
}

/// So many octets of it.
///
/// # Errors
/// There are none.
pub fn octets<const N: usize>(chance: &dyn Chance) -> Result<[u8; N], NoChance> {
    let mut octets = [0; N];
    chance.fill(&mut octets)?;
    Ok(octets)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use super::*;

    /// Counts, and mixes what it counts (splitmix64): each run draws the same.
    #[derive(Default)]
    pub(crate) struct Counted(AtomicU64);

    impl Chance for Counted {
        fn fill(&self, octets: &mut [u8]) -> Result<(), NoChance> {
            octets.fill_with(|| {
                let count = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
                let mixed = (count ^ count >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                (mixed ^ mixed >> 27) as u8
            });
            Ok(())
        }
    }

    #[test]
    fn draws_differ() {
        let chance = Counted::default();
        assert_ne!(octets::<8>(&chance), octets::<8>(&chance));
    }
}
