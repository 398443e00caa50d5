//! What operators see of waiting mail, and do with it.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::scripts::Scripts;
use crate::scripts::swaks;
use crate::support::process::wait_for;
use crate::support::tools::tool;
use crate::support::world::DOMAIN;

/// What a command of an operator prints, as JSON; also if it ends with 1, for nothing.
fn said(place: &Place, arguments: &[&str]) -> Value {
    let text = place.maily_may(arguments);
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn why(place: &Place, selector: &str) -> Value {
    let why = said(place, &["why", "--json", selector]);
    let causes = why["causes"].as_array().unwrap();
    let sum: u64 = causes.iter().map(|cause| cause["count"].as_u64().unwrap()).sum();
    assert_eq!(Some(sum), why["waiting"].as_u64(), "{why}");
    why
}

fn wait_for_cause(place: &Place, selector: &str, count: u64, name: &str) -> Value {
    let mut found = Value::Null;
    wait_for(name, || {
        let all = why(place, selector);
        let causes = all["causes"].as_array().unwrap();
        let held = |cause: &&Value| cause["cause"] == name && cause["count"] == count;
        found = causes.iter().find(held).cloned().unwrap_or_default();
        !found.is_null()
    });
    found
}

#[test]
fn why_names_the_reply_its_rule_and_what_to_do_and_retry_sends_it() {
    let place = Place::new(Behaviour::Greylist(Duration::from_secs(1)));
    place.inject(&mail(5));
    let cause = wait_for_cause(&place, "", 5, "remote:greylisted");
    let detail = cause["detail"].as_str().unwrap();
    assert!(detail.starts_with("450"), "{cause}");
    assert!(cause["where"].as_str().unwrap().contains(".rules:"), "{cause}");
    assert!(cause["remedy"].as_str().unwrap().contains("maily retry"), "{cause}");
    // The cause's own selector finds it again.
    let selector = cause["selector"].as_str().unwrap();
    assert_eq!(why(&place, selector)["waiting"], 5);
    assert_eq!(why(&place, "tenant=nobody")["waiting"], 0);
    assert_eq!(why(&place, &format!("domain={DOMAIN} and attempts=1 and age<1h"))["waiting"], 5);
    let text = place.maily(&["why"]);
    assert!(text.starts_with("5 waiting") && text.contains("remote:greylisted"), "{text}");
    wait_for("that it is not greylisted any more", || {
        place.maily_may(&["retry", &format!("domain={DOMAIN}"), "--json"]);
        place.world.kept(0).len() == 5
    });
    assert_eq!(why(&place, "")["waiting"], 0);
}

#[test]
fn a_suspension_outlives_kill_9_says_why_and_mail_goes_when_it_ends() {
    let mut place = Place::new(Behaviour::Accept);
    let domain = format!("domain={DOMAIN}");
    let given = said(&place, &["suspend", &domain, "--reason", "they asked us", "--json"]);
    assert_eq!((&given["state"], &given["future"]), (&json!("in_force"), &json!(true)));
    let id = given["id"].as_str().unwrap().to_owned();
    place.inject(&mail(3));
    let cause = wait_for_cause(&place, &domain, 3, "admin");
    assert!(cause["detail"].as_str().unwrap().contains("they asked us"), "{cause}");
    assert_eq!(cause["where"], id.as_str());
    place.crash();
    wait_for_cause(&place, "", 3, "admin");
    assert_eq!(place.world.kept(0).len(), 0, "nothing was sent");
    let view = place.ask_admin("GET", "/v1/views/queues?sort=-waiting&limit=5", None).json();
    let row = &view["rows"][0];
    assert_eq!(
        (&row["key"], &row["cells"][2], &row["cells"][4]),
        (&json!(DOMAIN), &json!(3), &json!(3))
    );
    let resumed = said(&place, &["resume", &domain, "--json"]);
    assert_eq!(resumed["done"], 1);
    assert_eq!(place.world.kept(3).len(), 3);
    let jobs = place.maily(&["jobs"]);
    assert!(jobs.contains(&format!("{id} ")) && jobs.contains("[undone]"), "{jobs}");
    let audit = place.ask_admin("GET", "/v1/views/audit", None).body;
    assert!(audit.contains("/v1/directives"), "{audit}");
}

#[test]
fn what_is_held_for_a_while_can_be_undone_and_else_is_given_up_with_a_report() {
    let place = Place::new(Behaviour::Accept);
    let domain = format!("domain={DOMAIN}");
    place.maily(&["suspend", "all", "--reason", "test"]);
    place.inject(&mail(4));
    wait_for_cause(&place, "", 4, "admin");
    let selector = format!("{domain} and age<1h");
    let would = said(&place, &["bounce", &selector, "--dry-run", "--json"]);
    assert_eq!((&would["state"], &would["matched"]), (&json!("dry_run"), &json!(4)));
    assert_eq!(would["samples"].as_array().unwrap().len(), 4);
    assert!(place.fails(&["bounce", &selector], 65).contains("say why"));
    let expected = ["bounce", &selector, "--reason", "x", "--expected", "2"];
    assert!(place.fails(&expected, 65).contains("by now 4"));
    let held = said(&place, &["bounce", &selector, "--reason", "wrong price", "--json"]);
    assert_eq!((&held["state"], &held["matched"]), (&json!("pending"), &json!(4)));
    let id = held["id"].as_str().unwrap();
    wait_for_cause(&place, "", 4, "admin");
    let undone = said(&place, &["undo", id, "--json"]);
    assert_eq!(undone["state"], "undone");
    assert!(place.fails(&["undo", id], 65).contains("ended already"));
    // One is given up at once, one is removed at once; the rest goes.
    let ids = said(&place, &["view", "messages", "--json"]);
    let ids: Vec<_> = ids["rows"].as_array().unwrap().iter().map(|row| &row["cells"][0]).collect();
    let of = |n: usize| format!("id={}", ids[n].as_str().unwrap());
    place.maily(&["bounce", &of(0), "--reason", "wrong price", "--window", "0s"]);
    place.maily(&["drop", &of(1), "--reason", "twice", "--window", "0s"]);
    wait_for("an end of both", || why(&place, &domain)["waiting"] == 2);
    // The report about it waits as all else does, though its domain has no route.
    wait_for_cause(&place, "domain=shop.example", 1, "admin");
    let trace = place.trace(ids[0].as_str().unwrap());
    assert!(trace.contains("given up by the operator: wrong price"), "{trace}");
    wait_for("a trace", || place.trace(ids[1].as_str().unwrap()).contains("removed: twice"));
    place.maily(&["resume", "all"]);
    wait_for("the rest", || place.world.kept(0).len() >= 2);
    wait_for("that it is done", || !place.maily(&["jobs"]).contains("[working"));
}

#[test]
fn what_a_plugin_holds_waits_over_kill_9_until_an_operator_lets_it_go() {
    let scripts = Scripts::new();
    let script = r#"fn on_accept(input) { hold("no unsubscribe link") }"#;
    scripts.put("lint", "[hooks]\non_accept = {}\n", script);
    let mut place = Place::with(Behaviour::Accept, &scripts.config());
    let reply = swaks(&place, &format!("ann@{DOMAIN}"), "hello");
    assert!(reply.contains("250 2.0.0 queued as"), "{reply}");
    wait_for_cause(&place, "", 1, "plugin");
    place.crash();
    wait_for_cause(&place, "", 1, "plugin");
    place.maily_may(&["retry", "all"]);
    wait_for_cause(&place, "", 1, "plugin");
    let released = said(&place, &["release", "all", "--json"]);
    assert_eq!(released["done"], 1);
    assert_eq!(place.world.kept(1).len(), 1);
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    let place = Place::new(Behaviour::Accept);
    let refused = |arguments: &[&str], words: &str| {
        let text = place.fails(arguments, 65);
        assert!(text.contains(words), "{arguments:?}: {text}");
    };
    refused(&["why", "sit=google"], "did you mean site?");
    refused(&["suspend", "age>1h", "--reason", "x"], "hold it");
    refused(&["move", "all", "--reason", "x"], "a pool is needed");
    refused(&["move", "all", "--reason", "x", "--pool", "none"], "there is no pool");
    refused(&["hold", "all", "--future", "--reason", "x"], "only bounce, drop, move");
    refused(&["undo", "d-99"], "no such directive");
    let viewer = place.maily(&["token", "create", "--role", "viewer"]);
    let viewer = viewer.lines().last().unwrap().trim().to_owned();
    let asked = |method: &str, path: &str, body: Option<&Value>| {
        place.ask_as(&viewer, method, path, body).status
    };
    assert_eq!(asked("GET", "/v1/why", None), 200);
    let body = json!({ "verb": "retry", "selector": "all" });
    assert_eq!(asked("POST", "/v1/directives", Some(&body)), 403);
    assert_eq!(place.ask("GET", "/v1/why", None).status, 403, "bound to a project");
}

#[test]
fn the_overview_and_views_are_told_and_followed() {
    let place = Place::new(Behaviour::Accept);
    place.maily_may(&["hold", "tenant=nobody", "--reason", "none of it"]);
    place.maily(&["suspend", &format!("domain={DOMAIN}"), "--reason", "later"]);
    place.inject(&mail(2));
    wait_for_cause(&place, "", 2, "admin");
    let top = said(&place, &["top", "--once", "--json"]);
    assert_eq!(
        (&top["waiting"], &top["attention"][0]["severity"]),
        (&json!(2), &json!("intended"))
    );
    assert!(top["resources"]["memory_octets"].as_u64().unwrap() > 1 << 20, "{top}");
    let views = place.ask_admin("GET", "/v1/views", None).json();
    for view in views.as_array().unwrap() {
        let path = format!("/v1/views/{}?limit=3", view["name"].as_str().unwrap());
        let window = place.ask_admin("GET", &path, None);
        assert_eq!(window.status, 200, "{path}: {window:?}");
        let columns = window.json()["columns"].as_array().unwrap().len();
        for row in window.json()["rows"].as_array().unwrap() {
            assert_eq!(row["cells"].as_array().unwrap().len(), columns, "{path}");
        }
    }
    let owner = place.owner();
    let url = format!("http://{}/v1/views/queues/stream?filter=waiting%3E0", place.api);
    let mut curl = Command::new(tool("curl"));
    curl.args(["-sN", "--max-time", "60", &url]);
    curl.args(["-H", &format!("Authorization: Bearer {owner}")]).stdout(Stdio::piped());
    let mut curl = curl.spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("event: window"));
    assert!(lines.next().unwrap().starts_with("data: {"));
    place.inject(&mail(1));
    // Each second the oldest is older, which is a change of its row, too.
    let waiting = lines.filter_map(|line| {
        let diff: Value = serde_json::from_str(line.strip_prefix("data: ")?).unwrap();
        let row = &diff["rows"][0];
        assert_eq!(row["key"], DOMAIN, "{diff}");
        row["cells"][2].as_u64()
    });
    assert!(waiting.take_while(|count| *count <= 3).any(|count| count == 3));
    curl.kill().unwrap();
    curl.wait().unwrap();
}

#[test]
fn a_limit_of_our_own_is_told_with_the_line_where_it_is_written() {
    let more = format!("[[site]]\nmatch = \"{DOMAIN}\"\nmessage_rate = \"1/h\"\n");
    let place = Place::with(Behaviour::Accept, &more);
    place.inject(&mail(3));
    let cause = wait_for_cause(&place, "", 2, "policy:rate");
    let (file, line) = cause["where"].as_str().unwrap().rsplit_once(':').unwrap();
    assert_eq!(file, place.config().display().to_string());
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().nth(line.parse::<usize>().unwrap() - 1);
    assert_eq!(line, Some("message_rate = \"1/h\""), "{cause}");
}

#[test]
fn who_follows_what_does_not_change_hears_that_the_line_is_good() {
    let place = Place::new(Behaviour::Accept);
    let url = format!("http://{}/v1/views/tokens/stream", place.api);
    let mut curl = Command::new(tool("curl"));
    curl.args(["-sN", "-H", &format!("Authorization: Bearer {}", place.owner()), &url]);
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line == "event: window"));
    let mut heard = lines.filter(|line| line.starts_with(':') || line.starts_with("event"));
    // The token that follows is noted as used: that is one change.
    let heard: Vec<_> = heard.by_ref().take(4).collect();
    assert!(heard.iter().filter(|line| *line == ":").count() >= 2, "{heard:?}");
    let _ended = (curl.kill(), curl.wait());
}
