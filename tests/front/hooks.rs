//! Webhooks, received by the package of Standard Webhooks: signed, in order, tried again, set
//! aside, replayed; and refused where they would reach inside.

use std::path::PathBuf;
use std::process::Command;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::support::process::Running;
use crate::support::process::wait_for;
use crate::support::tools;

/// The pauses are short, and an event is given up soon.
const QUICK: &str = "[http.webhooks]\nallow_networks = [\"127.0.0.0/8\"]\ndelay_min = \"200ms\"\n\
                     delay_max = \"400ms\"\n";

/// A receiver that verifies what it gets.
struct Receiver {
    folder: tempfile::TempDir,
    _process: Running,
}

impl Receiver {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("status"), "200").unwrap();
        std::fs::write(folder.path().join("secrets"), "whsec_AAAA").unwrap();
        let mut command = Command::new(tools::tool("node"));
        command.arg(tools::root().join("tests/front/receiver.mjs"));
        command.args([tools::node_modules(), folder.path().to_owned()]);
        let process = Running(command.spawn().unwrap());
        let this = Self { folder, _process: process };
        wait_for("the receiver", || this.path("port").exists());
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        let port = std::fs::read_to_string(self.path("port")).unwrap();
        format!("http://127.0.0.1:{}/hook", port.trim())
    }

    fn answer(&self, status: &str) {
        std::fs::write(self.path("status"), status).unwrap();
    }

    fn know(&self, secrets: &[&str]) {
        std::fs::write(self.path("secrets"), secrets.join("\n")).unwrap();
    }

    /// What it got: status, id, and the type of event by each secret.
    fn got(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.path("got")).unwrap_or_default();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        text.lines().map(words).collect()
    }

    /// The ids of events that it took, in their order.
    fn taken(&self) -> Vec<String> {
        let got = self.got().into_iter();
        got.filter(|words| words[0] == "200").map(|words| words[1].clone()).collect()
    }
}

/// Makes a webhook; gives its path and its secret.
fn hook(place: &Place, url: &str) -> (String, String) {
    let said = place.ask("POST", "/v1/webhooks", Some(&json!({ "url": url })));
    assert_eq!(said.status, 201, "{said:?}");
    let made = said.json();
    let path = format!("/v1/webhooks/{}", made["webhook"]["id"].as_str().unwrap());
    wait_for("the webhook to begin", || shown(place, &path)["after"].is_string());
    (path, made["secret"].as_str().unwrap().to_owned())
}

fn shown(place: &Place, path: &str) -> Value {
    let said = place.ask("GET", path, None);
    assert_eq!(said.status, 200, "{said:?}");
    assert!(!said.body.contains("whsec_"), "{said:?}");
    said.json()
}

fn events(place: &Place) -> Vec<String> {
    let said = place.ask("GET", "/v1/events", None).json();
    let ids = said["data"].as_array().unwrap().iter();
    ids.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn events_come_signed_and_in_order_also_after_failures_and_kill_9() {
    let mut place = Place::with(Behaviour::Accept, QUICK);
    let receiver = Receiver::start();
    let (path, secret) = hook(&place, &receiver.url());
    receiver.know(&[&secret]);
    receiver.answer("500");
    place.inject(&mail(3));
    wait_for("three tries", || receiver.got().len() >= 3);
    let failing = shown(&place, &path);
    assert_eq!(failing["error"], "it answered 500");
    assert!(failing["failing_since"].is_string() && failing["next_try_at"].is_string());
    assert!(place.daemon.ask("/metrics").1.contains("maily_webhook_lag_seconds{webhook="));
    place.crash();
    receiver.answer("200");
    wait_for("all deliveries", || events(&place).len() == 6);
    wait_for("all events", || receiver.taken().len() >= 6);
    assert_eq!(receiver.taken(), events(&place), "in order, and none was missed");
    let got = receiver.got();
    let first = &got[0][1];
    assert!(got.iter().take(3).all(|words| words[1] == *first), "nothing overtakes: {got:?}");
    assert!(got.iter().all(|words| words[2].starts_with("message.")), "verified: {got:?}");
    // A new secret, and the old one for a while.
    let renewed = place.ask("POST", &format!("{path}/secret"), None).json();
    let new = renewed["secret"].as_str().unwrap();
    receiver.know(&[&secret, new, "whsec_AAAA"]);
    place.inject(&mail(1));
    wait_for("two more", || receiver.taken().len() >= 8);
    let last = receiver.got().pop().unwrap();
    assert_eq!(last[2..], ["message.delivered", "message.delivered", "wrong"]);
    // All of it once more.
    let replay = json!({ "after": "0" });
    let said = place.ask("POST", &format!("{path}/replay"), Some(&replay));
    assert_eq!(said.status, 204, "{said:?}");
    wait_for("all again", || receiver.taken().len() >= 16);
    assert_eq!(receiver.taken()[8..], events(&place));
}

#[test]
fn what_is_not_taken_in_all_its_time_is_set_aside_and_can_be_sent_again() {
    let quick = format!("{QUICK}give_up_after = \"500ms\"\n");
    let place = Place::with(Behaviour::Accept, &quick);
    let receiver = Receiver::start();
    let (path, secret) = hook(&place, &receiver.url());
    receiver.know(&[&secret]);
    receiver.answer("503");
    place.inject(&mail(1));
    let letters = || {
        let said = place.ask("GET", &format!("{path}/dead-letters"), None);
        said.json()["data"].as_array().unwrap().clone()
    };
    wait_for("both events to be set aside", || letters().len() == 2);
    receiver.answer("200");
    let letter = letters()[0].clone();
    assert_eq!(
        (&letter["error"], &letter["event"]["id"]),
        (&json!("it answered 503"), &letter["id"])
    );
    let id = letter["id"].as_str().unwrap();
    let again = format!("{path}/dead-letters/{id}/replay");
    assert_eq!(place.ask("POST", &again, None).status, 202);
    wait_for("one to be taken", || letters().len() == 1);
    assert_eq!(receiver.taken(), [id]);
    assert_eq!(place.ask("POST", &again, None).status, 404, "it is not there any more");
    receiver.answer("410");
    place.inject(&mail(1));
    wait_for("the end of it", || shown(&place, &path)["disabled"] == true);
    let got = receiver.got().len();
    place.inject(&mail(1));
    wait_for("all deliveries", || events(&place).len() == 6);
    receiver.answer("200");
    let on = json!({ "url": receiver.url() });
    assert_eq!(place.ask("PUT", &path, Some(&on)).status, 200);
    wait_for("what came meanwhile", || receiver.taken().len() == 5);
    assert_eq!(receiver.got().len(), got + 4, "nothing came while it was switched off");
    assert_eq!(place.ask("DELETE", &path, None).status, 204);
    assert_eq!(place.ask("GET", &path, None).status, 404);
}

#[test]
fn an_address_inside_is_refused_unless_it_is_listed() {
    let place = Place::new(Behaviour::Accept);
    let receiver = Receiver::start();
    let (path, _) = hook(&place, &receiver.url());
    place.inject(&mail(1));
    wait_for("a try", || shown(&place, &path)["error"].is_string());
    let error = shown(&place, &path)["error"].as_str().unwrap().to_owned();
    assert_eq!(error, "its address is one that must not be connected to");
    assert_eq!(receiver.got().len(), 0);
    for url in ["ftp://a.example/", "https://u:p@a.example/", "https:///"] {
        let said = place.ask("POST", "/v1/webhooks", Some(&json!({ "url": url })));
        assert_eq!(said.status, 422, "{url}: {said:?}");
    }
}
