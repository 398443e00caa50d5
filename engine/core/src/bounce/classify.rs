//! Says what a reply means. All phrases of all rules are one automaton, so that a reply is read
//! once, however many rules there are.

use std::fmt;

use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;

use crate::bounce::phase::Phase;
use crate::bounce::reason::Permanence;
use crate::bounce::reason::Reason;
use crate::bounce::rules;
use crate::bounce::rules::Rule;
use crate::bounce::rules::RuleError;
use crate::mail::outcome::EnhancedStatus;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;

/// Octets of a reply that are looked at; what is longer says it in its first lines.
pub const REPLY_OCTETS_MAX: usize = 4 * 1024;

/// What a host said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// The code, if it said one.
    pub code: Option<u16>,
    /// The enhanced status, if it said one.
    pub status: Option<EnhancedStatus>,
    /// All that it said.
    pub text: &'a str,
    /// Its name; empty if it is not known.
    pub host: &'a str,
    /// To what it was said, if that is known.
    pub phase: Option<Phase>,
}

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// The line of the rule that says so; none if no rule did.
    pub line: Option<u32>,
    /// Whether the address is dead: never, if the host only said "not now".
    pub permanence: Permanence,
}

/// Rules, ready for replies.
pub struct Rules {
    file: Box<str>,
    rules: Vec<Rule>,
    automaton: AhoCorasick,
    /// For each piece of the automaton: in which rules it stands, and at which place.
    standing: Vec<Vec<(u32, u8)>>,
    /// The rules that have a condition and no text.
    bare: Vec<u32>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, rules) = (&self.file, self.rules.len());
        f.debug_struct("Rules").field("file", file).field("rules", &rules).finish_non_exhaustive()
    }
}

impl Rules {
    /// The rules of a file.
    ///
    /// # Errors
    /// The first line that is no rule.
    pub fn parse(text: &str, file: &str) -> Result<Self, RuleError> {
        let rules = rules::parse(text, file)?;
        let mut pieces: Vec<&str> = Vec::new();
        let mut standing: Vec<Vec<(u32, u8)>> = Vec::new();
        let mut known: hashbrown::HashMap<&str, usize> = hashbrown::HashMap::new();
        let mut bare = Vec::new();
        for (number, rule) in (0..).zip(&rules) {
            if rule.pieces.is_empty() {
                bare.push(number);
            }
            for (place, piece) in (0..).zip(&rule.pieces) {
                let at = *known.entry(piece).or_insert_with(|| {
                    pieces.push(piece);
                    standing.push(Vec::new());
                    standing.len() - 1
                });
                if let Some(standing) = standing.get_mut(at) {
                    standing.push((number, place));
                }
            }
        }
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(&pieces);
        drop(known);
        let automaton = automaton.map_err(|error| RuleError {
            file: file.into(),
            line: 1,
            what: format!("the phrases are too many: {error}").into(),
        })?;
        Ok(Self { file: file.into(), rules, automaton, standing, bare })
    }

    /// The rules that ship.
    pub fn shipped() -> Result<Self, RuleError> {
        Self::parse(include_str!("../../../../config/bounces.rules"), "bounces.rules")
    }

    /// Their file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a reply means.
    pub fn classify(&self, reply: &Reply<'_>) -> Verdict {
        let host = reply.host.to_ascii_lowercase();
        let status = reply.status.map(|status| status.to_string()).unwrap_or_default();
        let fits = |number: u32| {
            self.rules.get(number as usize).is_some_and(|rule| {
                let condition = &rule.condition;
                condition.code.is_none_or(|code| reply.code == Some(code))
                    && (condition.status.is_empty() || begins(&status, &condition.status))
                    && (condition.host.is_empty() || is_of(&host, &condition.host))
                    && condition.phase.is_none_or(|phase| reply.phase == Some(phase))
                    && (!condition.hearsay || (reply.phase.is_none() && status.is_empty()))
            })
        };
        let bare = self.bare.iter().copied().find(|number| fits(*number));
        let best = self.spoken(&normal(reply.text), bare, fits);
        let (reason, line) = match best.and_then(|number| self.rules.get(number as usize)) {
            Some(rule) => (rule.reason, Some(rule.line)),
            None => (by_number(reply), None),
        };
        // A name that cannot be found now may be found tomorrow.
        let for_now = reason == Reason::HostUnknown && is_for_now(reply);
        let reason = if for_now { Reason::NetworkError } else { reason };
        let permanence = match reason.permanence() {
            Permanence::Hard if is_for_now(reply) => Permanence::Soft,
            permanence => permanence,
        };
        Verdict { reason, line, permanence }
    }

    /// What the outcome of an attempt means, said by this host; none if the message was taken.
    pub fn of_outcome(&self, outcome: &Outcome, host: &str) -> Option<Verdict> {
        let diagnosis = outcome.diagnosis();
        let phase = match outcome.scope()? {
            Scope::Recipient => Some(Phase::Rcpt),
            Scope::Message => Some(Phase::Data),
            Scope::Host | Scope::Destination => None,
        };
        let (code, status, text) = (diagnosis.code, Some(diagnosis.status), diagnosis.text());
        Some(self.classify(&Reply { code, status, text, host, phase }))
    }

    /// Where a verdict's rule stands, as `file:line`; empty if no rule led to it.
    pub fn place(&self, verdict: &Verdict) -> String {
        verdict.line.map(|line| format!("{}:{line}", self.file)).unwrap_or_default()
    }

    /// The first rule that fits, of those whose texts are there and the one that needs none.
    fn spoken(&self, text: &str, bare: Option<u32>, fits: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = bare;
        // How much of a rule was seen, and where that ended; few rules are ever begun.
        let mut begun: hashbrown::HashMap<u32, (u8, usize)> = hashbrown::HashMap::new();
        for found in self.automaton.find_overlapping_iter(text) {
            let standing = self.standing.get(found.pattern().as_usize());
            for (number, place) in standing.into_iter().flatten() {
                if best.is_some_and(|best| best <= *number) {
                    continue;
                }
                let wanted = self.rules.get(*number as usize).map_or(0, |rule| rule.pieces.len());
                let (next, end) = begun.get(number).copied().unwrap_or_default();
                if next != *place || found.start() < end {
                    continue;
                }
                if usize::from(next) + 1 < wanted {
                    begun.insert(*number, (next + 1, found.end()));
                } else if fits(*number) {
                    best = Some(*number);
                }
            }
        }
        best
    }
}

/// Whether it may be tried again (RFC 5321 4.2.1, RFC 3463 3.1).
fn is_for_now(reply: &Reply<'_>) -> bool {
    match (reply.status, reply.code) {
        (Some(status), _) if status.class == 4 => true,
        (Some(_), _) => false,
        (None, code) => code.is_some_and(|code| (400..500).contains(&code)),
    }
}

/// Whether a status begins so: `5.7.` and `5.7.1` do with `5.7.`, `5.7.10` does not with `5.7.1`.
fn begins(status: &str, wanted: &str) -> bool {
    let rest = status.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || wanted.ends_with('.') || rest.starts_with('.'))
}

fn is_of(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A text in small letters with one blank between words, and no longer than is looked at.
fn normal(text: &str) -> String {
    let text = text.get(..text.floor_char_boundary(REPLY_OCTETS_MAX)).unwrap_or(text);
    let mut out = String::with_capacity(text.len());
    let mut blank = true;
    for c in text.chars() {
        match c {
            c if c.is_whitespace() || c == '\u{a0}' => {
                if !blank {
                    out.push(' ');
                }
                blank = true;
                continue;
            }
            '\u{2018}' | '\u{2019}' => out.push('\''),
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            c => out.extend(c.to_lowercase()),
        }
        blank = false;
    }
    out
}

/// What the enhanced status says (RFC 3463 3), or the code (RFC 5321 4.2.3), where no rule fits.
fn by_number(reply: &Reply<'_>) -> Reason {
    let telling = |status: &EnhancedStatus| status.class > 2 && status.subject != 0;
    let Some(status) = reply.status.filter(telling) else {
        return match reply.code {
            Some(421 | 450 | 451) => Reason::SystemError,
            Some(452) => Reason::SystemFull,
            Some(552) => Reason::MailboxFull,
            Some(500..=504) => Reason::SyntaxError,
            Some(530 | 535) => Reason::SecurityError,
            _ => Reason::Undefined,
        };
    };
    match (status.class, status.subject, status.detail) {
        (5, 1, 1 | 3) => Reason::UserUnknown,
        (_, 1, 2) => Reason::HostUnknown,
        (_, 1, 6) => Reason::HasMoved,
        (_, 1, 7 | 8) => Reason::Rejected,
        (_, 1, 10) => Reason::NotAccept,
        (_, 2, 1) => Reason::Suspend,
        (_, 2, 2) => Reason::MailboxFull,
        (_, 2, 3) => Reason::ExceedLimit,
        (_, 2, _) => Reason::Filtered,
        (_, 3, 1) => Reason::SystemFull,
        (_, 3, 4) => Reason::MessageTooBig,
        (_, 3, _) => Reason::SystemError,
        (_, 4, 4) => Reason::NetworkError,
        (_, 4, 7) => Reason::Expired,
        (_, 4, _) => Reason::NetworkError,
        (_, 5, 3) => Reason::TooManyConnections,
        (_, 5, _) => Reason::SyntaxError,
        (_, 6, _) => Reason::ContentError,
        (_, 7, 1) => Reason::Rejected,
        (_, 7, 20..=29) => Reason::AuthFailure,
        (_, 7, _) => Reason::PolicyViolation,
        _ => Reason::Undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> (Reason, Option<u32>) {
        let file = "authfailure\n  [5.7.26]\nspamdetected\n  [550 @b.example] spam\n  junk ~ mail\n\
                    userunknown\n  [data] no such\n  [rcpt] no such user\n  user\n";
        let rules = Rules::parse(file, "f").unwrap();
        let mut words = text.splitn(3, ' ');
        let (code, status) = (words.next().unwrap(), words.next().unwrap());
        let verdict = rules.classify(&Reply {
            code: code.parse().ok(),
            status: status.parse().ok(),
            text: words.next().unwrap(),
            host: "MX.b.example",
            phase: Some(Phase::Rcpt),
        });
        (verdict.reason, verdict.line)
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        assert_eq!(says("550 - No such\r\n\tUSER here"), (Reason::UserUnknown, Some(8)));
        assert_eq!(says("550 - spam from this user"), (Reason::SpamDetected, Some(4)));
        assert_eq!(says("554 - spam from this user"), (Reason::UserUnknown, Some(9)));
        assert_eq!(says("550 5.7.26 spam"), (Reason::AuthFailure, Some(2)));
        assert_eq!(says("550 - your mail is junk"), (Reason::Undefined, None));
        assert_eq!(says("550 - junk in your mail"), (Reason::SpamDetected, Some(5)));
    }

    #[test]
    fn without_a_rule_the_numbers_decide() {
        for (text, reason) in [
            ("550 5.1.1 x", Reason::UserUnknown),
            ("550 5.7.1 x", Reason::Rejected),
            ("550 5.7.260 x", Reason::PolicyViolation),
            ("452 - x", Reason::SystemFull),
            ("550 - x", Reason::Undefined),
            ("421 4.4.2 x", Reason::NetworkError),
        ] {
            assert_eq!(says(text), (reason, None), "{text}");
        }
    }

    #[test]
    fn the_rules_that_ship_are_rules() {
        let rules = Rules::shipped().unwrap();
        assert!(rules.len() > 500);
        let long = "user ".repeat(10_000);
        let reply = Reply { text: &long, ..Reply::default() };
        assert_eq!(rules.classify(&reply).reason, Reason::Undefined);
    }
}
