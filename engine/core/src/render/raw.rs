//! Messages that are handed in whole: their form is checked, and nothing in them is changed.

use memchr::memchr2_iter;

use crate::mail::message::header_fields;
use crate::mail::message::header_octets;

/// RFC 5322 2.1.1: a line has at most 998 octets, without its CRLF.
const LINE_OCTETS_MAX: usize = 998;

/// Header fields of which a message has one at most (RFC 5322 3.6); readers differ in which of two
/// they believe.
const ONCE: &[&str] = &[
    "Date",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Subject",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Whether a message can be sent as it is, perhaps with header fields that it lacks before it.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(octets: &[u8]) -> Result<(), &'static str> {
    check_lines(octets)?;
    let mut fields = 0;
    let (mut from, mut covered) = (0, 0);
    let mut seen = 0_u32;
    for field in header_fields(octets) {
        fields += 1;
        covered += field.raw.len();
        from += usize::from(field.is("From"));
        if field.is("Bcc") || field.is("Resent-Bcc") {
            return Err("a Bcc field would be shown to everybody");
        }
        if let Some(place) = ONCE.iter().position(|name| field.is(name)) {
            if seen & (1 << place) != 0 {
                return Err("a header field is there twice that may be there once (RFC 5322 3.6)");
            }
            seen |= 1 << place;
        }
    }
    if fields == 0 || covered != header_octets(octets) {
        return Err("a line of the header is no header field");
    }
    if from != 1 {
        return Err("there must be one From field");
    }
    Ok(())
}

/// Lines end with CRLF and only with it (RFC 5322 2.3), and are not too long.
fn check_lines(octets: &[u8]) -> Result<(), &'static str> {
    if octets.contains(&0) {
        return Err("a NUL");
    }
    let mut begin = 0;
    for at in memchr2_iter(b'\r', b'\n', octets) {
        let is_cr = octets.get(at) == Some(&b'\r');
        let whole = if is_cr {
            octets.get(at + 1) == Some(&b'\n')
        } else {
            at.checked_sub(1).and_then(|before| octets.get(before)) == Some(&b'\r')
        };
        if !whole {
            return Err("a CR or LF that is no line end");
        }
        if is_cr && at - begin > LINE_OCTETS_MAX {
            return Err("a line longer than 998 octets");
        }
        if !is_cr {
            begin = at + 1;
        }
    }
    if octets.len() - begin > LINE_OCTETS_MAX {
        return Err("a line longer than 998 octets");
    }
    Ok(())
}

/// Whether a message has a header field of this name.
pub fn has_field(octets: &[u8], name: &str) -> bool {
    header_fields(octets).any(|field| field.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_message_is_taken() {
        for message in [
            "From: a@example.net\r\n\r\nbody",
            "From: a@example.net\r\n\r\n",
            "From: a@example.net\r\n",
            "To: x\r\n y\r\nFrom: a@example.net\r\n\r\nbody\r\n",
            "Received: x\r\nReceived: y\r\nFrom: a@example.net\r\nX: 1\r\nX: 2\r\n\r\nTo: b\r\n",
        ] {
            assert_eq!(check(message.as_bytes()), Ok(()), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let long = format!("From: a@example.net\r\n\r\n{}\r\n", "x".repeat(LINE_OCTETS_MAX + 1));
        for (message, why) in [
            ("", "no header field"),
            ("body", "no header field"),
            ("\r\nFrom: a@example.net\r\n", "no header field"),
            ("From: a@example.net\r\nno field\r\n\r\n", "no header field"),
            ("To: a@example.net\r\n\r\n", "one From"),
            ("From: a@example.net\r\nfrom: b@example.net\r\n\r\n", "one From"),
            ("From: a@example.net\r\nbcc: b@example.net\r\n\r\n", "Bcc"),
            ("From: a@example.net\r\nresent-bcc: b@example.net\r\n\r\n", "Bcc"),
            ("From: a@example.net\r\nDate: x\r\ndate: y\r\n\r\n", "twice"),
            ("Subject: x\r\nFrom: a@example.net\r\nSUBJECT: y\r\n\r\n", "twice"),
            ("From: a@example.net\r\nTo: x\r\nTo: y\r\n\r\n", "twice"),
            ("Message-ID: <x>\r\nFrom: a@example.net\r\nMessage-Id: <y>\r\n\r\n", "twice"),
            ("From: a@example.net\n\nbody", "no line end"),
            ("From: a@example.net\r\n\r\na\nb", "no line end"),
            ("From: a@example.net\r\n\r\na\rb", "no line end"),
            ("From: a@example.net\r\n\r\na\r", "no line end"),
            ("\nFrom: a@example.net\r\n\r\n", "no line end"),
            ("From: a@example.net\r\n\r\na\0b", "NUL"),
            (&long, "998"),
            (long.trim_end(), "998"),
        ] {
            let found = check(message.as_bytes()).unwrap_err();
            assert!(found.contains(why), "{message:?}: {found}");
        }
        let fits = long.replace("xx\r\n", "x\r\n");
        assert_eq!(check(fits.as_bytes()), Ok(()));
    }

    #[test]
    fn fields_are_found_in_the_header_only() {
        let message = b"From: a@x\r\ndate: then\r\n\r\nSubject: body\r\n";
        assert!(has_field(message, "Date"));
        assert!(!has_field(message, "Subject"));
    }
}
