//! The one small language in which operators say what they mean:
//! `site=google and age>1h and last~"4.7.28"`.
//!
//! ```text
//! selector = or                  empty text and `all` select everything
//! or       = and { "or" and }
//! and      = not { "and" not }
//! not      = [ "not" | "!" ] ( "(" or ")" | "all" | test )
//! test     = FIELD OP value | FIELD OP "(" value { "," value } ")" | value
//! OP       = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
//! ```
//!
//! What fields there are is said by a [`Schema`]; what they hold, by whoever asks whether a
//! selector [`Selector::matches`]. Texts are compared without regard to ASCII case; in `=` a `*`
//! stands for any run of characters; `~` means contains. A value without a field is looked for in
//! all texts, where the schema allows that.

mod completing;
mod lexer;
mod parser;
mod value;

use std::fmt;
use std::ops::Range;

pub use crate::selector::completing::Completion;
pub use crate::selector::completing::complete;
use crate::selector::value::Value;

/// Octets of a selector.
pub const OCTETS_MAX: usize = 2_048;
/// How deep parentheses and negations may nest.
pub const DEPTH_MAX: usize = 32;
/// Tests in a selector.
pub const TESTS_MAX: usize = 64;
/// Values in one list.
pub const VALUES_MAX: usize = 64;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Text,
    /// How many: `1200`, `1.2k`, `3M`.
    Count,
    /// Of a hundred: `3%` or `3`.
    Percent,
    /// How many in a second.
    Rate,
    /// Octets: `10kB`, `2MiB`.
    Octets,
    /// How long: `90s`, `5m`, `2h`, `3d`, `1w`.
    Seconds,
    /// When: RFC 3339.
    Time,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec<'a> {
    name: &'a str,
    alias: &'a str,
    kind: Kind,
    about: &'a str,
}

impl<'a> FieldSpec<'a> {
    /// A field of this name.
    pub const fn new(name: &'a str, kind: Kind, about: &'a str) -> Self {
        Self { name, alias: "", kind, about }
    }

    /// The same, which has another name too.
    #[must_use]
    pub const fn or_else(self, alias: &'a str) -> Self {
        Self { alias, ..self }
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// What it holds.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What it means.
    pub const fn about(&self) -> &'a str {
        self.about
    }

    fn is(&self, name: &str) -> bool {
        let same = |own: &str| !own.is_empty() && own.eq_ignore_ascii_case(name);
        same(self.name) || same(self.alias)
    }
}

/// The fields that there are.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'a> {
    fields: &'a [FieldSpec<'a>],
    bare: bool,
}

impl<'a> Schema<'a> {
    /// These fields, each of which must be named.
    pub const fn new(fields: &'a [FieldSpec<'a>]) -> Self {
        Self { fields, bare: false }
    }

    /// These fields; a value without a field is looked for in all texts.
    pub const fn with_bare_words(fields: &'a [FieldSpec<'a>]) -> Self {
        Self { fields, bare: true }
    }

    /// The fields.
    pub const fn fields(&self) -> &'a [FieldSpec<'a>] {
        self.fields
    }

    fn find(&self, name: &str) -> Option<(usize, FieldSpec<'a>)> {
        self.fields.iter().copied().enumerate().find(|(_, field)| field.is(name))
    }
}

/// How a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `~`
    Contains,
    /// `!~`
    Lacks,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equal,
        Self::Unequal,
        Self::Less,
        Self::AtMost,
        Self::Greater,
        Self::AtLeast,
        Self::Contains,
        Self::Lacks,
    ];

    /// As it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Contains => "~",
            Self::Lacks => "!~",
        }
    }

    const fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Equal | Self::Unequal => true,
            Self::Contains | Self::Lacks => matches!(kind, Kind::Text),
            _ => !matches!(kind, Kind::Text),
        }
    }
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The field's place in the schema; none for a bare value.
    field: Option<usize>,
    name: Box<str>,
    /// Its own place among the tests.
    number: usize,
    op: Op,
    values: Vec<Value>,
}

impl Test {
    /// The field's place in the schema; one beyond all for a bare value.
    pub fn field(&self) -> usize {
        self.field.unwrap_or(usize::MAX)
    }

    /// Whether it names no field.
    pub const fn is_bare(&self) -> bool {
        self.field.is_none()
    }

    /// Its place among the tests of its selector.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// The text that the field must equal, if the test says just that.
    pub fn as_equal(&self) -> Option<&str> {
        match &*self.values {
            [only] if self.op == Op::Equal => only.as_plain(),
            _ => None,
        }
    }

    /// Whether it holds of a text.
    pub fn on_text(&self, text: &str) -> bool {
        let any = |test: fn(&Value, &str) -> bool| self.values.iter().any(|v| test(v, text));
        match self.op {
            Op::Equal => any(Value::equals),
            Op::Unequal => !any(Value::equals),
            Op::Contains => any(Value::is_in),
            Op::Lacks => !any(Value::is_in),
            Op::Less | Op::AtMost | Op::Greater | Op::AtLeast => false,
        }
    }

    /// Whether it holds of a number: of seconds for durations, of seconds since 1970 for times.
    pub fn on_number(&self, number: f64) -> bool {
        let any = |test: fn(f64, f64) -> bool| self.values.iter().any(|v| test(number, v.number()));
        match self.op {
            Op::Equal => any(|a, b| a == b),
            Op::Unequal => !any(|a, b| a == b),
            Op::Less => any(|a, b| a < b),
            Op::AtMost => any(|a, b| a <= b),
            Op::Greater => any(|a, b| a > b),
            Op::AtLeast => any(|a, b| a >= b),
            Op::Contains | Op::Lacks => false,
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_bare() {
            write!(f, "{}{}", self.name, self.op.text())?;
        }
        match &*self.values {
            [only] => write!(f, "{only}"),
            many => {
                let many: Vec<_> = many.iter().map(ToString::to_string).collect();
                write!(f, "({})", many.join(", "))
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    Everything,
    Test(Test),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// What somebody means.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector(Expr);

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// Where it is wrong, why, and what would be right.
    pub fn parse(text: &str, schema: &Schema<'_>) -> Result<Self, SelectorError> {
        parser::parse(text, schema).map(Self)
    }

    /// The one that selects everything.
    pub const fn all() -> Self {
        Self(Expr::Everything)
    }

    /// Whether it selects everything.
    pub const fn is_everything(&self) -> bool {
        matches!(self.0, Expr::Everything)
    }

    /// Whether it selects what the tests are asked about. Not all of them are asked.
    pub fn matches(&self, test: &mut impl FnMut(&Test) -> bool) -> bool {
        self.0.matches(test)
    }

    /// Its tests, by their numbers.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        let mut tests = Vec::new();
        self.0.collect(&mut tests);
        tests.into_iter()
    }

    /// Its tests, if all of them must hold and nothing else.
    pub fn as_conjunction(&self) -> Option<Vec<&Test>> {
        match &self.0 {
            Expr::Test(test) => Some(vec![test]),
            Expr::And(all) => all
                .iter()
                .map(|one| match one {
                    Expr::Test(test) => Some(test),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }
}

impl Expr {
    fn matches(&self, test: &mut impl FnMut(&Test) -> bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Test(one) => test(one),
            Self::Not(inner) => !inner.matches(test),
            Self::And(all) => all.iter().all(|one| one.matches(test)),
            Self::Or(any) => any.iter().any(|one| one.matches(test)),
        }
    }

    fn collect<'a>(&'a self, tests: &mut Vec<&'a Test>) {
        match self {
            Self::Everything => {}
            Self::Test(test) => tests.push(test),
            Self::Not(inner) => inner.collect(tests),
            Self::And(many) | Self::Or(many) => many.iter().for_each(|one| one.collect(tests)),
        }
    }

    fn within(&self, f: &mut fmt::Formatter<'_>, loose: bool) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, many: &[Self], word: &str| {
            for (place, one) in many.iter().enumerate() {
                if place > 0 {
                    write!(f, " {word} ")?;
                }
                one.within(f, false)?;
            }
            Ok(())
        };
        match self {
            Self::Everything => f.write_str("all"),
            Self::Test(test) => write!(f, "{test}"),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.within(f, false)
            }
            Self::And(many) | Self::Or(many) => {
                let word = if matches!(self, Self::And(_)) { "and" } else { "or" };
                if loose {
                    return joined(f, many, word);
                }
                f.write_str("(")?;
                joined(f, many, word)?;
                f.write_str(")")
            }
        }
    }
}

/// In the form that is read as the same.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.within(f, true)
    }
}

/// A text as a value: in quotes, if it must be.
pub fn quoted(text: &str) -> String {
    value::quoted(text)
}

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
    fn new(at: Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Self {
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

#[cfg(test)]
#[path = "selector/selector_tests.rs"]
mod tests;
