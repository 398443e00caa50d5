//! To which command a reply was said. It matters: "user unknown" in answer to RCPT is about the
//! address; the same words in answer to the message may be about anything.

/// To what something was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A recipient.
    Rcpt,
    /// The message itself.
    Data,
}

/// How reports name the command that was refused.
const RCPT: &[&str] = &[
    "in reply to rcpt",
    "after rcpt to",
    "smtp:rcpt",
    "was rcpt to response",
    "did not like our rcpt to",
    "for rcpt to command",
    "rejected recipient",
    "recipients was rejected by",
];

const DATA: &[&str] = &[
    "in reply to end of data",
    "in reply to data",
    "after end of data",
    "after data command",
    "for text command",
    "for data command",
    "smtp:data",
];

impl Phase {
    /// The command that a report names, if it names one of them and not both.
    pub fn told(text: &str) -> Option<Self> {
        // Reports are folded anywhere.
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ").to_ascii_lowercase();
        let has = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
        match (has(RCPT), has(DATA)) {
            (true, false) => Some(Self::Rcpt),
            (false, true) => Some(Self::Data),
            _ => None,
        }
    }
}
