//! The rows of a table in memory: most of them [`Packed`], and what has changed since on top. When
//! that has grown, both are packed anew, beside those who read and write.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::change::Change;
use crate::packed::Packed;
use crate::packed::Packer;

/// Changes from which on packing is worth it; tests have few rows.
const CHANGES_MIN: usize = if cfg!(test) { 8 } else { 4_096 };
/// Or this part of what is packed.
const CHANGES_PART: usize = 16;

/// A key and what it has now; none if it was removed.
type Changes = BTreeMap<Box<[u8]>, Option<Bytes>>;

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    packed: Arc<Packed>,
    /// What is being packed with it.
    frozen: Option<Arc<Changes>>,
    changes: Changes,
    len: usize,
    octets: u64,
}

/// What is to be packed.
#[derive(Debug)]
pub(crate) struct Packing {
    packed: Arc<Packed>,
    changes: Arc<Changes>,
}

impl Rows {
    /// These alone.
    pub(crate) fn of(packed: Packed, octets: u64) -> Self {
        let len = packed.len();
        Self { packed: Arc::new(packed), len, octets, ..Self::default() }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        let (key, value) = match change {
            Change::Put(key, value) => (key, Some(value)),
            Change::Remove(key) => (key, None),
        };
        let row = |value: &Bytes| (key.len() + value.len()) as u64;
        let before = self.get(&key);
        let (old, new) = (before.as_ref().map_or(0, row), value.as_ref().map_or(0, row));
        self.octets = (self.octets + new).saturating_sub(old);
        self.len =
            (self.len + usize::from(value.is_some())).saturating_sub(usize::from(before.is_some()));
        self.changes.insert(Box::from(&*key), value);
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Bytes> {
        if let Some(value) = self.changes.get(key) {
            return value.clone();
        }
        if let Some(value) = self.frozen.as_ref().and_then(|frozen| frozen.get(key)) {
            return value.clone();
        }
        self.packed.get(key)
    }

    /// What is read of the values of several keys, sooner than one by one.
    pub(crate) fn read_all<const N: usize, T>(
        &self,
        keys: [&[u8]; N],
        read: impl Fn(&[u8]) -> T,
    ) -> [Option<T>; N] {
        let mut found = self.packed.read_all(keys, &read);
        let layers = [self.frozen.as_deref(), Some(&self.changes)];
        for layer in layers.into_iter().flatten().filter(|layer| !layer.is_empty()) {
            for (key, value) in keys.iter().zip(&mut found) {
                if let Some(changed) = layer.get(*key) {
                    *value = changed.as_deref().map(&read);
                }
            }
        }
        found
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Octets of all keys and values.
    pub(crate) const fn octets(&self) -> u64 {
        self.octets
    }

    /// Up to so many rows that begin so, behind a key.
    pub(crate) fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<(Bytes, Bytes)> {
        let (from, itself) = match after.filter(|after| *after >= prefix) {
            Some(after) => (after, false),
            None => (prefix, true),
        };
        let frozen = self.frozen.as_deref();
        let layers = [Some(&self.changes), frozen].into_iter().flatten();
        let mut merge = Merge::new(&self.packed, layers, from, itself);
        let mut page = Vec::new();
        while page.len() < limit
            && let Some((key, value)) = merge.step()
            && key.starts_with(prefix)
        {
            page.push((Bytes::from(key), value));
        }
        page
    }

    /// What is worth packing anew, if anything is and nobody is at it.
    pub(crate) fn freeze(&mut self) -> Option<Packing> {
        if !self.is_due() {
            return None;
        }
        let changes = Arc::new(std::mem::take(&mut self.changes));
        self.frozen = Some(Arc::clone(&changes));
        Some(Packing { packed: Arc::clone(&self.packed), changes })
    }

    /// Whether packing is worth it.
    pub(crate) fn is_due(&self) -> bool {
        let enough = CHANGES_MIN.max(self.packed.len() / CHANGES_PART);
        self.frozen.is_none() && self.changes.len() > enough
    }

    /// It was packed.
    pub(crate) fn thaw(&mut self, packed: Packed) {
        self.packed = Arc::new(packed);
        self.frozen = None;
    }

    /// Octets that what is packed takes in memory.
    pub(crate) fn packed_octets(&self) -> usize {
        self.packed.octets()
    }
}

impl Packing {
    /// Packs it.
    pub(crate) fn pack(&self) -> Packed {
        let mut merge = Merge::new(&self.packed, [&*self.changes], &[], true);
        let mut packer = Packer::default();
        while let Some((key, value)) = merge.step() {
            packer.push(&key, &value);
        }
        packer.finish()
    }
}

/// Walks layers of changes and what they lie on, in the order of keys; the first layer counts.
struct Merge<'a> {
    walk: crate::packed::Walk<'a>,
    packed: Option<(Vec<u8>, Bytes)>,
    layers: Vec<std::iter::Peekable<Range<'a>>>,
}

type Range<'a> = std::collections::btree_map::Range<'a, Box<[u8]>, Option<Bytes>>;

impl<'a> Merge<'a> {
    fn new(
        packed: &'a Packed,
        layers: impl IntoIterator<Item = &'a Changes>,
        from: &[u8],
        itself: bool,
    ) -> Self {
        let bound = if itself { Bound::Included(from) } else { Bound::Excluded(from) };
        let range = |layer: &'a Changes| layer.range::<[u8], _>((bound, Bound::Unbounded));
        let layers = layers.into_iter().map(|layer| range(layer).peekable()).collect();
        let mut this = Self { walk: packed.from(from, itself), packed: None, layers };
        this.advance();
        this
    }

    fn advance(&mut self) {
        let value = self.walk.step();
        self.packed = value.map(|value| (self.walk.key.clone(), value));
    }

    fn step(&mut self) -> Option<(Vec<u8>, Bytes)> {
        loop {
            let changed = self.layers.iter_mut().filter_map(|layer| layer.peek());
            let first = changed.map(|(key, _)| &***key).min();
            let packed = self.packed.as_ref().map(|(key, _)| key.as_slice());
            let (key, is_changed) = match (first, packed) {
                (None, None) => return None,
                (Some(first), Some(packed)) if packed < first => (packed.to_vec(), false),
                (None, Some(packed)) => (packed.to_vec(), false),
                (Some(first), _) => (first.to_vec(), true),
            };
            let mut value = None;
            if packed.is_some_and(|packed| packed == key) {
                value = self.packed.take().map(|(_, value)| value);
                self.advance();
            }
            if is_changed {
                value = self.changed(&key);
            }
            if let Some(value) = value {
                return Some((key, value));
            }
        }
    }

    /// What a key has by the first layer that has it; all pass it.
    fn changed(&mut self, key: &[u8]) -> Option<Bytes> {
        let mut found = None;
        for layer in &mut self.layers {
            if let Some((_, value)) = layer.next_if(|(known, _)| ***known == *key) {
                found = found.or(Some(value.clone()));
            }
        }
        found.flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;

    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        /// However changes, packing and reading follow each other, it is a map.
        #[test]
        fn rows_are_a_map(steps in vec((0_u8..10, 0_u8..60, 0_usize..100), 1..300)) {
            let (mut rows, mut model) = (Rows::default(), BTreeMap::new());
            let mut packing = None;
            for (step, pick, octets) in steps {
                let key = Bytes::from(format!("k{pick}"));
                match step {
                    0..=5 => {
                        let value = Bytes::from(vec![pick; octets]);
                        model.insert(key.clone(), value.clone());
                        rows.apply(Change::Put(key, value));
                    }
                    6 | 7 => {
                        model.remove(&key);
                        rows.apply(Change::Remove(key));
                    }
                    8 => packing = packing.or_else(|| rows.freeze()),
                    _ => {
                        if let Some(packing) = packing.take() {
                            rows.thaw(Packing::pack(&packing));
                        }
                    }
                }
                proptest::prop_assert_eq!(rows.len(), model.len());
            }
            let octets: usize = model.iter().map(|(key, value)| key.len() + value.len()).sum();
            proptest::prop_assert_eq!(rows.octets(), octets as u64);
            for pick in 0_u8..60 {
                let key = Bytes::from(format!("k{pick}"));
                proptest::prop_assert_eq!(rows.get(&key), model.get(&key).cloned());
            }
            let all: Vec<_> = model.clone().into_iter().collect();
            proptest::prop_assert_eq!(rows.page(b"", None, usize::MAX), all);
            let of_one: Vec<_> = model.into_iter().filter(|(k, _)| k.starts_with(b"k1")).collect();
            proptest::prop_assert_eq!(rows.page(b"k1", None, usize::MAX), of_one.clone());
            let rest = of_one.iter().skip(1).take(3).cloned().collect::<Vec<_>>();
            if let Some((first, _)) = of_one.first() {
                proptest::prop_assert_eq!(rows.page(b"k1", Some(first), 3), rest);
            }
        }
    }
}
