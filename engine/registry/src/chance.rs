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
    use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering;

    use super::*;

    /// Counts: no two draws are alike, and each run draws the same.
    #[derive(Default)]
    pub(crate) struct Counted(AtomicU8);

    impl Chance for Counted {
        fn fill(&self, octets: &mut [u8]) -> Result<(), NoChance> {
            octets.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
            Ok(())
        }
    }

    #[test]
    fn draws_differ() {
        let chance = Counted::default();
        assert_ne!(octets::<8>(&chance), octets::<8>(&chance));
    }
}
