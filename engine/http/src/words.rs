//! The words of the contract for what the log says. They stay when the names in the code change.

use maily_core::event::ReportKind;
use maily_core::event::SuppressionReason;
use maily_core::event::UnsubscribedBy;
use maily_core::event::Verdict;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;

pub(crate) const fn report(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Failed => "failed",
        ReportKind::Delayed => "delayed",
        ReportKind::Relayed => "relayed",
    }
}

pub(crate) const fn reason(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Unsubscribed => "unsubscribed",
        SuppressionReason::Complained => "complained",
        SuppressionReason::Bounced => "bounced",
        SuppressionReason::Operator => "operator",
    }
}

pub(crate) const fn unsubscribed(how: UnsubscribedBy) -> &'static str {
    match how {
        UnsubscribedBy::OneClick => "one_click",
        UnsubscribedBy::Page => "page",
        UnsubscribedBy::Mail => "mail",
        UnsubscribedBy::Api => "api",
    }
}

pub(crate) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Human => "human",
        Verdict::Machine => "machine",
        Verdict::Unknown => "unknown",
    }
}

pub(crate) const fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Bounced { .. } => "bounced",
        Outcome::InDoubt(_) => "in_doubt",
    }
}

pub(crate) const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Recipient => "recipient",
        Scope::Message => "message",
        Scope::Host => "host",
        Scope::Destination => "destination",
    }
}

pub(crate) const fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Peer => "peer",
        Blame::Network => "network",
        Blame::Us => "us",
        Blame::Config => "config",
    }
}
