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
//! What fields there are is said by a [`schema::Schema`]; what they hold, by whoever asks whether a
//! selector [`Selector::matches`]. Texts are compared without regard to ASCII case; in `=` a `*`
//! stands for any run of characters; `~` means contains. A value without a field is looked for in
//! all texts, where the schema allows that.

pub mod completing;
pub mod error;
mod expr;
mod lexer;
pub mod limits;
mod parser;
pub mod schema;
pub mod test;
pub mod value;

use std::fmt;

use crate::selector::error::SelectorError;
use crate::selector::expr::Expr;
use crate::selector::schema::Schema;
use crate::selector::test::Test;

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

/// In the form that is read as the same.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.within(f, true)
    }
}

#[cfg(test)]
#[path = "selector/selector_tests.rs"]
mod tests;
