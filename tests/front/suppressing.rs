//! Who is not written to, as operators and applications say it.

use std::process::Command;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::support::daemon::PASSWORD;
use crate::support::daemon::USER;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools::tool;
use crate::support::world::DOMAIN;

fn rows(place: &Place, query: &str) -> Vec<Value> {
    let said = place.ask("GET", &format!("/v1/suppressions{query}"), None);
    assert_eq!(said.status, 200, "{said:?}");
    said.json()["data"].as_array().unwrap().clone()
}

fn mail(to: &[&str], list: Option<&str>) -> Value {
    let recipients: Vec<_> = to.iter().map(|to| json!({ "email": to })).collect();
    json!({
        "from": { "email": "news@shop.example" }, "subject": "News", "text": "News.",
        "list": list, "recipients": recipients,
    })
}

#[test]
fn suppressions_hold_at_once_are_told_and_lifted_and_survive_kill_9() {
    let mut place = Place::new(Behaviour::Accept);
    let [ann, bob, cat] = ["ann", "bob", "cat"].map(|name| format!("{name}@{DOMAIN}"));
    let said = json!({ "recipients": [ann.to_uppercase()], "list": "news", "reason": "bounced" });
    assert_eq!(place.ask("POST", "/v1/suppressions", Some(&said)).status, 200);
    let said = json!({ "recipients": [bob], "until": "2099-01-01T00:00:00Z" });
    assert_eq!(place.ask("POST", "/v1/suppressions", Some(&said)).status, 200);
    let said = json!({ "recipients": [cat], "until": "2020-01-01T00:00:00Z" });
    assert_eq!(place.ask("POST", "/v1/suppressions", Some(&said)).status, 200);
    place.crash();
    let all = rows(&place, "");
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!((&all[2]["recipient"], &all[2]["list"]), (&json!(ann), &json!("news")));
    assert_eq!(all[0]["until"], "2099-01-01T00:00:00.000Z");
    assert_eq!(rows(&place, "?list=news").len(), 1);
    assert_eq!(rows(&place, "?recipient=bob%40"), all[..1]);
    let said = place.ask("GET", "/v1/suppressions?limit=1", None).json();
    let next = said["next"].as_str().unwrap();
    assert_eq!(rows(&place, &format!("?limit=2&after={next}")), all[1..]);
    // It is told at once, and again when its turn has come.
    let said = place.ask("POST", "/v1/messages", Some(&mail(&[&ann, &bob, &cat], Some("news"))));
    let results = said.json()["results"].clone();
    let told = |number: usize| (&results[number]["status"], &results[number]["suppressed"]);
    assert_eq!(told(0), (&json!("accepted"), &json!("bounced")));
    assert_eq!(told(1), (&json!("accepted"), &json!("operator")));
    assert_eq!(told(2), (&json!("accepted"), &Value::Null), "its time was over");
    let id = results[1]["id"].as_str().unwrap().to_owned();
    wait_for("an end", || place.trace(&id).contains("suppressed"));
    assert_eq!(place.world.kept(1).len(), 1);
    // Other lists, and whoever is written to again.
    place.inject(&mail(&[&ann], Some("offers")));
    assert_eq!(place.world.kept(2).len(), 2);
    let path = format!("/v1/suppressions/{bob}");
    assert_eq!(place.ask("DELETE", &path, None).status, 204);
    assert_eq!(place.ask("DELETE", &path, None).status, 404);
    assert_eq!(place.ask("DELETE", &format!("/v1/suppressions/{ann}"), None).status, 404);
    place.inject(&mail(&[&bob], None));
    assert_eq!(place.world.kept(3).len(), 3);
}

#[test]
fn what_is_wrong_is_named_and_then_nobody_is_suppressed() {
    let place = Place::new(Behaviour::Accept);
    let many = vec!["a@b.example"; 10_001];
    for (body, pointer) in [
        (json!({ "recipients": [] }), "/recipients"),
        (json!({ "recipients": many }), "/recipients"),
        (json!({ "recipients": ["a@b.example", "nobody"] }), "/recipients/1"),
        (json!({ "recipients": ["a@b.example"], "until": "tomorrow" }), "/until"),
        (json!({ "recipients": ["a@b.example"], "list": "x".repeat(64) }), "/list"),
    ] {
        let said = place.ask("POST", "/v1/suppressions", Some(&body));
        assert_eq!(
            (said.status, &said.json()["errors"][0]["pointer"]),
            (422, &json!(pointer)),
            "{said:?}"
        );
    }
    assert_eq!(rows(&place, "").len(), 0);
}

#[test]
fn operators_import_export_and_suppress_for_everybody() {
    let place = Place::new(Behaviour::Accept);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.csv");
    let lines: String = (0..25_000).map(|n| format!("r{n}@{DOMAIN},bounced\n")).collect();
    std::fs::write(&file, format!("email,reason\n{lines}")).unwrap();
    let said = place.maily(&["suppress", "import", file.to_str().unwrap(), "--project", "shop"]);
    assert!(said.contains("25000 are not written to"), "{said}");
    let out = place.maily(&["suppress", "export", "--project", "shop"]);
    assert_eq!(out.lines().count(), 25_001);
    assert!(out.contains(&format!("\nr24999@{DOMAIN},,bounced,")), "{}", &out[..300]);
    let json = place.maily(&["suppress", "export", "--project", "shop", "--format", "json"]);
    assert_eq!(json.lines().count(), 25_000);
    // What was exported can be imported elsewhere.
    let file = folder.path().join("all.jsonl");
    std::fs::write(&file, &json).unwrap();
    place.maily(&["project", "create", "other"]);
    let said = place.maily(&["suppress", "import", file.to_str().unwrap(), "--project", "other"]);
    assert!(said.contains("25000 are not written to"), "{said}");
    place.maily(&["suppress", "add", &format!("dan@{DOMAIN}")]);
    // Operators see those of all, everybody's first.
    let view = place.ask_admin("GET", "/v1/views/suppressions?sort=project&limit=1", None).json();
    assert_eq!(view["rows"][0]["cells"][0], format!("dan@{DOMAIN}"), "{view}");
    assert_eq!(view["total"], 20_000, "no more are drawn");
    let only = ["view", "suppressions", "project=shop and mailbox~r1234 and reason=bounced"];
    let said = place.maily(&only);
    assert!(said.contains(&format!("r12340@{DOMAIN}")) && !said.contains("dan@"), "{said}");
    let said = place.ask("POST", "/v1/messages", Some(&mail(&[&format!("dan@{DOMAIN}")], None)));
    assert_eq!(said.json()["results"][0]["suppressed"], "operator", "{said:?}");
    let said = place.maily(&["suppress", "check", &format!("dan@{DOMAIN}")]);
    assert!(said.contains("all mail: operator since"), "{said}");
    place.maily(&["suppress", "remove", &format!("dan@{DOMAIN}")]);
    let said = place.maily(&["suppress", "check", &format!("dan@{DOMAIN}")]);
    assert!(said.contains("nothing is known"), "{said}");
}

#[test]
fn who_is_written_to_by_nobody_gets_no_mail_by_smtp_and_the_sender_hears_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, PASSWORD).unwrap();
    let clerk = format!(
        "[[user]]\nname = \"clerk\"\npassword = {{ file = \"{}\" }}\ntenant = \"shop\"\n",
        path.display()
    );
    let place = Place::with(Behaviour::Accept, &clerk);
    let [ann, bob, writer] = ["ann", "bob", "writer"].map(|name| format!("{name}@{DOMAIN}"));
    place.maily(&["suppress", "add", &ann.to_uppercase()]);
    // Whoever logs in writes for their tenant.
    place.maily(&["suppress", "add", &bob, "--project", "shop"]);
    let send_as = |user: &str, to: &str| {
        let server = place.daemon.smtp.to_string();
        let mut swaks = Command::new(tool("swaks"));
        swaks.args(["--server", &server, "--from", &writer, "--to", to, "--tls"]);
        run(swaks.args(["--auth-user", user, "--auth-password", PASSWORD]));
    };
    let send = |to: &str| send_as(USER, to);
    let came = |count: usize, to: &str| {
        let kept = place.world.kept(count);
        let to = format!("RCPT TO:<{to}>");
        kept.into_iter().filter(|kept| kept.envelope.contains(&to)).collect::<Vec<_>>()
    };
    send(&format!("{ann},{bob}"));
    assert_eq!(came(2, &bob).len(), 1);
    let reports = came(2, &writer);
    let text = String::from_utf8_lossy(reports[0].body()).into_owned();
    for words in ["Status: 5.7.1", "suppressed for all your mail", &ann] {
        assert!(text.contains(words), "{words}: {text}");
    }
    send(&ann);
    assert_eq!(came(3, &writer).len(), 2);
    send_as("clerk", &bob);
    assert_eq!(came(4, &writer).len(), 3);
    // A report reaches also those who are not written to otherwise.
    place.maily(&["suppress", "add", &writer]);
    send(&ann);
    assert_eq!(came(5, &writer).len(), 4);
    assert_eq!((came(5, &ann).len(), came(5, &bob).len()), (0, 1), "whatever came");
    let metrics = place.daemon.ask("/metrics").1;
    assert!(metrics.contains("\nmaily_failures_total{reason=\"rejected\"} 4\n"), "{metrics}");
}
