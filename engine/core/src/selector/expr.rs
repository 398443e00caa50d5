//! Tests, joined by `and`, `or` and `not`.

use std::fmt;

use crate::selector::test::Test;

/// Tests, joined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Everything,
    Test(Test),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Expr {
    pub(crate) fn matches(&self, test: &mut impl FnMut(&Test) -> bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Test(one) => test(one),
            Self::Not(inner) => !inner.matches(test),
            Self::And(all) => all.iter().all(|one| one.matches(test)),
            Self::Or(any) => any.iter().any(|one| one.matches(test)),
        }
    }

    pub(crate) fn collect<'a>(&'a self, tests: &mut Vec<&'a Test>) {
        match self {
            Self::Everything => {}
            Self::Test(test) => tests.push(test),
            Self::Not(inner) => inner.collect(tests),
            Self::And(many) | Self::Or(many) => many.iter().for_each(|one| one.collect(tests)),
        }
    }

    pub(crate) fn within(&self, f: &mut fmt::Formatter<'_>, loose: bool) -> fmt::Result {
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
