//! Handing in mail: durable, once, bound late, in its time, and taken back.

use std::collections::BTreeMap;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;
use serde_json::json;

use crate::place::Place;
use crate::place::ids;
use crate::place::mail;
use crate::place::request;
use crate::place::soon;
use crate::support::process::wait_for;
use crate::support::world::DOMAIN;

/// How often each message came, by its subject.
fn subjects(place: &Place, count: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for kept in place.world.kept(count) {
        let message = String::from_utf8(kept.message).unwrap();
        let subject = message.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        *seen.entry(subject.to_owned()).or_default() += 1;
    }
    seen
}

#[test]
fn each_recipient_gets_a_mail_of_their_own_and_what_is_wrong_is_pointed_at() {
    let place = Place::new(Behaviour::Accept);
    let mut mail = mail(3);
    mail["recipients"][1]["email"] = json!("nobody");
    mail["list"] = json!("news");
    let said = place.ask("POST", "/v1/messages", Some(&mail));
    assert_eq!(said.status, 202, "{said:?}");
    let results = said.json();
    assert_eq!(results["results"][1]["error"]["pointer"], "/recipients/1/email");
    assert_eq!(ids(&said).len(), 2);
    let kept = place.world.kept(2);
    let texts: Vec<_> = kept.iter().map(|kept| String::from_utf8_lossy(&kept.message)).collect();
    for number in [0, 2] {
        let text = texts.iter().find(|text| text.contains(&format!("To: <r{number}@{DOMAIN}>")));
        let text = text.unwrap_or_else(|| panic!("no mail to {number}: {texts:?}"));
        assert!(text.contains(&format!("Subject: For No. {number}\r\n")), "{text}");
        assert!(text.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{text}");
        assert!(text.contains("Content-Type: text/plain"), "a text is derived: {text}");
    }
    wait_for("the log", || place.trace(&ids(&said)[0]).contains("delivered"));
    let trace = place.trace(&ids(&said)[0]);
    assert!(trace.contains("by HTTP") && trace.contains("delivered"), "{trace}");
    assert!(!trace.contains(&place.token), "a secret is in the log");
}

#[test]
fn a_request_that_nobody_can_be_sent_says_what_is_wrong_and_where() {
    let place = Place::new(Behaviour::Accept);
    let with = |change: fn(&mut serde_json::Value)| {
        let mut mail = mail(1);
        change(&mut mail);
        let said = place.ask("POST", "/v1/messages", Some(&mail));
        assert!(said.head.contains("application/problem+json"), "{said:?}");
        let pointer = said.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        (said.status, pointer)
    };
    let wrong = |pointer: &str| (422, pointer.to_owned());
    assert_eq!(with(|mail| mail["from"]["email"] = json!("x")), wrong("/from/email"));
    assert_eq!(with(|mail| mail["html"] = json!("{{ name")), wrong("/html"));
    assert_eq!(with(|mail| mail["recipients"] = json!([])), wrong("/recipients"));
    assert_eq!(with(|mail| mail["raw"] = json!("From: a@b\r\n\r\n")), wrong(""));
    assert_eq!(with(|mail| mail["send_at"] = json!("tomorrow")), wrong("/send_at"));
    let header = |name: &str, value: &str| json!([{ "name": name, "value": value }]);
    for (name, value) in [("X-A", "b\r\nBcc: c@d.example"), ("X-A", "\0"), ("Bcc", "c@d.example")] {
        let mut mail = mail(1);
        mail["headers"] = header(name, value);
        let said = place.ask("POST", "/v1/messages", Some(&mail));
        assert_eq!(said.status, 422, "{name}: {value:?}: {said:?}");
    }
    for member in ["/subject", "/from/name", "/recipients/0/name"] {
        let mut mail = mail(1);
        let (at, last) = member.rsplit_once('/').unwrap();
        mail.pointer_mut(at).unwrap()[last] = json!("a\r\nBcc: victim@sink.example");
        let said = place.ask("POST", "/v1/messages", Some(&mail));
        assert_eq!(said.status, 422, "{member}: {said:?}");
        assert_eq!(said.json()["errors"][0]["pointer"], member);
    }
    assert_eq!(place.world.ledger.taken().len(), 0, "nothing of it was sent");
}

#[test]
fn the_same_key_is_one_mailing_also_after_kill_9_in_the_middle() {
    const RECIPIENTS: usize = 400;
    let mut place = Place::new(Behaviour::Greylist(Duration::from_secs(2)));
    let mail = mail(RECIPIENTS);
    let body = mail.to_string();
    let mut answered = 0;
    for round in 0..6_u64 {
        let fields = format!(
            "Authorization: Bearer {}\r\nIdempotency-Key: spring\r\n\
             Content-Type: application/json\r\n",
            place.token
        );
        let (api, body) = (place.api, body.clone());
        let asking =
            std::thread::spawn(move || request(api, "POST", "/v1/messages", &fields, &body));
        std::thread::sleep(Duration::from_millis(round * 4));
        place.daemon.signal("KILL");
        place.daemon.ended();
        answered += usize::from(asking.join().unwrap().is_ok_and(|said| said.status == 202));
        place.restart();
    }
    let key = "Idempotency-Key: spring\r\n";
    let said = place.ask_with("POST", "/v1/messages", Some(&mail), key);
    assert_eq!(said.status, 202, "{said:?}");
    assert_eq!(ids(&said).len(), RECIPIENTS);
    println!("{answered} of 6 requests were answered before the kill");
    wait_for("all mail", || place.world.ledger.taken().len() >= RECIPIENTS);
    // What had been sent and not yet settled at a kill may come again, under the same id; a mail
    // with another id would be a second one.
    let taken = place.world.ledger.taken();
    assert_eq!(taken.len(), RECIPIENTS, "each recipient has one mail");
    let other = crate::place::mail(RECIPIENTS + 1);
    let said = place.ask_with("POST", "/v1/messages", Some(&other), key);
    assert_eq!(said.status, 422, "another request under the same key: {said:?}");
}

#[test]
fn a_request_that_was_answered_is_answered_again_whatever_has_changed_since() {
    let place = Place::new(Behaviour::Accept);
    let words = json!({ "subject": "Hello", "text": "Hello" });
    assert_eq!(place.ask("PUT", "/v1/templates/hello", Some(&words)).status, 201);
    let mail = json!({
        "from": { "email": "news@shop.example" },
        "template": { "name": "hello" },
        "recipients": [{ "email": format!("a@{DOMAIN}") }, { "email": "nobody" }],
    });
    let key = "Idempotency-Key: summer\r\n";
    let first = place.ask_with("POST", "/v1/messages", Some(&mail), key);
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(place.ask("DELETE", "/v1/templates/hello", None).status, 204);
    let again = place.ask_with("POST", "/v1/messages", Some(&mail), key);
    assert_eq!((again.status, again.json()), (202, first.json()));
    let other = place.ask("POST", "/v1/messages", Some(&mail));
    assert_eq!(other.json()["errors"][0]["pointer"], "/template/name", "{other:?}");
}

#[test]
fn a_project_sends_in_nobody_elses_name() {
    let place = Place::new(Behaviour::Accept);
    let own = json!({ "domains": ["shop.example"] });
    let refused = place.ask("PUT", "/v1/projects/shop/senders", Some(&own));
    assert_eq!(refused.status, 403, "not by itself: {refused:?}");
    place.maily(&["project", "senders", "shop", "shop.example"]);
    let from = |mail: &mut serde_json::Value, address: &str| mail["from"]["email"] = json!(address);
    let mut mail = mail(1);
    from(&mut mail, "news@mail.shop.example");
    assert_eq!(place.ask("POST", "/v1/messages", Some(&mail)).status, 202);
    from(&mut mail, "news@bank.example");
    let said = place.ask("POST", "/v1/messages", Some(&mail));
    assert_eq!((said.status, &said.json()["errors"][0]["pointer"]), (422, &json!("/from/email")));
    for author in ["news@bank.example", "=?utf-8?q?x?="] {
        let raw = json!({
            "from": { "email": "news@shop.example" },
            "raw": format!("From: {author}\r\nSubject: x\r\n\r\nhello\r\n"),
            "recipients": [{ "email": format!("a@{DOMAIN}") }],
        });
        let said = place.ask("POST", "/v1/messages", Some(&raw));
        assert_eq!((said.status, &said.json()["errors"][0]["pointer"]), (422, &json!("/raw")));
    }
}

#[test]
fn a_mended_template_reaches_mail_that_waits_if_it_is_bound_late_and_not_if_it_is_pinned() {
    let place = Place::new(Behaviour::Greylist(Duration::from_secs(3)));
    let store = |text: &str| {
        let words = json!({ "subject": text, "text": text });
        let said = place.ask("PUT", "/v1/templates/welcome", Some(&words));
        assert!(said.status < 300, "{said:?}");
    };
    store("Helo {{ name }}");
    for (bind, name) in [("pinned", "Pinned"), ("late", "Late")] {
        place.inject(&json!({
            "from": { "email": "news@shop.example" },
            "template": { "name": "welcome", "bind": bind },
            "recipients": [{ "email": format!("{bind}@{DOMAIN}"), "variables": { "name": name } }],
        }));
    }
    store("Hello {{ name }}");
    let seen = subjects(&place, 2);
    let expected = [("Hello Late".to_owned(), 1), ("Helo Pinned".to_owned(), 1)];
    assert_eq!(seen, BTreeMap::from(expected));
}

#[test]
fn mail_is_not_sent_before_its_time_and_can_be_taken_back_until_then() {
    let mut place = Place::new(Behaviour::Accept);
    let mut later = mail(3);
    later["send_at"] = json!("2099-01-01T00:00:00Z");
    assert_eq!(place.ask("POST", "/v1/messages", Some(&later)).status, 422, "too far ahead");
    later["send_at"] = json!(soon(120));
    later["campaign"] = json!("spring");
    let waiting = place.inject(&later);
    place.crash();
    let path = format!("/v1/messages/{}", waiting[0]);
    assert_eq!(place.ask("DELETE", &path, None).status, 204);
    assert_eq!(place.ask("DELETE", &path, None).status, 404, "it is gone");
    let said = place.ask("DELETE", "/v1/campaigns/spring/messages", None);
    assert_eq!(said.json()["cancelled"], 2, "{said:?}");
    place.inject(&mail(1));
    place.world.kept(1);
    assert_eq!(place.world.ledger.taken().len(), 1, "only what was not put off was sent");
    assert!(place.trace(&waiting[1]).contains("taken back by token:"));
}

#[test]
fn mail_of_a_tag_is_taken_back_also_when_it_was_tried_already() {
    let mut place = Place::new(Behaviour::Greylist(Duration::from_secs(4)));
    let tagged = |tag: &str| {
        let mut mail = mail(2);
        mail["tags"] = json!(["all", tag]);
        mail["subject"] = json!(format!("Of {tag}"));
        mail
    };
    let spring = place.inject(&tagged("spring"));
    place.inject(&tagged("summer"));
    wait_for("a first try", || place.trace(&spring[0]).contains("attempt 1"));
    assert_eq!(place.ask("DELETE", "/v1/tags/spring/messages", None).status, 202);
    place.crash();
    // What comes after that is not meant.
    let mut later = tagged("spring");
    later["subject"] = json!("Later");
    place.inject(&later);
    let seen = subjects(&place, 4);
    assert_eq!(seen, BTreeMap::from([("Of summer".to_owned(), 2), ("Later".to_owned(), 2)]));
    wait_for("its end", || spring.iter().all(|id| place.trace(id).contains("with all of the tag")));
}
