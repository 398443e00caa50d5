//! A whole number is whole however it is written: JSON Schema counts `168.0` as an integer.

use std::fmt;

use serde::Deserializer;
use serde::de::Error;
use serde::de::Unexpected;
use serde::de::Visitor;

/// For a member that is a whole number, if it is there.
pub(crate) fn maybe<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    from.deserialize_any(Whole)
}

/// For a member that is a whole number and must be there.
pub(crate) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    maybe(from)?.ok_or_else(|| D::Error::invalid_type(Unexpected::Option, &Whole))
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {}", u32::MAX)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<u32>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<u32>, E> {
        let small = u32::try_from(number).ok();
        small.map(Some).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<u32>, E> {
        // Within these bounds a whole number is exact in 64 bits of floating point.
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return Ok(Some(number as u32));
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use crate::token::TokenRequest;

    #[test]
    fn a_whole_number_is_whole_however_it_is_written() {
        let read = |number: &str| {
            let text = format!(r#"{{"role":"api","expires_in_secs":{number}}}"#);
            serde_json::from_str::<TokenRequest>(&text).ok().map(|read| read.expires_in_secs)
        };
        for (text, number) in
            [("168", 168), ("168.0", 168), ("1.68e2", 168), ("4294967295", u32::MAX)]
        {
            assert_eq!(read(text), Some(Some(number)), "{text}");
        }
        assert_eq!(read("null"), Some(None));
        for bad in ["-1", "1.5", "4294967296", "1e300", "\"1\"", "true", "[1]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
