//! One comparison of a selector.

use std::fmt;

use crate::selector::schema::Op;
use crate::selector::value::Value;

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The field's place in the schema; none for a bare value.
    pub(crate) field: Option<usize>,
    pub(crate) name: Box<str>,
    /// Its own place among the tests.
    pub(crate) number: usize,
    pub(crate) op: Op,
    pub(crate) values: Vec<Value>,
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
