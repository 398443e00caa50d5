//! What recipients did with a message, for `maily trace`: opened, clicked, unsubscribed.

use serde_json::{Value, json};

use maily_core::event::{Hit, SuppressionReason, Unsubscribed, UnsubscribedBy, Verdict};

use crate::command::life::Life;

/// Text from outside, for a terminal: nothing in it moves the cursor or begins a line.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// For whom a pixel or link was fetched, by whom, and why that is thought.
pub fn hit_text(life: &Life, hit: &Hit) -> String {
    let name = life.name(hit.recipient);
    let reasons =
        if hit.reasons.is_empty() { "nothing".to_owned() } else { hit.reasons.join(", ") };
    let early = if hit.before_delivered { ", before it was delivered" } else { "" };
    shown(&format!(
        "for {name} by {} ({reasons}) after {} s{early}: {} from {}, {}",
        verdict_word(hit.verdict),
        hit.age,
        hit.method,
        hit.network,
        hit.user_agent
    ))
}

/// The same as JSON.
pub fn hit_object(what: &str, life: &Life, hit: &Hit) -> Value {
    json!({
        "what": what,
        "recipient": life.name(hit.recipient),
        "verdict": verdict_word(hit.verdict),
        "reasons": hit.reasons,
        "method": hit.method,
        "user_agent": hit.user_agent,
        "network": hit.network,
        "age": hit.age,
        "before_delivered": hit.before_delivered,
    })
}

/// Who wants no more of what.
pub fn unsubscribed_text(told: &Unsubscribed) -> String {
    let list = if told.list.is_empty() { "all lists" } else { &told.list };
    let how = unsubscribed_word(told.how);
    shown(&format!("unsubscribed {} from {list} of {} by {how}", told.mailbox, told.project))
}

/// The same as JSON.
pub fn unsubscribed_object(told: &Unsubscribed) -> Value {
    json!({
        "what": "unsubscribed",
        "project": told.project,
        "list": told.list,
        "mailbox": told.mailbox.to_string(),
        "how": unsubscribed_word(told.how),
    })
}

/// Why somebody must not be written to.
pub const fn reason_word(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Unsubscribed => "unsubscribed",
        SuppressionReason::Complained => "complained",
        SuppressionReason::Bounced => "bounced",
        SuppressionReason::Operator => "operator",
    }
}

const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Human => "human",
        Verdict::Machine => "machine",
        Verdict::Unknown => "unknown",
    }
}

const fn unsubscribed_word(how: UnsubscribedBy) -> &'static str {
    match how {
        UnsubscribedBy::OneClick => "one-click",
        UnsubscribedBy::Page => "page",
        UnsubscribedBy::Mail => "mail",
        UnsubscribedBy::Api => "api",
    }
}
