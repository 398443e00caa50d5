//! What became of one attempt for one recipient, with how far a failure reaches and whose it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// RFC 3463: class, subject and detail of a reply, such as `5.1.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    /// `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// The status with another class: 4.4.7 for a 5.4.7 that came with a 4xx reply.
    pub const fn with_class(self, class: u8) -> Self {
        Self { class, ..self }
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// The text is not `class.subject.detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidStatus;

impl FromStr for EnhancedStatus {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let mut parts = text.split('.');
        let mut next = |octets_max: usize| -> Result<u16, InvalidStatus> {
            let part = parts.next().ok_or(InvalidStatus)?;
            let digits = !part.is_empty() && part.bytes().all(|o| o.is_ascii_digit());
            if !digits || part.len() > octets_max {
                return Err(InvalidStatus);
            }
            part.parse().map_err(|_| InvalidStatus)
        };
        let (class, subject, detail) = (next(1)?, next(3)?, next(3)?);
        if parts.next().is_some() || !matches!(class, 2 | 4 | 5) {
            return Err(InvalidStatus);
        }
        Ok(Self::new(class as u8, subject, detail))
    }
}

/// How far a failure reaches. Decides what must wait: a recipient, a message, a host or a
/// destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// This recipient only: `550` to RCPT.
    Recipient,
    /// This message only: `554` to the data.
    Message,
    /// This host, as seen from this source: `421`, a connection cut.
    Host,
    /// All that goes to the destination: no MX, no host that answers.
    Destination,
}

/// Whose doing a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Blame {
    /// The peer said so.
    Peer,
    /// The way there: DNS, routing, time-outs.
    Network,
    /// Our own resources.
    Us,
    /// The operator's configuration.
    Config,
}

/// Octets of a diagnosis's text; the rest of a longer reply is cut off.
pub const DIAGNOSIS_OCTETS_MAX: usize = 1_000;

/// The words that go with an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The reply code, where a peer replied.
    pub code: Option<u16>,
    /// The enhanced status: the peer's, or ours where it gave none.
    pub status: EnhancedStatus,
    /// Whose doing.
    pub blame: Blame,
    /// What the peer said or what happened: one line, printable, at most
    /// [`DIAGNOSIS_OCTETS_MAX`] octets.
    text: Box<str>,
}

impl Diagnosis {
    /// A diagnosis of ours, where no peer replied.
    pub fn ours(status: EnhancedStatus, blame: Blame, text: &str) -> Self {
        Self { code: None, status, blame, text: printable(text) }
    }

    /// What a peer replied.
    pub fn reply(code: u16, status: EnhancedStatus, text: &str) -> Self {
        Self { code: Some(code), status, blame: Blame::Peer, text: printable(text) }
    }

    /// What was said: one printable line.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// `550 5.1.1 no such user`, or without the code where no peer replied.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code {
            write!(f, "{code} ")?;
        }
        write!(f, "{} {}", self.status, self.text)
    }
}

/// One line without control characters, so that it can stand in logs, reports and terminals.
fn printable(text: &str) -> Box<str> {
    if text.len() <= DIAGNOSIS_OCTETS_MAX && text.bytes().all(|o| (b' '..=b'~').contains(&o)) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len().min(DIAGNOSIS_OCTETS_MAX));
    for c in text.chars() {
        // Marks that make a terminal show text in another order than it has.
        let bidi = ['\u{200E}'..='\u{200F}', '\u{2028}'..='\u{202E}', '\u{2066}'..='\u{2069}']
            .iter()
            .any(|range| range.contains(&c));
        let c = match c {
            '\r' | '\n' | '\t' => ' ',
            c if c.is_control() || bidi => '?',
            c => c,
        };
        if clean.len() + c.len_utf8() > DIAGNOSIS_OCTETS_MAX {
            break;
        }
        clean.push(c);
    }
    clean.into()
}

/// What one attempt did for one recipient. An outcome is not an error.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The next hop has taken responsibility.
    Delivered(Diagnosis),
    /// It will be tried again.
    Deferred {
        /// How far the failure reaches.
        scope: Scope,
        /// Why.
        diagnosis: Diagnosis,
    },
    /// It will never work.
    Bounced {
        /// How far the failure reaches.
        scope: Scope,
        /// Why.
        diagnosis: Diagnosis,
    },
    /// The message was sent to its last octet and the reply was lost: the next hop may have it.
    InDoubt(Diagnosis),
}

impl Outcome {
    /// The words that go with it.
    pub const fn diagnosis(&self) -> &Diagnosis {
        match self {
            Self::Delivered(diagnosis) | Self::InDoubt(diagnosis) => diagnosis,
            Self::Deferred { diagnosis, .. } | Self::Bounced { diagnosis, .. } => diagnosis,
        }
    }

    /// How far a failure reaches; none if it is none. A lost reply is the host's failure.
    pub const fn scope(&self) -> Option<Scope> {
        match self {
            Self::Delivered(_) => None,
            Self::Deferred { scope, .. } | Self::Bounced { scope, .. } => Some(*scope),
            Self::InDoubt(_) => Some(Scope::Host),
        }
    }
}

/// What we do about an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Settlement {
    /// Delivered: nothing more to do.
    Done,
    /// Try again at this time.
    Retry(crate::clock::Timestamp),
    /// Refused for good: report and forget.
    Bounce,
    /// Too old to try again: report and forget.
    Expire,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enhanced_status_is_read_as_rfc_3463_2_writes_it() {
        assert_eq!("5.1.1".parse(), Ok(EnhancedStatus::new(5, 1, 1)));
        assert_eq!("4.7.650".parse(), Ok(EnhancedStatus::new(4, 7, 650)));
        for text in ["", "5", "5.1", "3.1.1", "5.1.1.1", "5.1000.1", "5.+1.1", "55.1.1", "5..1"] {
            assert_eq!(text.parse::<EnhancedStatus>(), Err(InvalidStatus), "{text}");
        }
    }

    #[test]
    fn a_diagnosis_is_one_printable_line_of_bounded_length() {
        let status = EnhancedStatus::new(5, 0, 0);
        let hostile = "no\r\nSubject: x\u{1b}[2J\u{202E}".to_owned() + &"y".repeat(5_000);
        let diagnosis = Diagnosis::reply(550, status, &hostile);
        assert!(diagnosis.text().starts_with("no  Subject: x?[2J?yyy"));
        assert_eq!(diagnosis.text().len(), DIAGNOSIS_OCTETS_MAX);
    }
}
