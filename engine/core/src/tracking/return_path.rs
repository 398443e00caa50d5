//! Where reports about a message come back to: a local part that names the message and is signed,
//! so that a bounce is believed only if the message was ours (VERP, but without the recipient's
//! address in it).
//!
//! ```text
//! b-  hex( number of the key, 2 | message, 8 | recipient, 4 | HMAC-SHA-256, cut to 16 )
//! ```
//!
//! Hexadecimal, because hosts on the way may change upper to lower case; 62 octets, because a local
//! part has 64 at most (RFC 5321 4.5.3.1.1).

use aws_lc_rs::constant_time;

use crate::mail::envelope::RecipientIndex;
use crate::mail::id::QueueId;
use crate::tracking::keys::Keys;
use crate::tracking::token::TokenError;
use crate::tracking::token::signature;

/// What such a local part begins with.
pub const PREFIX: &str = "b-";
/// What the signature covers beside the octets.
const LABEL: &[u8] = b"maily token 1 return\0";
/// Number of the key, message, recipient.
const SIGNED_OCTETS: usize = 2 + 8 + 4;
/// Octets of the HMAC that are kept.
const SIGNATURE_OCTETS: usize = 16;
/// Octets before they are written in hexadecimal.
const OCTETS: usize = SIGNED_OCTETS + SIGNATURE_OCTETS;

/// Whether a local part may be one of ours; only then it is worth a look at its signature.
pub fn is_return_path(local_part: &str) -> bool {
    let starts = local_part.get(..PREFIX.len()).is_some_and(|s| s.eq_ignore_ascii_case(PREFIX));
    starts && local_part.len() == PREFIX.len() + 2 * OCTETS
}

/// The local part for a recipient of a message, signed with the current key.
pub fn mint(id: QueueId, recipient: RecipientIndex, keys: &Keys) -> String {
    let mut octets = Vec::with_capacity(OCTETS);
    octets.extend_from_slice(&keys.current().number().to_be_bytes());
    octets.extend_from_slice(&id.as_u64().to_be_bytes());
    octets.extend_from_slice(&recipient.0.to_be_bytes());
    let signature = signature(LABEL, &octets, keys.current());
    octets.extend_from_slice(signature.as_ref().get(..SIGNATURE_OCTETS).unwrap_or_default());
    let hex = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    let digits = hex.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    PREFIX.chars().chain(digits).collect()
}

/// The message and the recipient that a local part names, if we signed it.
///
/// # Errors
/// We did not, or its key is gone.
pub fn verify(local_part: &str, keys: &Keys) -> Result<(QueueId, RecipientIndex), TokenError> {
    if !is_return_path(local_part) {
        return Err(TokenError::Malformed);
    }
    let octets = unhex(local_part.get(PREFIX.len()..).unwrap_or_default())?;
    let (signed, given) =
        octets.split_last_chunk::<SIGNATURE_OCTETS>().ok_or(TokenError::Malformed)?;
    let (number, rest) = signed.split_first_chunk::<2>().ok_or(TokenError::Malformed)?;
    let (id, recipient) = rest.split_first_chunk::<8>().ok_or(TokenError::Malformed)?;
    let recipient = recipient.first_chunk::<4>().ok_or(TokenError::Malformed)?;
    let key = keys.numbered(u16::from_be_bytes(*number)).ok_or(TokenError::UnknownKey)?;
    let signature = signature(LABEL, signed, key);
    let wanted = signature.as_ref().get(..SIGNATURE_OCTETS).unwrap_or_default();
    constant_time::verify_slices_are_equal(wanted, given).map_err(|_| TokenError::Signature)?;
    let recipient = RecipientIndex(u32::from_be_bytes(*recipient));
    Ok((QueueId::from_u64(u64::from_be_bytes(*id)), recipient))
}

fn unhex(digits: &str) -> Result<Vec<u8>, TokenError> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).ok_or(TokenError::Malformed);
    let pairs = digits.as_bytes().chunks_exact(2).map(|pair| match pair {
        [high, low] => Ok((digit(high)? << 4 | digit(low)?) as u8),
        _ => Err(TokenError::Malformed),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::address::Mailbox;
    use crate::tracking::keys::Key;

    fn keys(number: u16, secret: u8) -> Keys {
        Keys::new(Key::new(number, &[secret; 32]).unwrap(), vec![]).unwrap()
    }

    #[test]
    fn what_was_signed_is_known_again_whatever_its_case() {
        let keys = keys(3, 7);
        for (id, recipient) in [(0, 0), (7, 1), (u64::MAX, u32::MAX)] {
            let (id, recipient) = (QueueId::from_u64(id), RecipientIndex(recipient));
            let local_part = mint(id, recipient, &keys);
            assert_eq!(local_part.len(), 62);
            assert!(Mailbox::parse(&format!("{local_part}@b.example")).is_ok());
            assert_eq!(verify(&local_part, &keys), Ok((id, recipient)));
            assert_eq!(verify(&local_part.to_uppercase(), &keys), Ok((id, recipient)));
        }
    }

    #[test]
    fn nothing_else_is() {
        let ours = mint(QueueId::from_u64(7), RecipientIndex(1), &keys(3, 7));
        for index in 0..ours.len() {
            for digit in ["0", "1", "f", "g", "\u{fc}"] {
                let mut other = ours.clone();
                other.replace_range(index..=index, digit);
                assert_eq!(other == ours, verify(&other, &keys(3, 7)).is_ok(), "{other}");
            }
            assert!(verify(&ours[..index], &keys(3, 7)).is_err());
        }
        assert_eq!(verify(&ours, &keys(3, 8)), Err(TokenError::Signature), "another secret");
        assert_eq!(verify(&ours, &keys(4, 7)), Err(TokenError::UnknownKey));
        assert_eq!(verify(&format!("{ours}0"), &keys(3, 7)), Err(TokenError::Malformed));
        assert_eq!(verify("", &keys(3, 7)), Err(TokenError::Malformed));
    }
}
