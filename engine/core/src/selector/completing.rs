//! What can come next in a selector that is being typed.

use std::ops::Range;

use crate::selector::schema::Kind;
use crate::selector::schema::Op;
use crate::selector::schema::Schema;
use crate::selector::value::is_plain;

/// What could stand in place of what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What it replaces, in octets.
    pub replace: Range<usize>,
    /// With what.
    pub text: String,
    /// What that means.
    pub about: String,
}

/// What can come at this place of a text, in octets: fields, comparisons, or words that join tests.
pub fn complete(text: &str, cursor: usize, schema: &Schema<'_>) -> Vec<Completion> {
    let typed = text.get(..text.floor_char_boundary(cursor)).unwrap_or(text);
    let begin = typed.rfind(|c: char| !is_plain(c)).map_or(0, |at| {
        at + typed.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    let (before, word) = typed.split_at(begin);
    let before = before.trim_end();
    let replace = begin..typed.len();
    let one = |text: &str, about: &str| Completion {
        replace: replace.clone(),
        text: text.to_owned(),
        about: about.to_owned(),
    };
    let starts =
        |text: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    if before.ends_with(['=', '<', '>', '~', ',']) {
        return Vec::new();
    }
    if let Some((_, field)) = schema.find(word).filter(|_| !word.is_empty()) {
        let fits = Op::ALL.into_iter().filter(|op| op.fits(field.kind()));
        return fits.map(|op| one(&format!("{word}{}", op.text()), field.about())).collect();
    }
    let last = before.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
    let joins = ["and", "or", "not", "!", "(", ""].iter().any(|w| last.eq_ignore_ascii_case(w));
    if !joins && !before.ends_with('(') && !before.ends_with('!') {
        let words = [("and", "both must hold"), ("or", "one must hold")];
        return words.iter().filter(|(w, _)| starts(w)).map(|(w, about)| one(w, about)).collect();
    }
    let fields = schema.fields().iter().filter(|field| starts(field.name()));
    let ending = |kind| if kind == Kind::Text { "=" } else { ">" };
    let mut all: Vec<_> = fields
        .map(|field| one(&format!("{}{}", field.name(), ending(field.kind())), field.about()))
        .collect();
    all.extend(starts("not").then(|| one("not", "it must not hold")));
    all
}
