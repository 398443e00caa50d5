//! Times as the contract writes them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use maily_core::clock::Timestamp;

/// A time of RFC 3339, such as `2026-11-26T09:00:00+01:00`. Before 1970 it is 1970.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(Timestamp::from_micros(u64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(0)))
}
