//! What was said about a recipient, put as the reply that it once was.

use crate::bounce::classify::Reply;
use crate::bounce::classify::Rules;
use crate::bounce::classify::Verdict;
use crate::bounce::phase::Phase;
use crate::mail::outcome::EnhancedStatus;

/// What is meant by what was said.
pub(super) fn judge(
    said: &str,
    status: Option<EnhancedStatus>,
    host: &str,
    phase: Option<Phase>,
    rules: &Rules,
) -> Verdict {
    // Numbers of addresses are less.
    let words = said.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 3);
    let code = words.filter_map(|word| word.parse().ok()).find(|code| (400..600).contains(code));
    rules.classify(&Reply { code, status, text: said, host, phase })
}

/// The status that says most: hosts that know none of their own write x.0.0, and the next host's
/// stands in what it said.
pub(super) fn telling(status: Option<EnhancedStatus>, said: &str) -> Option<EnhancedStatus> {
    let vague = |status: &EnhancedStatus| status.subject == 0 && status.detail == 0;
    match status {
        Some(status) if !vague(&status) => Some(status),
        vague => first_status(said).or(vague),
    }
}

/// The first enhanced status in a text.
pub(super) fn first_status(text: &str) -> Option<EnhancedStatus> {
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let parsed = words.filter_map(|word| word.trim_matches('.').parse().ok());
    parsed.into_iter().find(|status: &EnhancedStatus| [4, 5].contains(&status.class))
}

/// Which command was refused, as what was said tells it; else the dialog in the explanation.
pub(super) fn phase(said: &str, explanation: &str, address: &str) -> Option<Phase> {
    Phase::told(said).or_else(|| {
        let text = explanation.to_ascii_lowercase();
        let address = address.to_ascii_lowercase();
        let asked = |line: &str| {
            line.trim_start().starts_with(">>> rcpt") && line.contains(address.as_str())
        };
        if text.lines().any(asked) {
            return Some(Phase::Rcpt);
        }
        let sent = text.lines().any(|line| line.trim_start().starts_with(">>> data"));
        if sent { Some(Phase::Data) } else { Phase::told(&text) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_where_it_is_told() {
        let address = "ann@x.example";
        let told = |said: &str, text: &str| phase(said, text, address);
        assert_eq!(told("said: 550 no (in reply to RCPT TO command)", ""), Some(Phase::Rcpt));
        assert_eq!(told("error after end of data: 550 no", ""), Some(Phase::Data));
        let dialog = ">>> RCPT To:<Ann@x.example>\n<<< 550 no\n>>> DATA\n";
        assert_eq!(told("550 no", dialog), Some(Phase::Rcpt));
        assert_eq!(told("550 no", ">>> DATA\n<<< 550 no\n"), Some(Phase::Data));
        assert_eq!(told("550 no", "Sorry."), None);
    }

    #[test]
    fn the_status_of_the_last_host_says_more() {
        let status = |text: &str| text.parse().ok();
        assert_eq!(telling(status("5.0.0"), "550 5.2.2 full"), status("5.2.2"));
        assert_eq!(telling(status("4.0.0"), "no answer"), status("4.0.0"));
        assert_eq!(telling(status("5.4.1"), "550 5.1.1 x"), status("5.4.1"));
        assert_eq!(telling(None, "at 10.0.0.1"), None);
    }
}
