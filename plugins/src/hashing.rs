//! Chance that can be repeated: the same text gives the same number, on every machine and in every
//! version. It keeps nothing secret.

/// FNV-1a with a last stirring, so that short keys spread too.
pub fn hash(key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for octet in key.bytes() {
        hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    }
    // The finalizer of MurmurHash3.
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// One of so many buckets; 0 if there are none.
pub fn bucket(key: &str, buckets: u64) -> u64 {
    hash(key).checked_rem(buckets).unwrap_or(0)
}

/// 0 up to less than 1.
pub fn fraction(key: &str) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let number = (hash(key) >> 11) as f64;
    number / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_even_and_stay() {
        let mut counts = [0_u32; 10];
        for n in 0..10_000 {
            counts[usize::try_from(bucket(&format!("user{n}@x.test"), 10)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!(hash("ann@x.test"), hash("ann@x.test"));
        assert_eq!(bucket("a", 0), 0);
        assert!((0.0..1.0).contains(&fraction("x")));
    }
}
