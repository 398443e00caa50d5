//! xtext (RFC 3461 4): printable US-ASCII in which `+XX` stands for one octet.

use std::fmt::Write;

/// Decodes xtext; none if it is not xtext or stands for anything but printable US-ASCII.
pub fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let decoded = match octet {
            b'+' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => octet,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&decoded) {
            return None;
        }
        out.push(char::from(decoded));
    }
    Some(out)
}

/// RFC 3461 4: the digits are upper case; a lower-case one is no xtext.
fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

/// Encodes as xtext.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if (b'!'..=b'~').contains(&octet) && octet != b'+' && octet != b'=' {
            out.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "+{octet:02X}");
        }
    }
    out
}

/// Writes each character beyond US-ASCII as RFC 6533 3 embeds it: `\x{E4}` for `ä`.
pub fn embedded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "\\x{{{:X}}}", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_and_encoded_as_rfc_3461_4_says() {
        assert_eq!(decode("a+2Bb+3D").as_deref(), Some("a+b="));
        assert_eq!(encode("a+b= c"), "a+2Bb+3D+20c");
        for text in ["a=b", "a+2", "a+2b", "+0A", "a b", "+00", "ä"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn letters_beyond_ascii_are_embedded_as_rfc_6533_3_says() {
        assert_eq!(embedded("änn@мир.example"), r"\x{E4}nn@\x{43C}\x{438}\x{440}.example");
        assert_eq!(embedded("𝒳"), "\\x{1D4B3}");
        let kept = embedded("änn@example.net");
        assert_eq!(decode(&encode(&kept)), Some(kept), "and xtext leaves them alone");
    }
}
