//! What plugins are given of an event of the log, as JSON: the same for what happens now and for
//! what is replayed.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_core::mail::id::QueueId;
use maily_plugins::hook::Hook;

use crate::times;

/// The hooks whose input can be told from the log.
pub const HOOKS: [Hook; 6] = [
    Hook::OnEvent,
    Hook::OnBounce,
    Hook::OnComplaint,
    Hook::OnUnsubscribe,
    Hook::OnTrack,
    Hook::OnResponse,
];

/// The events of which the input of this hook is made; none of them if it is of none.
pub const fn types(hook: Hook) -> &'static [EventType] {
    match hook {
        Hook::OnEvent => &EventType::ALL,
        Hook::OnBounce => &[EventType::Bounced, EventType::Expired],
        Hook::OnComplaint => &[EventType::Complained],
        Hook::OnUnsubscribe => &[EventType::Unsubscribed],
        Hook::OnTrack => &[EventType::Opened, EventType::Clicked],
        Hook::OnResponse => &[EventType::Bounced, EventType::Deferred],
        _ => &[],
    }
}

/// What the hook is given of this event; none if it is not asked about it. `on_event` is given
/// batches: this is one of one event.
pub fn of(hook: Hook, event: &Event) -> Option<Value> {
    if !types(hook).contains(&event.kind) {
        return None;
    }
    match hook {
        Hook::OnEvent => Some(json!({ "events": [facts(event)] })),
        Hook::OnTrack => Some(json!({ "event": facts(event), "contact": contact(event) })),
        Hook::OnBounce => {
            let hard = event.data.get("hard").and_then(Value::as_bool) == Some(true);
            Some(report(event, if hard { "hard" } else { "soft" }))
        }
        Hook::OnComplaint => Some(report(event, text(event, "complaint").unwrap_or_default())),
        Hook::OnUnsubscribe => Some(report(event, text(event, "how").unwrap_or_default())),
        Hook::OnResponse => response(event),
        _ => None,
    }
}

/// An event as plugins see it: `type`, `id`, `time`, `project`, and all that belongs to its type.
pub fn facts(event: &Event) -> Map<String, Value> {
    let mut all = event.data.as_object().cloned().unwrap_or_default();
    for (name, value) in [
        ("id", Value::from(event.id.as_str())),
        ("type", Value::from(event.kind.name())),
        ("time", Value::from(event.time.as_str())),
        ("project", Value::from(event.project.clone())),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}

/// A text that belongs to an event.
pub(crate) fn text<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    event.data.get(name)?.as_str()
}

fn contact(event: &Event) -> Value {
    json!({ "email": text(event, "recipient").unwrap_or_default() })
}

fn report(event: &Event, kind: &str) -> Value {
    json!({
        "recipient": text(event, "recipient").unwrap_or_default(),
        "kind": kind,
        "status": text(event, "status"),
        "text": text(event, "text").unwrap_or_default(),
        "contact": contact(event),
        "message_id": text(event, "message"),
        "campaign": text(event, "campaign"),
    })
}

/// What a remote host answered; none if none did.
fn response(event: &Event) -> Option<Value> {
    let code = event.data.get("code")?.as_u64()?;
    let taken = text(event, "message").and_then(|id| id.parse::<QueueId>().ok());
    let at = times::parse(&event.time);
    let age = at.zip(taken).map_or(0, |(at, id)| at.since(id.made_at()).as_secs());
    Some(json!({
        "code": code,
        "status": text(event, "status"),
        "text": text(event, "text").unwrap_or_default(),
        "site": text(event, "site").unwrap_or_default(),
        "domain": text(event, "domain").unwrap_or_default(),
        "attempt": event.data.get("attempt").and_then(Value::as_u64).unwrap_or(1),
        "age": age,
    }))
}

#[cfg(test)]
mod tests {
    use maily_api::event::SCHEMA;

    use super::*;

    fn event(kind: EventType, data: Value) -> Event {
        let (id, project) = ("1-2".to_owned(), Some("shop".to_owned()));
        let time = "2026-11-27T12:00:00Z".to_owned();
        Event { id, schema: SCHEMA, kind, time, project, data }
    }

    #[test]
    fn each_hook_is_given_the_events_that_it_is_about_and_no_others() {
        let bounce = event(
            EventType::Bounced,
            json!({ "recipient": "ann@x.test", "hard": true, "status": "5.1.1", "text": "gone" }),
        );
        let input = of(Hook::OnBounce, &bounce).unwrap();
        assert_eq!((&input["kind"], &input["text"]), (&json!("hard"), &json!("gone")));
        assert_eq!(input["contact"]["email"], "ann@x.test");
        assert_eq!(of(Hook::OnTrack, &bounce), None);
        assert_eq!(of(Hook::OnResponse, &bounce), None, "no host answered");
        let facts = of(Hook::OnEvent, &bounce).unwrap();
        assert_eq!(facts["events"][0]["type"], "message.bounced");
        assert_eq!(facts["events"][0]["project"], "shop");
        for hook in Hook::all() {
            assert_eq!(!types(hook).is_empty(), HOOKS.contains(&hook), "{hook}");
        }
    }

    #[test]
    fn an_answer_of_a_host_is_told_with_how_old_the_message_was() {
        let id = QueueId::from_u64(0x0123_4567_89ab_cdef);
        let told = json!({
            "message": id.to_string(), "code": 451, "status": "4.7.1", "text": "later",
            "site": "mx.x.test", "domain": "x.test", "attempt": 3,
        });
        let mut event = event(EventType::Deferred, told);
        event.time = (id.made_at() + std::time::Duration::from_secs(90)).to_string();
        let input = of(Hook::OnResponse, &event).unwrap();
        assert_eq!((&input["code"], &input["attempt"]), (&json!(451), &json!(3)));
        assert_eq!(input["age"], 90);
    }
}
