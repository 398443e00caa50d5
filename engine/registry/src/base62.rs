//! Octets as letters and digits of a fixed number, so that a double click takes all of them.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digits that any number of so many octets fits into.
pub const fn digits(octets: usize) -> usize {
    // 62^n >= 256^octets: n = octets * 8 / log2(62), and log2(62) is a little above 5.954.
    (octets * 8 * 1_000).div_ceil(5_954)
}

/// Writes octets, a number with its largest octet first, in so many digits as they need at most.
pub fn encode(octets: &[u8]) -> String {
    let mut number = octets.to_vec();
    let mut text = Vec::with_capacity(digits(octets.len()));
    for _ in 0..digits(octets.len()) {
        let mut rest: u32 = 0;
        for octet in &mut number {
            let value = rest << 8 | u32::from(*octet);
            *octet = (value / 62) as u8;
            rest = value % 62;
        }
        text.push(ALPHABET.get(rest as usize).copied().unwrap_or(b'0'));
    }
    text.reverse();
    text.into_iter().map(char::from).collect()
}

/// Whether all of it is such digits.
pub fn is_base62(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_all_their_digits() {
        assert_eq!((digits(4), digits(8), digits(32)), (6, 11, 43));
        assert_eq!(encode(&[0; 4]), "000000");
        assert_eq!(encode(&[0, 0, 0, 61]), "00000z");
        assert_eq!(encode(&[0, 0, 0, 62]), "000010");
        assert_eq!(encode(&[255; 4]), "4gfFC3");
        assert_eq!(encode(&[255; 32]).len(), 43);
        assert!(is_base62(&encode(&[255; 32])) && !is_base62("a_b"));
    }

    #[test]
    fn the_digits_are_enough() {
        // The largest number leaves nothing over, or its first digits would be cut off.
        for octets in 1..40 {
            let mut number = vec![255_u8; octets];
            for _ in 0..digits(octets) {
                let mut rest: u32 = 0;
                for octet in &mut number {
                    let value = rest << 8 | u32::from(*octet);
                    *octet = (value / 62) as u8;
                    rest = value % 62;
                }
            }
            assert_eq!(number, vec![0; octets], "{octets} octets");
        }
    }
}
