//! What replies say of the lane that they came through: one source as seen by one site. Who says
//! that we are too fast, or that our address has a bad name, says it to the source, whatever the
//! code and the command; it is steered as a host that does not answer is: with fewer connections,
//! and a rest when all fail. Other sources and other sites go on.

use maily_core::bounce::classify::Rules;
use maily_core::bounce::reason::Class;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;

/// Has each outcome reach as far as its words say, heard from this host. What becomes of the
/// message does not change.
pub fn steer(rules: &Rules, host: &str, outcomes: &mut [(RecipientIndex, Outcome)]) {
    for (_, outcome) in outcomes {
        if let Some(scope) = reach(rules, host, outcome) {
            match outcome {
                Outcome::Deferred { scope: known, .. } | Outcome::Bounced { scope: known, .. } => {
                    *known = scope;
                }
                Outcome::Delivered(_) | Outcome::InDoubt(_) => {}
            }
        }
    }
}

/// How far a reply reaches, if its words say something else than its code.
fn reach(rules: &Rules, host: &str, outcome: &Outcome) -> Option<Scope> {
    outcome.diagnosis().code?;
    let verdict = rules.of_outcome(outcome, host)?;
    // Without a rule only numbers have spoken, and these have been heard.
    verdict.line?;
    match (verdict.reason.class(), outcome.scope()?) {
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
}
