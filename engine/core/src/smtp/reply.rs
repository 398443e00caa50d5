//! SMTP replies (RFC 5321 4.2) with their enhanced status (RFC 2034).

use std::fmt;

use crate::mail::outcome::EnhancedStatus;

/// A reply as one value: the code, the enhanced status and the text of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// The enhanced status at the head of the text, if there is one.
    pub status: Option<EnhancedStatus>,
    /// The text of each line, without code, status and line end; at least one line.
    pub lines: Vec<Box<str>>,
}

impl Reply {
    /// A reply of one line with an enhanced status.
    pub fn new(code: u16, status: EnhancedStatus, text: &str) -> Self {
        Self { code, status: Some(status), lines: vec![text.into()] }
    }

    /// A reply of one line without an enhanced status: greeting, EHLO, 354 and 334.
    pub fn bare(code: u16, text: &str) -> Self {
        Self { code, status: None, lines: vec![text.into()] }
    }

    /// 2xx or 3xx.
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4xx.
    pub const fn is_transient(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// 5xx.
    pub const fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// All lines as one, joined by a space.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }
}

/// As on the wire, with CRLF after each line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            let last = index + 1 == self.lines.len();
            write!(f, "{}{}", self.code, if last { ' ' } else { '-' })?;
            if let Some(status) = self.status {
                write!(f, "{status} ")?;
            }
            write!(f, "{line}\r\n")?;
        }
        Ok(())
    }
}
