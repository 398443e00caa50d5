//! Octets that lie in large pages, where the machine has any: of hundreds of megabytes in small
//! pages the processor forgets where they are, and looks that up anew for each row.

use std::ops::Deref;

use memmap2::Advice;
use memmap2::MmapMut;

/// So many are worth large pages.
const WIDE_MIN: usize = if cfg!(test) { 1 << 10 } else { 4 << 20 };

/// Octets that do not change.
#[derive(Debug)]
pub(crate) enum Wide {
    /// Few.
    Narrow(Vec<u8>),
    /// Many.
    Mapped(MmapMut),
}

impl Wide {
    /// These octets.
    pub(crate) fn of(mut octets: Vec<u8>) -> Self {
        octets.shrink_to_fit();
        if octets.len() < WIDE_MIN {
            return Self::Narrow(octets);
        }
        let Ok(mut map) = MmapMut::map_anon(octets.len()) else { return Self::Narrow(octets) };
        // It is advice: without large pages it is slower, and right.
        let _no_matter = map.advise(Advice::HugePage);
        map.copy_from_slice(&octets);
        Self::Mapped(map)
    }

    /// These numbers, each in four octets.
    pub(crate) fn of_numbers(numbers: &[u32]) -> Self {
        Self::of(numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    /// The number at this place among numbers.
    pub(crate) fn number(&self, place: usize) -> Option<u32> {
        let octets = self.get(place.checked_mul(4)?..)?;
        octets.first_chunk().map(|octets| u32::from_le_bytes(*octets))
    }
}

impl Default for Wide {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Deref for Wide {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Narrow(octets) => octets,
            Self::Mapped(map) => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_read_alike() {
        for count in [0_u32, 1, 10, 10_000] {
            let numbers: Vec<u32> = (0..count).map(|n| n * 7_919).collect();
            let wide = Wide::of_numbers(&numbers);
            assert_eq!(wide.len(), numbers.len() * 4);
            assert!((0..numbers.len()).all(|n| wide.number(n) == Some(numbers[n])));
            assert_eq!(wide.number(numbers.len()), None);
        }
        assert_eq!(Wide::default().number(usize::MAX), None);
    }
}
