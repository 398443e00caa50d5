//! One thing that is wrong in a file: where, what, and what was perhaps meant.
//!
//! It is told with the line and a caret below it. A line that may hold a secret is cut off after
//! its `=`: what stands in a file of the configuration must not get into a log.

use std::fmt;
use std::ops::Range;

use crate::similar::nearest;
use crate::value::SECRET_WRITTEN;

/// Words in a line that may hold a secret.
const DELICATE: &[&str] = &["pass", "secret", "token"];

/// Something that is wrong in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line and column, counted from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what was perhaps meant.
    pub text: String,
    /// The line, where it is known, and how many characters the caret marks.
    line: Option<(String, usize)>,
}

impl Problem {
    /// A problem with a file as a whole.
    pub(crate) fn of_file(file: &str, text: String) -> Self {
        Self { file: file.to_owned(), place: None, text, line: None }
    }

    /// A problem with a part of a file.
    pub(crate) fn of_span(file: &str, source: &str, span: Range<usize>, text: String) -> Self {
        Self::shown(file, source, span, text, false)
    }

    /// What the TOML reader found.
    pub(crate) fn of_toml(file: &str, source: &str, error: &toml::de::Error) -> Self {
        let raw = error.message();
        let Some(span) = error.span() else {
            return Self::of_file(file, explain(raw));
        };
        // A misspelt `password` is an unknown key, too.
        let cut = raw.starts_with("unknown field") || raw.contains(SECRET_WRITTEN);
        Self::shown(file, source, span, explain(raw), cut)
    }

    fn shown(file: &str, source: &str, span: Range<usize>, text: String, cut: bool) -> Self {
        let before = source.get(..span.start).unwrap_or(source);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let number = before.matches('\n').count() + 1;
        let column = before.get(start..).map_or(1, |part| part.chars().count() + 1);
        let whole = source.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let lower = whole.to_ascii_lowercase();
        let cut = cut || DELICATE.iter().any(|word| lower.contains(word));
        let line = match whole.split_once('=') {
            Some((key, _)) if cut => format!("{key}= …"),
            None if cut && (!whole.starts_with('[') || whole.contains(['"', '\''])) => {
                "…".to_owned()
            }
            _ => whole.to_owned(),
        };
        let marked = source.get(span).and_then(|part| part.lines().next()).unwrap_or_default();
        let room = (line.chars().count() + 1).saturating_sub(column);
        let width = marked.chars().count().min(room).max(1);
        Self {
            file: file.to_owned(),
            place: Some((number, column)),
            text,
            line: Some((line, width)),
        }
    }
}

/// Says in our words what the reader said in its own.
fn explain(raw: &str) -> String {
    let words: Vec<&str> = raw.split('`').skip(1).step_by(2).collect();
    let Some((given, known)) = words.split_first() else {
        return raw.to_owned();
    };
    let hint = match nearest(given, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    if raw.starts_with("unknown field") {
        format!("unknown key `{given}`; {hint}")
    } else if raw.starts_with("unknown variant") {
        format!("unknown value `{given}`; {hint}")
    } else if raw.starts_with("missing field") {
        format!("the key `{given}` is missing here")
    } else {
        raw.to_owned()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        let Some((number, column)) = self.place else {
            return write!(f, ": {}", self.text);
        };
        write!(f, ":{number}:{column}: {}", self.text)?;
        let Some((line, width)) = &self.line else {
            return Ok(());
        };
        let number = number.to_string();
        let margin = " ".repeat(number.len());
        let indent: String = line
            .chars()
            .chain(std::iter::repeat(' '))
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        write!(f, "\n {number} | {line}\n {margin} | {indent}{}", "^".repeat(*width))
    }
}
