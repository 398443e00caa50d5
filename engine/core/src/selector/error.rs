//! Selectors that cannot be read.

use std::ops::Range;

/// A selector that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectorError {
    /// Where, in octets.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

impl SelectorError {
    pub(crate) fn new(
        at: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { at, message: message.into(), hint: hint.into() }
    }

    /// The text with a caret below what is wrong, then what is wrong and what would be right.
    pub fn shown(&self, text: &str) -> String {
        let line: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let count = |part: Option<&str>| part.map_or(0, |part| part.chars().count());
        let begin = count(text.get(..self.at.start));
        let length = count(text.get(self.at.clone())).max(1);
        let caret = format!("{}{}", " ".repeat(begin), "^".repeat(length));
        let hint = if self.hint.is_empty() { String::new() } else { format!("\n{}", self.hint) };
        format!("{line}\n{caret}\n{}{hint}", self.message)
    }
}
