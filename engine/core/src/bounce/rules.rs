//! The file of rules that says what replies mean; its form is told at its head
//! (`config/bounces.rules`).

use crate::bounce::phase::Phase;
use crate::bounce::reason::Reason;

/// Octets of a file.
pub const FILE_OCTETS_MAX: usize = 1 << 20;
/// Rules of a file.
pub const RULES_MAX: usize = 10_000;
/// Texts of a rule, with anything between them.
pub const PIECES_MAX: usize = 4;
/// The least octets of one of them: shorter ones are everywhere.
pub const PIECE_OCTETS_MIN: usize = 2;

/// A line that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct RuleError {
    /// The file.
    pub file: Box<str>,
    /// The line, counted from 1.
    pub line: u32,
    /// What is wrong, and what to do.
    pub what: Box<str>,
}

/// What a reply must have for a rule to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The code.
    pub code: Option<u16>,
    /// How the enhanced status begins, such as `5.7.` or `5.7.26`.
    pub status: Box<str>,
    /// The domain of the host that said it.
    pub host: Box<str>,
    /// To what it was said.
    pub phase: Option<Phase>,
    /// Whether it is only told, with neither a status nor to what it was said.
    pub hearsay: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What fits it.
    pub condition: Condition,
    /// What the text must hold, in this order; nothing if the condition is enough.
    pub pieces: Vec<Box<str>>,
    /// What it means.
    pub reason: Reason,
    /// Where it stands.
    pub line: u32,
}

/// Reads a file.
///
/// # Errors
/// The first line that is no rule.
pub fn parse(text: &str, file: &str) -> Result<Vec<Rule>, RuleError> {
    let error = |line: usize, what: &str| RuleError {
        file: file.into(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        what: what.into(),
    };
    if text.len() > FILE_OCTETS_MAX {
        return Err(error(1, "more than 1 MiB of rules"));
    }
    let mut rules = Vec::new();
    let mut reason = None;
    for (number, whole) in (1..).zip(text.lines()) {
        let line = whole.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !whole.starts_with([' ', '\t']) {
            let known = Reason::of_word(line);
            reason = Some(known.ok_or_else(|| {
                error(number, &format!("{line:?} is no reason; a phrase stands indented"))
            })?);
            continue;
        }
        let reason = reason.ok_or_else(|| error(number, "a phrase without a reason above it"))?;
        let (condition, phrase) = condition(line).map_err(|what| error(number, what))?;
        let pieces = pieces(phrase).map_err(|what| error(number, what))?;
        if pieces.is_empty() && condition == Condition::default() {
            return Err(error(number, "neither a condition nor a phrase"));
        }
        if rules.len() >= RULES_MAX {
            return Err(error(number, "more than 10,000 rules"));
        }
        let line = u32::try_from(number).unwrap_or(u32::MAX);
        rules.push(Rule { condition, pieces, reason, line });
    }
    Ok(rules)
}

/// The condition of a line, if it has one, and what stands behind it.
fn condition(line: &str) -> Result<(Condition, &str), &'static str> {
    let Some(rest) = line.strip_prefix('[') else { return Ok((Condition::default(), line)) };
    let (inside, phrase) = rest.split_once(']').ok_or("the condition is not closed by `]`")?;
    let mut condition = Condition::default();
    for word in inside.split_whitespace() {
        if let Some(host) = word.strip_prefix('@') {
            condition.host = host.to_ascii_lowercase().into();
        } else if word == "hearsay" {
            condition.hearsay = true;
        } else if word == "rcpt" || word == "data" {
            condition.phase = Some(if word == "rcpt" { Phase::Rcpt } else { Phase::Data });
        } else if word.contains('.') {
            if !word.chars().all(|c| c.is_ascii_digit() || c == '.') {
                return Err("a status is written as 5.7. or 5.7.26");
            }
            condition.status = word.into();
        } else if let Ok(code @ 200..=599) = word.parse() {
            condition.code = Some(code);
        } else {
            return Err("a condition is a code, a status, rcpt, data, hearsay or @ and a domain");
        }
    }
    Ok((condition, phrase.trim()))
}

fn pieces(phrase: &str) -> Result<Vec<Box<str>>, &'static str> {
    if phrase.is_empty() {
        return Ok(Vec::new());
    }
    let pieces: Vec<Box<str>> = phrase.split(" ~ ").map(|piece| piece.trim().into()).collect();
    if pieces.len() > PIECES_MAX {
        return Err("more than four texts in one rule");
    }
    if pieces.iter().any(|piece| piece.len() < PIECE_OCTETS_MIN) {
        return Err("a text of a rule has at least two characters");
    }
    if pieces.iter().any(|piece| piece.chars().any(char::is_uppercase) || piece.contains("  ")) {
        return Err("a phrase is written in small letters, with one blank between words");
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line() {
        let text = "# x\nuserunknown\n  no such user\n\t[550 5.1. @a.example] no ~ user\n\n\
                    blocked\n  [5.7.1]\n";
        let rules = parse(text, "f").unwrap();
        assert_eq!((rules[0].line, rules[0].reason), (3, Reason::UserUnknown));
        let condition = Condition {
            code: Some(550),
            status: "5.1.".into(),
            host: "a.example".into(),
            ..Condition::default()
        };
        assert_eq!(rules[1].condition, condition);
        assert_eq!(*rules[1].pieces, ["no".into(), "user".into()]);
        assert_eq!((rules[2].reason, rules[2].pieces.len()), (Reason::Blocked, 0));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, wanted) in [
            ("nonsense\n", "f:1: \"nonsense\" is no reason"),
            ("  phrase\n", "f:1: a phrase without"),
            ("blocked\n  [550 x\n", "f:2: the condition is not closed"),
            ("blocked\n  [99]\n", "f:2: a condition is"),
            ("blocked\n  [5.x.1]\n", "f:2: a status is"),
            ("blocked\n  []\n", "f:2: neither"),
            ("blocked\n  a ~ bc\n", "f:2: a text of a rule"),
            ("blocked\n  No\n", "f:2: a phrase is written"),
            ("blocked\n  aa ~ bb ~ cc ~ dd ~ ee\n", "f:2: more than four"),
        ] {
            let error = parse(text, "f").unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
