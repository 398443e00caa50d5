//! What a record of the log says, as the contract says it: one event for each recipient.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_api::event::SCHEMA;
use maily_core::bounce::classify::Rules;
use maily_core::bounce::classify::Verdict;
use maily_core::bounce::reason::Permanence;
use maily_core::event::Accepted;
use maily_core::event::Attempt;
use maily_core::event::Attempted;
use maily_core::event::Hit;
use maily_core::event::Origin;
use maily_core::event::Returned;
use maily_core::event::What;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Settlement;
use maily_events::feed::Found;

use crate::event_id::EventId;
use crate::stories::Story;
use crate::words;

/// Whose the event is: what it says itself, or what is known of its message.
pub fn project<'a>(what: &'a What, story: Option<&'a Story>) -> Option<&'a str> {
    match what {
        What::Unsubscribed(told) => Some(&told.project),
        What::Tagged(told) => Some(&*told.project).filter(|name| !name.is_empty()),
        _ => story.and_then(|story| story.project.as_deref()),
    }
}

/// Whether one of the events of this record is of one of these types; of any if there are none.
pub fn fits(what: &What, types: &[EventType]) -> bool {
    let one = |kind| types.contains(&kind);
    types.is_empty()
        || match what {
            What::Accepted(_) => one(EventType::Accepted),
            What::Attempted(told) => told.recipients.iter().any(|each| one(settled(each))),
            What::Reported { .. } => one(EventType::Reported),
            What::Removed { .. } => one(EventType::Removed),
            What::Opened(_) => one(EventType::Opened),
            What::Clicked { .. } => one(EventType::Clicked),
            What::Unsubscribed(_) => one(EventType::Unsubscribed),
            What::Suppressed { .. } => one(EventType::Suppressed),
            What::Returned(told) => one(came_back(told)),
            What::Complained(_) => one(EventType::Complained),
            What::Tagged(_) => one(EventType::Tagged),
        }
}

/// All events of a record, with their ids. Replies are read by these rules.
pub fn tell(found: &Found, story: Option<&Story>, rules: &Rules) -> Vec<(EventId, Event)> {
    let teller = Teller { found, story, rules };
    match &found.event.what {
        What::Accepted(accepted) => teller.accepted(accepted),
        What::Attempted(attempted) => teller.attempted(attempted),
        What::Reported { report, kind, recipients } => {
            let told = recipients.iter().map(|recipient| {
                let more = json!({
                    "report": report.to_string(), "about": words::report(*kind),
                });
                (EventType::Reported, Some(*recipient), more)
            });
            teller.all(told)
        }
        What::Removed { reason } => {
            // It does not say whom it is about; with one recipient there is no doubt.
            let one = story.is_some_and(|story| story.recipients.len() == 1);
            let recipient = one.then_some(RecipientIndex(0));
            teller.all([(EventType::Removed, recipient, json!({ "reason": reason }))])
        }
        What::Opened(hit) => teller.all([(EventType::Opened, Some(hit.recipient), fetched(hit))]),
        What::Clicked { hit, link, url } => {
            let mut more = fetched(hit);
            extend(&mut more, json!({ "link": link, "url": url }));
            teller.all([(EventType::Clicked, Some(hit.recipient), more)])
        }
        What::Unsubscribed(told) => {
            let more = json!({
                "recipient": told.mailbox.to_string(),
                "list": told.list,
                "how": words::unsubscribed(told.how),
            });
            teller.all([(EventType::Unsubscribed, None, more)])
        }
        What::Suppressed { recipient, reason } => {
            let more = json!({ "reason": words::reason(*reason) });
            teller.all([(EventType::Suppressed, Some(*recipient), more)])
        }
        What::Returned(told) => {
            let more = json!({
                "by": "report",
                "status": told.status.map(|status| status.to_string()),
                "text": told.text,
                "reason": told.reason.word(),
                "hard": told.hard,
                "rule": told.rule,
                "known_as": told.address,
            });
            teller.all([(came_back(told), Some(told.recipient), more)])
        }
        What::Complained(told) => {
            let more = json!({ "complaint": told.kind, "by": told.by });
            teller.all([(EventType::Complained, Some(told.recipient), more)])
        }
        What::Tagged(told) => {
            let more = json!({
                "recipient": told.mailbox.to_string(),
                "about": told.about,
                "tags": told.tags,
                "suppress": told.suppress,
                "by": told.by,
            });
            teller.all([(EventType::Tagged, None, more)])
        }
    }
}

const fn settled(each: &Attempt) -> EventType {
    match each.settlement {
        Settlement::Done => EventType::Delivered,
        Settlement::Retry(_) => EventType::Deferred,
        Settlement::Bounce => EventType::Bounced,
        Settlement::Expire => EventType::Expired,
    }
}

const fn came_back(told: &Returned) -> EventType {
    if told.failed { EventType::Bounced } else { EventType::Deferred }
}

struct Teller<'a> {
    found: &'a Found,
    story: Option<&'a Story>,
    rules: &'a Rules,
}

impl Teller<'_> {
    /// The events of a record: a type, a recipient, and what else there is.
    fn all(
        &self,
        told: impl IntoIterator<Item = (EventType, Option<RecipientIndex>, Value)>,
    ) -> Vec<(EventId, Event)> {
        let event = &self.found.event;
        let project = project(&event.what, self.story);
        let numbered = (0_u32..).zip(told);
        let each = numbered.map(|(number, (kind, recipient, more))| {
            let id = EventId::of(self.found.start, number);
            let recipient = recipient.and_then(|index| self.story?.recipient(index));
            let mut data = json!({ "message": event.id.to_string(), "recipient": recipient });
            self.story.into_iter().for_each(|story| label(&mut data, story));
            extend(&mut data, more);
            let (time, project) = (event.at.to_string(), project.map(str::to_owned));
            (id, Event { id: id.to_string(), schema: SCHEMA, kind, time, project, data })
        });
        each.collect()
    }

    fn accepted(&self, accepted: &Accepted) -> Vec<(EventId, Event)> {
        let more = json!({
            "from": accepted.reverse_path.to_string(),
            "message_id": accepted.message_id,
            "octets": accepted.octets,
            "class": format!("{:?}", accepted.stream.class).to_lowercase(),
            "origin": origin(&accepted.origin),
        });
        let told = accepted.recipients.iter().map(|path| {
            let mut more = more.clone();
            extend(&mut more, json!({ "recipient": path.to_string() }));
            (EventType::Accepted, None, more)
        });
        self.all(told)
    }

    fn attempted(&self, attempted: &Attempted) -> Vec<(EventId, Event)> {
        let peer = attempted.peer.as_ref().map(|peer| {
            json!({
                "host": peer.host, "address": peer.address, "source": peer.source, "tls": peer.tls,
            })
        });
        let told = attempted.recipients.iter().map(|each| {
            let diagnosis = each.outcome.diagnosis();
            let next = match each.settlement {
                Settlement::Retry(at) => Some(at.to_string()),
                Settlement::Done | Settlement::Bounce | Settlement::Expire => None,
            };
            let more = json!({
                "attempt": attempted.attempt,
                "domain": attempted.domain.as_str(),
                "site": attempted.site,
                "peer": peer,
                "micros": attempted.micros,
                "outcome": words::outcome(&each.outcome),
                "scope": each.outcome.scope().map(words::scope),
                "next": next,
                "code": diagnosis.code,
                "status": diagnosis.status.to_string(),
                "text": diagnosis.text(),
                "blame": words::blame(diagnosis.blame),
            });
            let mut more = more;
            let host = attempted.peer.as_ref().map_or("", |peer| &*peer.host);
            if let Some(verdict) = self.rules.of_outcome(&each.outcome, host) {
                extend(&mut more, meant(&verdict, self.rules));
            }
            (settled(each), Some(each.recipient), more)
        });
        self.all(told)
    }
}

/// What a reply means, and which rule says so.
fn meant(verdict: &Verdict, rules: &Rules) -> Value {
    json!({
        "reason": verdict.reason.word(),
        "hard": verdict.permanence == Permanence::Hard,
        "rule": rules.place(verdict),
    })
}

/// What whoever handed the message in wants to find in all that is told of it.
fn label(data: &mut Value, story: &Story) {
    if !story.campaign.is_empty() {
        extend(data, json!({ "campaign": story.campaign }));
    }
    if !story.labels.tags.is_empty() {
        extend(data, json!({ "tags": story.labels.tags }));
    }
    if !story.labels.meta.is_empty() {
        let meta = story.labels.meta.iter().map(|(k, v)| (k.to_string(), v.to_string().into()));
        extend(data, json!({ "meta": meta.collect::<Map<_, _>>() }));
    }
}

fn origin(origin: &Origin) -> Value {
    match origin {
        Origin::Smtp { client, user, tls, .. } => {
            json!({ "by": "smtp", "client": client, "user": user, "tls": tls })
        }
        Origin::Report(id) => json!({ "by": "report", "about": id.to_string() }),
        Origin::Http { client, token, .. } | Origin::HttpLabelled { client, token, .. } => {
            json!({ "by": "http", "client": client, "token": token })
        }
    }
}

fn fetched(hit: &Hit) -> Value {
    json!({
        "verdict": words::verdict(hit.verdict),
        "reasons": hit.reasons,
        "method": hit.method,
        "user_agent": hit.user_agent,
        "network": hit.network,
        "age": hit.age,
        "before_delivered": hit.before_delivered,
    })
}

/// What is said last holds.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend::<Map<_, _>>(more);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use maily_core::clock::Timestamp;
    use maily_core::event;
    use maily_core::event::Labels;
    use maily_core::event::SuppressionReason;
    use maily_core::mail::address::Domain;
    use maily_core::mail::id::QueueId;
    use maily_core::mail::outcome::Blame;
    use maily_core::mail::outcome::Diagnosis;
    use maily_core::mail::outcome::EnhancedStatus;
    use maily_core::mail::outcome::Outcome;
    use maily_core::mail::outcome::Scope;
    use maily_events::cursor::Cursor;

    use super::*;

    fn found(what: What) -> Found {
        let event = event::Event { at: Timestamp::from_secs(60), id: QueueId::from_u64(7), what };
        Found { start: Cursor::from_u64(100), end: Cursor::from_u64(200), event }
    }

    fn story() -> Story {
        let recipients = ["a@x.example", "b@x.example"].map(Into::into).into();
        let meta = vec![("order".into(), "7".into())];
        let labels = Arc::new(Labels { tags: vec!["vip".into()], meta });
        Story { project: Some("shop".into()), campaign: "spring".into(), recipients, labels }
    }

    fn attempted() -> What {
        let said = |code, class| Diagnosis::reply(code, EnhancedStatus::new(class, 1, 1), "said");
        let bounced = Outcome::Bounced { scope: Scope::Recipient, diagnosis: said(550, 5) };
        let attempt = |index, outcome, settlement| Attempt {
            recipient: RecipientIndex(index),
            outcome,
            settlement,
        };
        What::Attempted(Box::new(Attempted {
            domain: Domain::parse("x.example").unwrap(),
            site: "mx.x.example".into(),
            attempt: 1,
            peer: None,
            micros: 5,
            recipients: vec![
                attempt(1, bounced, Settlement::Bounce),
                attempt(0, Outcome::Delivered(said(250, 2)), Settlement::Done),
            ],
        }))
    }

    #[test]
    fn a_record_tells_of_each_recipient_with_an_id_of_its_own() {
        let story = story();
        let told = tell(&found(attempted()), Some(&story), &Rules::shipped().unwrap());
        let seen: Vec<_> = told
            .iter()
            .map(|(id, event)| {
                assert_eq!(event.id, id.to_string());
                assert_eq!((event.project.as_deref(), event.schema), (Some("shop"), SCHEMA));
                assert_eq!(event.data["campaign"], "spring");
                assert_eq!(event.data["tags"], json!(["vip"]));
                assert_eq!(event.data["meta"], json!({ "order": "7" }));
                (&*event.id, event.kind, event.data["recipient"].as_str().unwrap())
            })
            .collect();
        let (bounced, delivered) = (EventType::Bounced, EventType::Delivered);
        let expected = [("100-0", bounced, "b@x.example"), ("100-1", delivered, "a@x.example")];
        assert_eq!(seen, expected);
        assert_eq!(told[0].1.data["code"], 550);
        assert_eq!(told[0].1.data["scope"], "recipient");
        assert_eq!(told[0].1.data["reason"], "userunknown", "by 5.1.1");
        assert_eq!(
            (&told[0].1.data["hard"], &told[1].1.data["hard"]),
            (&json!(true), &Value::Null)
        );
        assert!(fits(&found(attempted()).event.what, &[EventType::Delivered]));
        assert!(!fits(&found(attempted()).event.what, &[EventType::Deferred]));
        assert_eq!(words::blame(Blame::Us), "us");
    }

    #[test]
    fn without_a_story_nothing_is_made_up() {
        let what =
            What::Suppressed { recipient: RecipientIndex(0), reason: SuppressionReason::Bounced };
        let told = tell(&found(what), None, &Rules::shipped().unwrap());
        assert_eq!(
            (told[0].1.project.as_deref(), &told[0].1.data["recipient"]),
            (None, &Value::Null)
        );
        assert_eq!(told[0].1.data["reason"], "bounced");
        let other = tell(
            &found(What::Removed { reason: "x".into() }),
            Some(&story()),
            &Rules::shipped().unwrap(),
        );
        assert_eq!(other[0].1.data["recipient"], Value::Null, "one of two, and which is not said");
    }
}
