//! Changes the header of a message that is written already: fields are set or taken out. Nothing
//! else of it is touched.

use bytes::Bytes;

use crate::mail::message::header_fields;
use crate::mail::message::header_octets;
use crate::render::field;
use crate::render::field::Fields;
use crate::render::field::Unsound;

/// The message with these fields: each replaces all of its name, or there is none of that name any
/// more.
///
/// # Errors
/// A name is none, or a value has a control character in it.
pub fn apply<'a, E>(message: &Bytes, edits: E) -> Result<Bytes, Unsound>
where
    E: IntoIterator<Item = (&'a str, Option<&'a str>)>,
{
    let edits: Vec<_> = edits.into_iter().collect();
    if edits.is_empty() {
        return Ok(message.clone());
    }
    let mut set = Fields::new();
    for (name, value) in &edits {
        if !field::is_name(name) {
            return Err(Unsound);
        }
        if let Some(value) = value {
            set.text(name, value)?;
        }
    }
    let set = set.into_octets();
    let mut out = Vec::with_capacity(message.len() + set.len());
    for field in header_fields(message) {
        if !edits.iter().any(|(name, _)| field.is(name)) {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(&set);
    out.extend_from_slice(message.get(header_octets(message)..).unwrap_or_default());
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str =
        "From: a@example.net\r\nX-A: 1\r\n\tmore\r\nx-a: 2\r\nTo: b\r\n\r\nX-A: body\r\n";

    fn edited(edits: &[(&str, Option<&str>)]) -> Result<String, Unsound> {
        let octets = apply(&Bytes::from_static(MESSAGE.as_bytes()), edits.iter().copied())?;
        Ok(String::from_utf8(octets.to_vec()).unwrap())
    }

    #[test]
    fn fields_are_set_replaced_and_taken_out_and_the_rest_stays() {
        assert_eq!(edited(&[]).unwrap(), MESSAGE);
        let set = edited(&[("X-A", Some("3")), ("X-B", Some("gr\u{fc}n"))]).unwrap();
        let expected = "From: a@example.net\r\nTo: b\r\nX-A: 3\r\nX-B: =?utf-8?B?Z3LDvG4=?=\r\n\
                        \r\nX-A: body\r\n";
        assert_eq!(set, expected);
        let gone = edited(&[("x-A", None), ("X-C", None)]).unwrap();
        assert_eq!(gone, "From: a@example.net\r\nTo: b\r\n\r\nX-A: body\r\n");
    }

    #[test]
    fn a_message_without_a_body_gets_its_fields_too() {
        let message = Bytes::from_static(b"From: a\r\n");
        assert_eq!(apply(&message, [("X", Some("y"))]).unwrap(), "From: a\r\nX: y\r\n");
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for bad in ["a\r\nBcc: x", "a\nb", "a\0"] {
            assert_eq!(edited(&[("X-A", Some(bad))]), Err(Unsound));
        }
        for bad in ["", "X A", "X:", "X\r\nY"] {
            assert_eq!(edited(&[(bad, Some("y"))]), Err(Unsound));
            assert_eq!(edited(&[(bad, None)]), Err(Unsound));
        }
    }
}
