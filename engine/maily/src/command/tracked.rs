//! What recipients did with a message, for `maily trace`: opened, clicked, unsubscribed,
//! complained; and what came back of it.

use serde_json::{Value, json};

use maily_core::event::{
    Complained, Hit, Returned, SuppressionReason, Unsubscribed, UnsubscribedBy, Verdict,
};

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

/// What a host reported later of a message that it had taken.
pub fn returned_text(life: &Life, told: &Returned) -> String {
    let what = if told.failed { "came back" } else { "is late" };
    let status = told.status.map_or_else(String::new, |status| format!("{status} "));
    let hard = if told.hard { "hard" } else { "soft" };
    let rule = if told.rule.is_empty() { "no rule" } else { &told.rule };
    let name = life.name(told.recipient);
    shown(&format!("{what} {name}: {status}{} ({hard} {}, {rule})", told.text, told.reason))
}

/// The same as JSON.
pub fn returned_object(life: &Life, told: &Returned) -> Value {
    json!({
        "what": if told.failed { "returned" } else { "delayed" },
        "recipient": life.name(told.recipient),
        "status": told.status.map(|status| status.to_string()),
        "text": told.text,
        "reason": told.reason.word(),
        "hard": told.hard,
        "rule": told.rule,
        "known_as": told.address,
    })
}

/// Who complained, and to whom.
pub fn complained_text(life: &Life, told: &Complained) -> String {
    let name = life.name(told.recipient);
    shown(&format!("complained {name}: {} (by {})", told.kind, told.by))
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

#[cfg(test)]
mod tests {
    use maily_core::mail::address::Mailbox;
    use maily_core::mail::envelope::RecipientIndex;
    use maily_core::mail::id::QueueId;

    use super::*;

    fn hit(user_agent: &str) -> Hit {
        Hit {
            recipient: RecipientIndex(0),
            method: "GET".into(),
            user_agent: user_agent.into(),
            network: [192, 0, 2, 0].into(),
            age: 3,
            before_delivered: true,
            verdict: Verdict::Machine,
            reasons: vec!["early".into(), "all-links".into()],
        }
    }

    #[test]
    fn a_hit_is_one_line_whatever_the_client_says_of_itself() {
        let life = Life { id: QueueId::from_u64(1), events: Vec::new(), reports: Vec::new() };
        assert_eq!(
            hit_text(&life, &hit("curl\r\n\u{1b}[2J")),
            "for recipient 0 by machine (early, all-links) after 3 s, before it was delivered: \
             GET from 192.0.2.0, curl???[2J"
        );
        let object = hit_object("opened", &life, &hit("x"));
        assert_eq!((&object["what"], &object["verdict"]), (&json!("opened"), &json!("machine")));
    }

    #[test]
    fn who_unsubscribed_from_what_is_told() {
        let told = |list: &str| Unsubscribed {
            project: "shop".into(),
            list: list.into(),
            mailbox: Mailbox::parse("ann@example.net").unwrap(),
            how: UnsubscribedBy::OneClick,
        };
        let of = |list| unsubscribed_text(&told(list));
        assert_eq!(of("news"), "unsubscribed ann@example.net from news of shop by one-click");
        assert!(of("").contains("from all lists of shop"));
        assert_eq!(unsubscribed_object(&told("news"))["how"], "one-click");
    }
}
