//! What applications learn: events on pages and as a stream, each once, of their own project.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::ids;
use crate::place::mail;
use crate::place::request;
use crate::support::process::wait_for;

/// A stream of events, read as a browser reads it.
struct Follower {
    lines: BufReader<TcpStream>,
    last: String,
}

impl Follower {
    fn new(place: &Place, query: &str, last: &str) -> Self {
        let mut stream = TcpStream::connect(place.api).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // An empty one says that none was got yet.
        let field = format!("Last-Event-ID: {last}\r\n");
        let head = format!(
            "GET /v1/events/stream{query} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{field}\
             Authorization: Bearer {}\r\n\r\n",
            place.api, place.token,
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut this = Self { lines: BufReader::new(stream), last: last.to_owned() };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(this.lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        this
    }

    /// The next event; none when the stream ends.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            if let Some(id) = line.strip_prefix("id: ") {
                id.trim().clone_into(&mut self.last);
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(event["id"], self.last);
                return Some(event);
            }
        }
    }

    /// So many events of this type.
    fn until(&mut self, kind: &str, count: usize) -> Vec<Value> {
        let (mut seen, mut left) = (Vec::new(), count);
        while left > 0 {
            let event = self.next().unwrap();
            left -= usize::from(event["type"] == kind);
            seen.push(event);
        }
        seen
    }
}

/// All events on pages.
fn pages(place: &Place, token: &str, query: &str) -> Vec<Value> {
    let (mut events, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/events?limit=7{query}{after}");
        let field = format!("Authorization: Bearer {token}\r\n");
        let said = request(place.api, "GET", &path, &field, "").unwrap();
        assert_eq!(said.status, 200, "{said:?}");
        let page = said.json();
        events.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return events,
        }
    }
}

fn named(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

#[test]
fn each_project_sees_what_became_of_its_mail_and_nothing_else() {
    let place = Place::new(Behaviour::Accept);
    place.maily(&["project", "create", "other"]);
    let said = place.maily(&["token", "create", "--project", "other", "--role", "api"]);
    let other = said.lines().last().unwrap().trim().to_owned();
    let ours = place.inject(&mail(3));
    let body = mail(2).to_string();
    let fields = format!("Authorization: Bearer {other}\r\nContent-Type: application/json\r\n");
    let said = request(place.api, "POST", "/v1/messages", &fields, &body).unwrap();
    let theirs = ids(&said);
    assert_eq!(theirs.len(), 2);
    let delivered = |token: &str| pages(&place, token, "&type=message.delivered");
    wait_for("all deliveries", || {
        (delivered(&place.token).len(), delivered(&other).len()) == (3, 2)
    });
    for (token, project, ids) in [(&place.token, "shop", &ours), (&other, "other", &theirs)] {
        let events = pages(&place, token, "");
        assert_eq!(events.len(), 2 * ids.len(), "{events:?}");
        let mut messages = BTreeSet::new();
        for event in &events {
            assert_eq!((&event["project"], &event["schema"]), (&project.into(), &1.into()));
            let recipient = event["data"]["recipient"].as_str().unwrap();
            assert!(recipient.ends_with("@sink.example"), "{event}");
            messages.insert(event["data"]["message"].as_str().unwrap().to_owned());
        }
        assert_eq!(messages, ids.iter().cloned().collect());
    }
    let said = place.ask("GET", "/v1/events?after=99999999999999999999", None);
    assert_eq!(said.status, 400, "{said:?}");
    let said = place.ask("GET", "/v1/events?after=18446744073709551615", None);
    assert_eq!(said.status, 410, "{said:?}");
}

#[test]
fn what_was_said_beside_a_mail_is_in_all_that_is_told_of_it() {
    let mut place = Place::new(Behaviour::Greylist(Duration::from_secs(3)));
    let mut labelled = mail(1);
    labelled["tags"] = json!(["vip", "spring"]);
    labelled["meta"] = json!({ "order": "7", "a/b": "c" });
    let id = place.inject(&labelled).remove(0);
    let told = |place: &Place, kind: &str| {
        let found = pages(place, &place.token, &format!("&type=message.{kind}"));
        found.into_iter().map(|event| event["data"].clone()).collect::<Vec<_>>()
    };
    wait_for("a first try", || !told(&place, "deferred").is_empty());
    // Who begins here has not read of its acceptance: it is known from the mail that waits.
    place.crash();
    let mut follower = Follower::new(&place, "", "");
    let last = follower.until("message.delivered", 1).pop().unwrap();
    wait_for("its delivery", || !told(&place, "delivered").is_empty());
    // And here from the log.
    place.crash();
    let mut all = vec![last["data"].clone()];
    for kind in ["accepted", "deferred", "delivered"] {
        let found = told(&place, kind);
        assert!(!found.is_empty(), "{kind}");
        all.extend(found);
    }
    for data in all {
        assert_eq!((&data["message"], &data["tags"]), (&json!(id), &labelled["tags"]), "{data}");
        assert_eq!(data["meta"], labelled["meta"]);
    }
    assert!(place.trace(&id).contains("order=7"), "{}", place.trace(&id));
}

#[test]
fn who_comes_again_after_kill_9_misses_no_event_and_gets_none_twice() {
    let mut place = Place::new(Behaviour::Greylist(Duration::from_secs(2)));
    let mut follower = Follower::new(&place, "", "");
    place.inject(&mail(5));
    let mut seen = follower.until("message.deferred", 5);
    place.daemon.signal("KILL");
    place.daemon.ended();
    while let Some(event) = follower.next() {
        seen.push(event);
    }
    place.restart();
    let mut follower = Follower::new(&place, "", &follower.last);
    seen.extend(follower.until("message.delivered", 5));
    let whole = pages(&place, &place.token, "");
    assert_eq!(named(&seen), named(&whole));
    assert_eq!(seen, whole);
    assert_eq!(seen.iter().filter(|event| event["type"] == "message.accepted").count(), 5);
    // In the middle of all, and only of some types.
    let after = format!("?after={}&type=message.delivered", seen[2]["id"].as_str().unwrap());
    let delivered = Follower::new(&place, &after, "").until("message.delivered", 5);
    assert_eq!(named(&delivered), named(&pages(&place, &place.token, "&type=message.delivered")));
}

#[test]
fn a_stream_ends_with_the_daemon_and_with_its_token() {
    let mut place = Place::new(Behaviour::Accept);
    let said = place.maily(&["token", "create", "--project", "shop", "--role", "viewer"]);
    let token = said.lines().last().unwrap().trim().to_owned();
    let admin = std::mem::replace(&mut place.token, token.clone());
    let mut viewer = Follower::new(&place, "", "");
    place.token = admin;
    let mut follower = Follower::new(&place, "", "");
    let id = &token[8..19];
    assert_eq!(place.ask("DELETE", &format!("/v1/tokens/{id}"), None).status, 204);
    place.inject(&mail(1));
    assert_eq!(viewer.next(), None, "it is not shown what came after");
    follower.until("message.delivered", 1);
    place.daemon.signal("TERM");
    assert_eq!(follower.next(), None);
    assert!(place.daemon.ended().success(), "{}", place.daemon.log());
}
