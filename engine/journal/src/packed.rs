//! Rows of a table in the order of their keys, packed: what does not change for a while takes
//! little more than its octets, and is found at once.
//!
//! ```text
//! data:   blocks of up to 4 rows
//! row:    shared | rest | octets of the key behind what it shares with the one before | value
//! value:  octets, twice | octets           or, of a large one:  its number, twice, and one
//! slots:  for each row, where its hash leads to: 1 + number of its block, and a piece of the hash
//! ```
//!
//! Numbers are of seven bits an octet, the lowest first.

use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::DefaultHashBuilder;

use crate::wide::Wide;

/// Rows of a block: the first has its whole key.
const BLOCK_ROWS: usize = 4;
/// Octets of a value from which on it is kept by itself, and not copied to be read.
const LARGE_OCTETS_MIN: usize = 64;

/// Rows that do not change.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    data: Wide,
    /// Where each block begins.
    blocks: Vec<usize>,
    large: Vec<Bytes>,
    /// Numbers.
    slots: Wide,
    /// How many of them.
    slots_len: usize,
    /// Bits of a slot that name a block.
    block_bits: u32,
    hasher: DefaultHashBuilder,
    len: usize,
}

/// Packs rows that come in the order of their keys.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    packed: Packed,
    data: Vec<u8>,
    last: Vec<u8>,
    /// The hash of each row.
    hashes: Vec<u64>,
}

impl Packer {
    /// One more row, behind all others.
    pub(crate) fn push(&mut self, key: &[u8], value: &Bytes) {
        let (packed, data) = (&mut self.packed, &mut self.data);
        let begins = packed.len.is_multiple_of(BLOCK_ROWS);
        let shared = if begins { 0 } else { shared(&self.last, key) };
        if begins {
            packed.blocks.push(data.len());
        }
        let rest = key.get(shared..).unwrap_or_default();
        write(data, shared);
        write(data, rest.len());
        data.extend_from_slice(rest);
        if value.len() < LARGE_OCTETS_MIN {
            write(data, value.len() << 1);
            data.extend_from_slice(value);
        } else {
            write(data, (packed.large.len() << 1) | 1);
            packed.large.push(value.clone());
        }
        self.hashes.push(packed.hasher.hash_one(key));
        packed.len += 1;
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    /// All of them.
    pub(crate) fn finish(self) -> Packed {
        let Self { mut packed, data, hashes, .. } = self;
        packed.data = Wide::of(data);
        packed.blocks.shrink_to_fit();
        packed.large.shrink_to_fit();
        packed.block_bits = usize::BITS - packed.blocks.len().leading_zeros();
        packed.slots_len = hashes.len() + hashes.len() / 3 + 1;
        let mut slots = vec![0; packed.slots_len];
        for (row, hash) in hashes.into_iter().enumerate() {
            let slot = packed.slot(row / BLOCK_ROWS, hash);
            let mut at = packed.place(hash);
            while slots.get(at).is_some_and(|slot| *slot != 0) {
                at = packed.next(at);
            }
            if let Some(free) = slots.get_mut(at) {
                *free = slot;
            }
        }
        packed.slots = Wide::of_numbers(&slots);
        packed
    }
}

impl Packed {
    /// How many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Octets that they take in memory.
    pub(crate) fn octets(&self) -> usize {
        let large: usize = self.large.iter().map(|value| value.len() + size_of::<Bytes>()).sum();
        self.data.len() + self.blocks.len() * size_of::<usize>() + self.slots.len() + large
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Bytes> {
        let hash = self.hasher.hash_one(key);
        let slot = self.slots.number(self.place(hash)).unwrap_or(0);
        self.look(key, hash, slot).map(Value::bytes)
    }

    /// What is read of the values of several keys. Their slots are looked at before any of them is
    /// searched: memory is waited for once, and not once for each.
    pub(crate) fn read_all<const N: usize, T>(
        &self,
        keys: [&[u8]; N],
        read: &impl Fn(&[u8]) -> T,
    ) -> [Option<T>; N] {
        let hashes = keys.map(|key| self.hasher.hash_one(key));
        let slots = hashes.map(|hash| self.slots.number(self.place(hash)).unwrap_or(0));
        let mut found = keys.into_iter().zip(hashes.into_iter().zip(slots));
        std::array::from_fn(|_| {
            let (key, (hash, slot)) = found.next()?;
            self.look(key, hash, slot).map(|value| read(value.octets()))
        })
    }

    /// Looks for a key from the slot on where its hash leads to.
    fn look(&self, key: &[u8], hash: u64, mut slot: u32) -> Option<Value<'_>> {
        let wanted = self.slot(0, hash) >> self.block_bits;
        let mut at = self.place(hash);
        while slot != 0 {
            if slot >> self.block_bits == wanted {
                let block = (slot & self.block_mask()) as usize;
                if let Some(value) = self.find(block.checked_sub(1)?, key) {
                    return Some(value);
                }
            }
            at = self.next(at);
            slot = self.slots.number(at)?;
        }
        None
    }

    fn find(&self, block: usize, key: &[u8]) -> Option<Value<'_>> {
        let mut walk = self.walk(block);
        // So much of the key is that of the row before, which stands before it.
        let mut same = 0;
        for _ in 0..BLOCK_ROWS {
            let (shared, rest) = walk.head()?;
            let value = walk.value()?;
            if shared > same {
                continue;
            }
            let wanted = key.get(same..)?;
            let more = if shared == same { self::shared(rest, wanted) } else { 0 };
            match (rest.get(more), wanted.get(more)) {
                (None, None) if shared == same => return Some(value),
                (row, key) if shared < same || row > key => return None,
                _ => same += more,
            }
        }
        None
    }

    /// Walks the rows behind a key, or from it on.
    pub(crate) fn from(&self, key: &[u8], itself: bool) -> Walk<'_> {
        // The last block that does not begin behind it.
        let begins_before = |block: &usize| {
            let mut row = self.data.get(*block..).unwrap_or_default();
            let (_, octets) = (read(&mut row), read(&mut row));
            row.get(..octets).unwrap_or_default() <= key
        };
        let block = self.blocks.partition_point(begins_before).saturating_sub(1);
        let mut walk = self.walk(block);
        loop {
            let mut ahead = walk.clone();
            match ahead.step() {
                Some(_) if ahead.key.as_slice() < key || (ahead.key == key && !itself) => {
                    walk = ahead;
                }
                _ => return walk,
            }
        }
    }

    fn walk(&self, block: usize) -> Walk<'_> {
        let at = self.blocks.get(block).copied().unwrap_or(self.data.len());
        let rest = self.data.get(at..).unwrap_or_default();
        Walk { packed: self, rest, key: Vec::new() }
    }

    const fn block_mask(&self) -> u32 {
        (1_u32 << self.block_bits) - 1
    }

    const fn slot(&self, block: usize, hash: u64) -> u32 {
        ((hash as u32) << self.block_bits) | (block as u32 + 1)
    }

    /// Where the search for a hash begins.
    fn place(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots_len as u128) >> 64) as usize
    }

    const fn next(&self, at: usize) -> usize {
        if at + 1 < self.slots_len { at + 1 } else { 0 }
    }
}

/// Walks rows in their order.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    packed: &'a Packed,
    rest: &'a [u8],
    /// The key of the row that was passed last.
    pub(crate) key: Vec<u8>,
}

/// A value where it stands.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Small(&'a [u8]),
    Large(&'a Bytes),
}

impl<'a> Value<'a> {
    fn octets(self) -> &'a [u8] {
        match self {
            Self::Small(octets) => octets,
            Self::Large(value) => value,
        }
    }

    fn bytes(self) -> Bytes {
        match self {
            Self::Small(octets) => Bytes::copy_from_slice(octets),
            Self::Large(value) => value.clone(),
        }
    }
}

impl<'a> Walk<'a> {
    /// The next value; its key is in `key`.
    pub(crate) fn step(&mut self) -> Option<Bytes> {
        let (shared, rest) = self.head()?;
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        self.value().map(Value::bytes)
    }

    /// How much of its key the next row has from the one before, and the rest of it.
    fn head(&mut self) -> Option<(usize, &'a [u8])> {
        if self.rest.is_empty() {
            return None;
        }
        let (shared, octets) = (read(&mut self.rest), read(&mut self.rest));
        let (rest, behind) = self.rest.split_at_checked(octets)?;
        self.rest = behind;
        Some((shared, rest))
    }

    /// Its value, behind its head.
    fn value(&mut self) -> Option<Value<'a>> {
        let value = read(&mut self.rest);
        if value & 1 == 1 {
            return self.packed.large.get(value >> 1).map(Value::Large);
        }
        let (value, behind) = self.rest.split_at_checked(value >> 1)?;
        self.rest = behind;
        Some(Value::Small(value))
    }
}

fn shared(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn write(data: &mut Vec<u8>, mut number: usize) {
    while number > 127 {
        data.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    data.push(number as u8);
}

fn read(data: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    while let Some((octet, rest)) = data.split_first() {
        *data = rest;
        number |= usize::from(octet & 127) << shift;
        if octet & 128 == 0 {
            break;
        }
        shift += 7;
    }
    number
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn packed(rows: &BTreeMap<Vec<u8>, Bytes>) -> Packed {
        let mut packer = Packer::default();
        rows.iter().for_each(|(key, value)| packer.push(key, value));
        packer.finish()
    }

    fn rows(count: usize) -> BTreeMap<Vec<u8>, Bytes> {
        let row = |n: usize| {
            let key = format!("\u{4}shop\u{0}user{}@example{}.net", n * 7_919 % 100_003, n % 50);
            (key.into_bytes(), Bytes::from(vec![n as u8; n % 90]))
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn all_is_found_and_nothing_else_whatever_the_number() {
        for count in [0, 1, 2, 31, 32, 33, 64, 65, 1_000, 20_000] {
            let rows = rows(count);
            let packed = packed(&rows);
            assert_eq!(packed.len(), rows.len());
            for (key, value) in &rows {
                assert_eq!(packed.get(key).as_ref(), Some(value));
                let other = [key.as_slice(), b"x"].concat();
                assert_eq!(packed.get(&other), None);
            }
            assert_eq!(packed.get(b""), None);
        }
    }

    #[test]
    fn rows_are_walked_in_their_order_from_anywhere() {
        let rows = rows(1_000);
        let packed = packed(&rows);
        let walk = |key: &[u8], itself| {
            let mut walk = packed.from(key, itself);
            let mut all = Vec::new();
            while let Some(value) = walk.step() {
                all.push((walk.key.clone(), value));
            }
            all
        };
        let all: Vec<_> = rows.clone().into_iter().collect();
        assert_eq!(walk(b"", true), all);
        for place in [0, 1, 30, 31, 32, 33, 500, 998, 999] {
            let key = &all[place].0;
            assert_eq!(walk(key, true), all[place..], "{place}");
            assert_eq!(walk(key, false), all[place + 1..], "{place}");
            let behind = [key.as_slice(), b"\0"].concat();
            assert_eq!(walk(&behind, true), all[place + 1..], "{place}");
        }
        assert_eq!(walk(b"\xff", true), []);
    }

    #[test]
    fn small_rows_take_little_more_than_their_octets() {
        let rows: BTreeMap<_, _> = (0..100_000)
            .map(|n| {
                let key = format!("\u{4}shop\u{0}user.{n}@example{}.net", n % 977);
                (key.into_bytes(), Bytes::from_static(b"0123456789ab"))
            })
            .collect();
        let octets = packed(&rows).octets() as f64 / rows.len() as f64;
        assert!(octets < 45.0, "{octets} octets a row");
    }
}
