//! A table of values under small numbers, in pieces: growing it never moves what it holds, and it
//! never reserves more than one piece ahead. The number of a value that is gone is used again.

/// Values in one piece.
const PIECE: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Slab<T> {
    pieces: Vec<Vec<T>>,
    free: Vec<u32>,
    length: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new(), length: 0 }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.length += 1;
        if let Some(key) = self.free.pop() {
            if let Some(slot) = self.get_mut(key) {
                *slot = value;
            }
            return key;
        }
        let key = self.length - 1;
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(value),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(value);
                self.pieces.push(piece);
            }
        }
        key
    }

    /// The value under a number that was given and not removed since.
    pub(crate) fn get(&self, key: u32) -> Option<&T> {
        self.pieces.get(key as usize / PIECE)?.get(key as usize % PIECE)
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.pieces.get_mut(key as usize / PIECE)?.get_mut(key as usize % PIECE)
    }

    /// As [`Self::each_mut`].
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.pieces.iter().flatten())
    }

    /// All values that were ever put, with their numbers, in order: those that are gone too, as
    /// they lay.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0..).zip(self.pieces.iter_mut().flatten())
    }

    /// The number may be given again; what lay under it stays until then.
    pub(crate) fn remove(&mut self, key: u32) {
        self.length -= 1;
        self.free.push(key);
    }

    pub(crate) const fn len(&self) -> usize {
        self.length as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_values_stay_where_they_are() {
        let mut slab = Slab::default();
        let keys: Vec<_> = (0..3_000).map(|n| slab.insert(n)).collect();
        assert!(keys.iter().all(|key| slab.get(*key) == Some(key)));
        slab.remove(1_500);
        assert_eq!(slab.len(), 2_999);
        assert_eq!(slab.insert(7), 1_500);
        assert_eq!((slab.insert(8), slab.get(1_500)), (3_000, Some(&7)));
    }
}
