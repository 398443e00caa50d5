//! What replies say of the lane that they came through: one source as seen by one site. Who says
//! that we are too fast, or that our address has a bad name, says it to the source, whatever the
//! code and the command; it is steered as a host that does not answer is: with fewer connections,
//! and a rest when all fail. Other sources and other sites go on.

use std::time::Duration;

use maily_core::bounce::classify::Rules;
use maily_core::bounce::reason::Class;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::queue::remark::Kind;
use maily_core::queue::remark::Remark;

/// The least and the longest time that a host is believed when it says how long to wait.
const WAIT_MIN: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_secs(4 * 3_600);

/// Has each outcome reach as far as its words say, heard from this host. What becomes of the
/// message does not change. Gives how long to wait before the next try, where the host says so.
pub fn steer(
    rules: &Rules,
    host: &str,
    outcomes: &mut [(RecipientIndex, Outcome)],
) -> Option<Duration> {
    let mut wait = None;
    for (_, outcome) in outcomes {
        let Some(class) = class(rules, host, outcome) else { continue };
        if matches!(class, Class::RateLimited | Class::Greylisted) {
            wait = wait.max(told(outcome.diagnosis().text()));
        }
        if let Some(scope) = reach(class, outcome) {
            match outcome {
                Outcome::Deferred { scope: known, .. } | Outcome::Bounced { scope: known, .. } => {
                    *known = scope;
                }
                Outcome::Delivered(_) | Outcome::InDoubt(_) => {}
            }
        }
    }
    wait
}

/// What is said of a message that has to be tried again, with the rule that reads it.
pub fn remark(rules: &Rules, host: &str, outcomes: &[(RecipientIndex, Outcome)]) -> Option<Remark> {
    let deferred = |outcome: &&Outcome| matches!(outcome, Outcome::Deferred { .. });
    let outcome = outcomes.iter().map(|(_, outcome)| outcome).find(deferred)?;
    outcome.diagnosis().code?;
    let verdict = rules.of_outcome(outcome, host)?;
    Some(Remark {
        kind: Kind::Remote(verdict.reason.class()),
        text: outcome.diagnosis().to_string().into(),
        place: rules.place(&verdict).into(),
    })
}

/// What a reply is about, if a rule says so. Without one only numbers have spoken, and these have
/// been heard.
fn class(rules: &Rules, host: &str, outcome: &Outcome) -> Option<Class> {
    outcome.diagnosis().code?;
    let verdict = rules.of_outcome(outcome, host)?;
    verdict.line.map(|_| verdict.reason.class())
}

/// How long to wait, as a host says it: `try again in 300 seconds`, `retry after 5 minutes`.
fn told(text: &str) -> Option<Duration> {
    let words: Vec<_> = text.split([' ', ',', ';', '(', ')', '.']).collect();
    words.windows(3).find_map(|words| {
        let [before, number, unit] = words else { return None };
        let before = before.to_ascii_lowercase();
        if !["in", "after", "for", "wait", "within", "least"].contains(&&*before) {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        let unit = unit.to_ascii_lowercase();
        let seconds = match unit.get(..3).unwrap_or(&unit) {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" | "hou" => 3_600,
            _ => return None,
        };
        Some(Duration::from_secs(number.checked_mul(seconds)?).clamp(WAIT_MIN, WAIT_MAX))
    })
}

/// How far a reply reaches, if its words say something else than its code.
fn reach(class: Class, outcome: &Outcome) -> Option<Scope> {
    match (class, outcome.scope()?) {
        (Class::RateLimited | Class::Reputation, Scope::Recipient | Scope::Message) => {
            Some(Scope::Host)
        }
        // RFC 6647: that is how a healthy host answers.
        (Class::Greylisted, Scope::Host | Scope::Destination)
            if matches!(outcome, Outcome::Deferred { .. }) =>
        {
            Some(Scope::Recipient)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use maily_core::mail::outcome::Diagnosis;
    use maily_core::mail::outcome::EnhancedStatus;

    use super::*;

    fn steered(scope: Scope, code: u16, status: &str, text: &str) -> Outcome {
        let status: EnhancedStatus = status.parse().unwrap();
        let diagnosis = Diagnosis::reply(code, status, text);
        let outcome = match status.class {
            5 => Outcome::Bounced { scope, diagnosis },
            _ => Outcome::Deferred { scope, diagnosis },
        };
        let mut outcomes = [(RecipientIndex(0), outcome)];
        steer(&Rules::shipped().unwrap(), "mx.example", &mut outcomes);
        outcomes[0].1.clone()
    }

    #[test]
    fn who_finds_us_too_fast_or_ill_famed_slows_the_source_and_nothing_else_does() {
        let rate = "Our system has detected an unusual rate of unsolicited mail originating from \
                    your IP address";
        let host = |scope, code, status, text| steered(scope, code, status, text).scope();
        assert_eq!(host(Scope::Message, 421, "4.7.28", rate), Some(Scope::Host));
        let listed = "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org";
        let bounced = steered(Scope::Recipient, 554, "5.7.1", listed);
        assert!(matches!(bounced, Outcome::Bounced { scope: Scope::Host, .. }), "{bounced:?}");
        for (code, status, text) in [
            (550, "5.1.1", "no such user"),
            (452, "4.2.2", "mailbox full"),
            (550, "5.7.1", "this message looks like spam"),
            (451, "4.3.0", "something that no rule knows"),
        ] {
            assert_eq!(
                host(Scope::Recipient, code, status, text),
                Some(Scope::Recipient),
                "{text}"
            );
        }
    }

    #[test]
    fn greylisting_is_no_failure_of_the_host() {
        let text = "Greylisted, please try again in 300 seconds";
        let outcome = steered(Scope::Host, 421, "4.7.1", text);
        assert_eq!(outcome.scope(), Some(Scope::Recipient));
    }

    #[test]
    fn a_host_that_says_how_long_to_wait_is_believed_within_bounds() {
        let wait = |text| told(text).map(|wait| wait.as_secs());
        assert_eq!(wait("Greylisted, please try again in 300 seconds"), Some(300));
        assert_eq!(wait("retry after 5 minutes."), Some(300));
        assert_eq!(wait("wait at least 2 hours, please"), Some(7_200));
        assert_eq!(wait("try again in 1 s"), Some(10));
        assert_eq!(wait("come back in 99999999999999999999 hours"), None);
        assert_eq!(wait("come back in 9999999999999 hours"), Some(4 * 3_600));
        for text in ["", "in 5", "after 3 tries", "in two minutes", "5 minutes"] {
            assert_eq!(wait(text), None, "{text}");
        }
    }
}
