//! Durations and sizes as people write them in a manifest: `5ms`, `10MB`.

use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;

const DURATIONS: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];
const SIZES: &[(&str, u64)] = &[("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30)];

/// Reads `5ms`, `30d`; whole numbers only.
pub fn duration(text: &str) -> Option<Duration> {
    measure(text, DURATIONS).map(Duration::from_micros)
}

/// Reads `64KB`, `10MB`; a KB has 1,024 octets.
pub fn size(text: &str) -> Option<u64> {
    measure(text, SIZES)
}

/// Writes a duration in the largest unit that divides it.
pub fn show_duration(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let unit = DURATIONS.iter().rev().find(|(_, each)| micros > 0 && micros % each == 0);
    unit.map_or_else(|| "0s".to_owned(), |(name, each)| format!("{}{name}", micros / each))
}

fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let number: u64 = number.parse().ok()?;
    let (_, each) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.checked_mul(*each)
}

/// For serde: a duration in a manifest.
pub(crate) fn de_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    duration(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "`{text}` is no duration; write it as 500us, 5ms, 2s, 5m, 24h, 30d"
        ))
    })
}

/// For serde: a duration that may be missing.
pub(crate) fn de_duration_option<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Duration>, D::Error> {
    de_duration(from).map(Some)
}

/// For serde: a size in a manifest.
pub(crate) fn de_size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    size(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no size; write it as 64KB, 10MB")))
}

/// For serde: a size that may be missing.
pub(crate) fn de_size_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    de_size(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        assert_eq!(duration("5ms"), Some(Duration::from_millis(5)));
        assert_eq!(duration("30d"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(size("64KB"), Some(65_536));
        for wrong in
            ["", "5", "ms", "-5ms", "5 parsecs", "99999999999999999999d", "18446744073709551615d"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(show_duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(show_duration(Duration::from_secs(86_400)), "1d");
    }
}
