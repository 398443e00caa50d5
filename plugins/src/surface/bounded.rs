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
    let have = text.chars().count();
    if len <= have || with.is_empty() {
        return Ok(());
    }
    if len > limits::STRING_OCTETS_MAX {
        return Err(too_large());
    }
    let more: String = with.chars().cycle().take(len - have).collect();
    if text.len() + more.len() > limits::STRING_OCTETS_MAX {
        return Err(too_large());
    }
    *text = format!("{text}{more}").into();
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
