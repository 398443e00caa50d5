//! One record on disk: a header, a small meta part and a body.
//!
//! ```text
//! magic 4 | meta octets 4 | body octets 4 | segment 8 | meta crc 4 | body crc 4 | header crc 4
//! meta … | body …
//! ```
//!
//! All numbers are little-endian, all checksums CRC-32C. The parts have a checksum each, so that a
//! reader who wants only the meta need not read the body. The segment's number tells a record from
//! what an earlier life of the same file left behind it.

use bytes::Bytes;

/// Octets before the meta part.
pub const HEADER_OCTETS: usize = 32;
/// The first octets of each record.
pub const MAGIC: [u8; 4] = *b"MJR\x01";
/// A meta part or body of more octets is refused.
pub const PART_OCTETS_MAX: usize = 1 << 30;

/// What is to be appended, with the checksums made in the producer's thread.
#[derive(Clone, Debug)]
pub struct Draft {
    meta: Bytes,
    body: Bytes,
    meta_crc: u32,
    body_crc: u32,
}

/// A part has more than [`PART_OCTETS_MAX`] octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's part has more than {PART_OCTETS_MAX} octets")]
pub struct TooLarge;

impl Draft {
    /// A record of these two parts.
    pub fn new(meta: Bytes, body: Bytes) -> Result<Self, TooLarge> {
        if meta.len() > PART_OCTETS_MAX || body.len() > PART_OCTETS_MAX {
            return Err(TooLarge);
        }
        let (meta_crc, body_crc) = (crc32c::crc32c(&meta), crc32c::crc32c(&body));
        Ok(Self { meta, body, meta_crc, body_crc })
    }

    /// Octets on disk.
    pub fn octets(&self) -> u64 {
        (HEADER_OCTETS + self.meta.len() + self.body.len()) as u64
    }

    pub(crate) fn header(&self, segment: u64) -> [u8; HEADER_OCTETS] {
        Header {
            meta_octets: self.meta.len() as u32,
            body_octets: self.body.len() as u32,
            segment,
            meta_crc: self.meta_crc,
            body_crc: self.body_crc,
        }
        .encode()
    }

    pub(crate) const fn parts(&self) -> (&Bytes, &Bytes) {
        (&self.meta, &self.body)
    }
}

/// A record's header, read and found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Octets of the meta part.
    pub meta_octets: u32,
    /// Octets of the body.
    pub body_octets: u32,
    /// The segment for which it was written.
    pub segment: u64,
    /// CRC-32C of the meta part.
    pub meta_crc: u32,
    /// CRC-32C of the body.
    pub body_crc: u32,
}

impl Header {
    fn encode(self) -> [u8; HEADER_OCTETS] {
        let mut octets = [0; HEADER_OCTETS];
        let fields: [&[u8]; 6] = [
            &MAGIC,
            &self.meta_octets.to_le_bytes(),
            &self.body_octets.to_le_bytes(),
            &self.segment.to_le_bytes(),
            &self.meta_crc.to_le_bytes(),
            &self.body_crc.to_le_bytes(),
        ];
        let (head, crc) = octets.split_at_mut(HEADER_OCTETS - 4);
        for (place, octet) in head.iter_mut().zip(fields.into_iter().flatten()) {
            *place = *octet;
        }
        crc.copy_from_slice(&crc32c::crc32c(head).to_le_bytes());
        octets
    }

    /// Reads a header; none if these octets are no header written for this segment.
    pub fn decode(octets: &[u8], segment: u64) -> Option<Self> {
        let header = octets.get(..HEADER_OCTETS)?;
        let (head, crc) = header.split_last_chunk::<4>()?;
        if !head.starts_with(&MAGIC) || crc32c::crc32c(head) != u32::from_le_bytes(*crc) {
            return None;
        }
        let number = |at: usize| {
            head.get(at..at + 4).and_then(|o| o.try_into().ok()).map(u32::from_le_bytes)
        };
        let wide = head.get(12..20).and_then(|o| o.try_into().ok()).map(u64::from_le_bytes)?;
        let found = Self {
            meta_octets: number(4)?,
            body_octets: number(8)?,
            segment: wide,
            meta_crc: number(20)?,
            body_crc: number(24)?,
        };
        (found.segment == segment).then_some(found)
    }

    /// Octets of the whole record.
    pub const fn octets(&self) -> u64 {
        HEADER_OCTETS as u64 + self.meta_octets as u64 + self.body_octets as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft::new(Bytes::from_static(b"meta"), Bytes::from_static(b"the body")).unwrap()
    }

    #[test]
    fn a_header_is_read_back_as_it_was_written() {
        let header = Header::decode(&draft().header(7), 7).unwrap();
        assert_eq!((header.meta_octets, header.body_octets), (4, 8));
        assert_eq!(header.body_crc, crc32c::crc32c(b"the body"));
        assert_eq!(header.octets(), draft().octets());
    }

    #[test]
    fn a_header_of_another_segment_is_none() {
        assert_eq!(Header::decode(&draft().header(7), 8), None);
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_header_is_seen() {
        let whole = draft().header(7);
        for bit in 0..HEADER_OCTETS * 8 {
            let mut damaged = whole;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&damaged, 7), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&whole[..HEADER_OCTETS - 1], 7), None);
    }
}
