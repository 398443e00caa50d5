//! The values of a selector: texts, with `*` for any run, and numbers with units.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::selector::schema::Kind;

/// A value, as it was written and as it is compared.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    raw: Box<str>,
    /// In lower case; the parts between stars.
    parts: Box<[Box<str>]>,
    number: f64,
}

/// Written alike, they are the same.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw && self.number.to_bits() == other.number.to_bits()
    }
}

impl Value {
    /// A text. In quotes a star is one too: addresses do not hold them.
    pub(crate) fn text(raw: &str) -> Self {
        let lower = raw.to_ascii_lowercase();
        let parts = lower.split('*').map(Box::from).collect();
        Self { raw: raw.into(), parts, number: 0.0 }
    }

    /// A number of this kind; what would be right, if it is none.
    pub(crate) fn number_of(raw: &str, kind: Kind) -> Result<Self, &'static str> {
        let number = match kind {
            Kind::Text => return Ok(Self::text(raw)),
            Kind::Time => time(raw).ok_or("a time as RFC 3339 writes it: 2026-11-27T08:00:00Z")?,
            Kind::Seconds => {
                let units = [
                    ("", 1.0),
                    ("s", 1.0),
                    ("m", 60.0),
                    ("min", 60.0),
                    ("h", 3_600.0),
                    ("d", 86_400.0),
                    ("w", 604_800.0),
                ];
                with_unit(raw, &units).ok_or("how long: 90s, 5m, 2h, 3d or 1w")?
            }
            Kind::Count => with_unit(raw, &[("", 1.0), ("k", 1e3), ("m", 1e6), ("g", 1e9)])
                .ok_or("a number: 1200, 1.2k or 3M")?,
            Kind::Percent => with_unit(raw, &[("", 1.0), ("%", 1.0)]).ok_or("of a hundred: 3%")?,
            Kind::Rate => with_unit(raw, &[("", 1.0), ("/s", 1.0), ("k", 1e3), ("k/s", 1e3)])
                .ok_or("how many a second: 20 or 20/s")?,
            Kind::Octets => {
                let units = [
                    ("", 1.0),
                    ("b", 1.0),
                    ("k", 1e3),
                    ("kb", 1e3),
                    ("m", 1e6),
                    ("mb", 1e6),
                    ("g", 1e9),
                    ("gb", 1e9),
                    ("kib", 1_024.0),
                    ("mib", 1_048_576.0),
                    ("gib", 1_073_741_824.0),
                ];
                with_unit(raw, &units).ok_or("octets: 1200, 10kB or 2MiB")?
            }
        };
        Ok(Self { raw: raw.into(), parts: Box::default(), number })
    }

    pub(crate) const fn number(&self) -> f64 {
        self.number
    }

    /// The text, if no star is in it.
    pub(crate) fn as_plain(&self) -> Option<&str> {
        (self.parts.len() == 1).then_some(&*self.raw)
    }

    pub(crate) fn equals(&self, text: &str) -> bool {
        match &*self.parts {
            [only] => only.eq_ignore_ascii_case(text),
            [first, middle @ .., last] => {
                let text = text.to_ascii_lowercase();
                let rest = text.strip_prefix(&**first).and_then(|r| r.strip_suffix(&**last));
                let Some(mut rest) = rest else { return false };
                // Each part is found as early as it can be: then the others have the most room.
                middle.iter().all(|part| match rest.find(&**part) {
                    Some(at) => {
                        rest = rest.get(at + part.len()..).unwrap_or_default();
                        true
                    }
                    None => false,
                })
            }
            [] => false,
        }
    }

    pub(crate) fn is_in(&self, text: &str) -> bool {
        let wanted = self.raw.as_bytes();
        let mut windows = text.as_bytes().windows(wanted.len().max(1));
        wanted.is_empty() || windows.any(|window| window.eq_ignore_ascii_case(wanted))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.raw))
    }
}

/// A number with one of these units, whatever their case.
fn with_unit(raw: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = raw.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(raw.len());
    let (number, unit) = raw.split_at(end);
    let number: f64 = number.parse().ok()?;
    let (_, times) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    Some(number * times)
}

fn time(raw: &str) -> Option<f64> {
    let at = OffsetDateTime::parse(raw, &Rfc3339).ok()?;
    Some(at.unix_timestamp_nanos() as f64 / 1e9)
}

/// Whether a character can stand in a word without quotes.
pub(crate) fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "._-@*+/:%#$?".contains(c)
}

/// Words that mean something else without quotes.
const KEYWORDS: [&str; 4] = ["and", "or", "not", "all"];

/// A text as a value: in quotes, if it must be.
pub fn quoted(raw: &str) -> String {
    let keyword = KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(raw));
    if !raw.is_empty() && !keyword && raw.chars().all(is_plain) {
        return raw.to_owned();
    }
    format!("\"{}\"", raw.replace('\\', "\\\\").replace('"', "\\\""))
}
