//! Functions of the interpreter that can make much out of little, made anew with bounds: one call
//! of a native function cannot be ended from outside, so it must be short by itself.

use rhai::EvalAltResult;
use rhai::ImmutableString;
use rhai::Position;

use crate::host::Told;
use crate::limits;
use crate::surface::Builder;

pub(super) fn register(builder: &mut Builder) {
    builder.add(
        "string.pad(len: int, with: string)",
        "Makes a text longer, up to a number of characters. It has at most 64 KiB.",
        |text: &mut ImmutableString, len: i64, with: &str| pad(text, len, with),
    );
    builder.also("pad", |text: &mut ImmutableString, len: i64, with: char| {
        pad(text, len, with.encode_utf8(&mut [0; 4]))
    });
    builder.add(
        "string.replace(what: string, with: string)",
        "Replaces a part of a text wherever it stands. The result has at most 64 KiB.",
        |text: &mut ImmutableString, what: &str, with: &str| replace(text, what, with),
    );
    builder.also("replace", |text: &mut ImmutableString, what: char, with: &str| {
        replace(text, what.encode_utf8(&mut [0; 4]), with)
    });
    builder.also("replace", |text: &mut ImmutableString, what: &str, with: char| {
        replace(text, what, with.encode_utf8(&mut [0; 4]))
    });
}

fn too_large() -> Box<EvalAltResult> {
    let what = "Length of string".to_owned();
    Box::new(EvalAltResult::ErrorDataTooLarge(what, Position::NONE))
}

fn pad(text: &mut ImmutableString, len: i64, with: &str) -> Told<()> {
    let Ok(len) = usize::try_from(len) else { return Ok(()) };
    let (have, characters) = (text.chars().count(), with.chars().count());
    if len <= have || characters == 0 {
        return Ok(());
    }
    if len > limits::STRING_OCTETS_MAX {
        return Err(too_large());
    }
    let (whole, rest) = ((len - have) / characters, (len - have) % characters);
    let last = with.char_indices().nth(rest).map_or(0, |(at, _)| at);
    let grown = text.len() + whole.saturating_mul(with.len()) + last;
    if grown > limits::STRING_OCTETS_MAX {
        return Err(too_large());
    }
    let mut padded = String::with_capacity(grown);
    padded.push_str(text);
    for _ in 0..whole {
        padded.push_str(with);
    }
    padded.push_str(with.get(..last).unwrap_or_default());
    *text = padded.into();
    Ok(())
}

fn replace(text: &mut ImmutableString, what: &str, with: &str) -> Told<()> {
    if what.is_empty() {
        return Ok(());
    }
    let found = text.matches(what).count();
    let grown = text.len().saturating_add(found.saturating_mul(with.len()));
    if grown.saturating_sub(found.saturating_mul(what.len())) > limits::STRING_OCTETS_MAX {
        return Err(too_large());
    }
    if found > 0 {
        *text = text.replace(what, with).into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, len: i64, with: &str) -> Result<String, String> {
        let mut text = ImmutableString::from(text);
        pad(&mut text, len, with).map(|()| text.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn padding_counts_characters_and_is_bounded() {
        assert_eq!(check("x", 6, "äb"), Ok("xäbäbä".to_owned()));
        assert_eq!(check("xyz", 2, "a"), Ok("xyz".to_owned()));
        assert_eq!(check("x", -5, "a"), Ok("x".to_owned()));
        assert_eq!(check("x", 5, ""), Ok("x".to_owned()));
        let most = i64::try_from(limits::STRING_OCTETS_MAX).unwrap();
        assert_eq!(check("", most, "a").unwrap().len(), limits::STRING_OCTETS_MAX);
        assert!(check("", most + 1, "a").is_err());
        assert!(check("", most / 2 + 1, "ä").is_err());
    }

    #[test]
    fn replacing_is_bounded_before_it_is_done() {
        let mut text = ImmutableString::from("a".repeat(1_000));
        assert!(replace(&mut text, "a", &"b".repeat(100)).is_err());
        assert_eq!(text.len(), 1_000);
        replace(&mut text, "a", "bb").unwrap();
        assert_eq!(text.len(), 2_000);
        replace(&mut text, "", "x").unwrap();
        assert_eq!(text.len(), 2_000);
    }
}
