//! Versions of a plugin under a running daemon: one is tried on a part of all and promoted, one is
//! rolled back; a plugin rests and comes back; a reload under load loses nothing.

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::place::request;
use crate::scripts::Scripts;
use crate::scripts::swaks;
use crate::support::client;
use crate::support::process::wait_for;
use crate::support::tools;
use crate::support::world::DOMAIN;

const HOOK: &str = "[hooks]\non_personalize = {}\n";

fn greeting(subject: &str) -> String {
    format!("fn on_personalize(input) {{ #{{ subject: \"{subject}\" }} }}")
}

/// Mails to so many people; gives who read the second version, and checks that the others read the
/// first.
fn readers_of_the_second(place: &Place, count: usize, before: &mut usize) -> Vec<String> {
    place.inject(&mail(count));
    let kept = place.world.kept(*before + count).split_off(*before);
    *before += count;
    let mut second = Vec::new();
    for kept in kept {
        let text = String::from_utf8_lossy(&kept.message).into_owned();
        if text.contains("Subject: two\r\n") {
            let to = text.split("To: ").nth(1).unwrap().split("\r\n").next().unwrap();
            second.push(to.to_owned());
        } else {
            assert!(text.contains("Subject: one\r\n"), "{text}");
        }
    }
    second.sort();
    second
}

/// The plugin `greeter`, as the API shows it.
fn shown(place: &Place, owner: &str) -> Value {
    let fields = format!("Authorization: Bearer {owner}\r\n");
    let said = request(place.api, "GET", "/v1/plugins", &fields, "").unwrap();
    said.json()["data"][0].clone()
}

#[test]
fn a_version_is_tried_on_some_and_promoted_and_another_is_rolled_back() {
    let scripts = Scripts::new();
    scripts.put("greeter", HOOK, &greeting("one"));
    scripts.put_version("greeter@next", "2.0.0", HOOK, &greeting("two"));
    let mut place = Place::with(Behaviour::Accept, &scripts.config());
    let owner = place.owner();
    let mut taken = 0;
    assert!(readers_of_the_second(&place, 20, &mut taken).is_empty());
    let said = place.maily(&["plugin", "stage", "greeter@next", "--percent", "40"]);
    assert_eq!(said, "greeter@1.0.0, next tried on 40 %\n");
    let some = readers_of_the_second(&place, 60, &mut taken);
    assert!((10..40).contains(&some.len()), "{some:?}");
    // Both are counted by themselves.
    let plugin = shown(&place, &owner);
    assert_eq!(plugin["trial"]["percent"], 40);
    let calls: Vec<_> = plugin["hooks"].as_array().unwrap().iter().map(|h| &h["calls"]).collect();
    assert_eq!(calls, [&json!(20 + 60 - some.len()), &json!(some.len())]);
    let line = format!(
        "maily_plugin_calls_total{{plugin=\"greeter@2.0.0\",hook=\"on_personalize\"}} {}",
        some.len()
    );
    assert!(place.daemon.ask("/metrics").1.contains(&line));
    // The same ones after a crash: it was on disk.
    place.crash();
    assert_eq!(readers_of_the_second(&place, 60, &mut taken), some);
    assert_eq!(place.maily(&["plugin", "rollback", "greeter"]), "greeter@1.0.0\n");
    assert!(readers_of_the_second(&place, 20, &mut taken).is_empty());
    place.maily(&["plugin", "stage", "greeter@next", "--percent", "1"]);
    assert_eq!(place.maily(&["plugin", "promote", "greeter"]), "greeter@2.0.0\n");
    place.crash();
    assert_eq!(readers_of_the_second(&place, 20, &mut taken).len(), 20);
    let told = place.maily(&["plugin", "status"]);
    assert!(told.contains("on_personalize used@2.0.0 calls 20, failed 0"), "{told}");
    assert_eq!(place.maily(&["plugin", "rollback", "greeter"]), "greeter@1.0.0\n");
    assert_eq!(place.maily(&["plugin", "disable", "greeter"]), "greeter, disabled\n");
    place.inject(&mail(1));
    let kept = place.world.kept(taken + 1).pop().unwrap().message;
    assert!(String::from_utf8_lossy(&kept).contains("Subject: For No. 0\r\n"), "as written");
    let fields = format!("Authorization: Bearer {owner}\r\n");
    let audit = request(place.api, "GET", "/v1/audit?limit=1000", &fields, "").unwrap();
    assert!(audit.body.contains("/v1/plugins/greeter/promote"), "{}", audit.body);
}

#[test]
fn a_version_that_is_wrong_is_refused_with_its_line_and_changes_nothing() {
    let scripts = Scripts::new();
    scripts.put("greeter", HOOK, &greeting("one"));
    scripts.put_version("greeter@next", "2.0.0", HOOK, "fn on_personalize(input) { #{ ");
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let owner = place.owner();
    let ask = |method: &str, path: &str, body: Value| {
        let fields = format!("Authorization: Bearer {owner}\r\nContent-Type: application/json\r\n");
        let said = request(place.api, method, path, &fields, &body.to_string());
        let said = said.unwrap();
        (said.status, said.json()["detail"].as_str().unwrap_or_default().to_owned())
    };
    let trial = |version: &str| json!({ "version": version, "percent": 10 });
    let (status, detail) = ask("PUT", "/v1/plugins/greeter/trial", trial("next"));
    assert!(status == 409 && detail.contains("main.rhai:1:"), "{status} {detail}");
    assert_eq!(ask("PUT", "/v1/plugins/greeter/trial", trial("none")).0, 422);
    assert_eq!(ask("PUT", "/v1/plugins/greeter/trial", trial("../x")).0, 422);
    assert_eq!(ask("PUT", "/v1/plugins/nobody/trial", trial("next")).0, 404);
    let (status, detail) = ask("POST", "/v1/plugins/greeter/promote", Value::Null);
    assert!(status == 409 && detail.contains("no version of it is tried"), "{status} {detail}");
    // A token of a project may not, whatever its role.
    let said = place.ask("PUT", "/v1/plugins/greeter", Some(&json!({ "enabled": false })));
    assert_eq!(said.status, 403);
    assert_eq!(shown(&place, &owner)["trial"], Value::Null);
    assert!(readers_of_the_second(&place, 5, &mut 0).is_empty());
}

#[test]
fn a_plugin_rests_after_failures_and_comes_back() {
    let scripts = Scripts::new();
    let manifest = "[hooks]\non_accept = { on_error = \"open\" }\n\
                    [breaker]\nerrors = 3\nwindow = \"60s\"\ncooldown = \"1s\"\n";
    let script = "fn on_accept(input) { if input.subject == \"boom\" { throw \"boom\" } \
                  reject(\"5.7.1\", \"it works\") }";
    scripts.put("greeter", manifest, script);
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let owner = place.owner();
    let to = format!("ann@{DOMAIN}");
    assert!(swaks(&place, &to, "fine").contains("550 5.7.1 it works"));
    for _ in 0..3 {
        assert!(swaks(&place, &to, "boom").contains("250 2.0.0"), "open: it is let in");
    }
    let hook = shown(&place, &owner)["hooks"][0].clone();
    assert_eq!((&hook["breaker"], &hook["calls"]), (&json!("open"), &json!(4)), "{hook}");
    let state =
        "maily_plugin_breaker{plugin=\"greeter@1.0.0\",hook=\"on_accept\",state=\"open\"} 1";
    assert!(place.daemon.ask("/metrics").1.contains(state));
    // It is asked again when its time is over, and then goes on.
    wait_for("its return", || swaks(&place, &to, "fine").contains("550 5.7.1 it works"));
    assert_eq!(shown(&place, &owner)["hooks"][0]["breaker"], "closed");
    place.world.kept(3);
}

#[test]
fn plugins_are_exchanged_under_load_and_no_mail_is_lost_or_refused() {
    let scripts = Scripts::new();
    let script = |n: usize| {
        format!(
            "fn on_accept(input) {{ let a = accept(); a.headers = #{{ \"X-N\": \"{n}\" }}; a }}"
        )
    };
    for n in 0..50 {
        scripts.put(&format!("p{n}"), "[hooks]\non_accept = {}\n", &script(0));
    }
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let mut numbers = client::load(place.daemon.smtp, 4, || {
        for n in 1..=5 {
            for plugin in 0..50 {
                scripts.put(&format!("p{plugin}"), "[hooks]\non_accept = {}\n", &script(n));
            }
            place.daemon.hang_up("the configuration was read again", n);
        }
    });
    numbers.sort_unstable();
    // Each client left off at one message at most; none before was refused.
    let last = numbers.last().copied().unwrap();
    assert!(last + 1 - numbers.len() as u64 <= 4, "{numbers:?}");
    place.world.each_came_once(&numbers);
    assert!(!place.daemon.log().contains("is not loaded"), "{}", place.daemon.log());
}

#[test]
fn scripts_that_mean_harm_hold_up_no_mail() {
    let state = tempfile::tempdir().unwrap();
    let config = format!(
        "[plugins]\nfolder = \"{}\"\nstate = \"{}\"\n",
        tools::root().join("plugins/tests/hostile").display(),
        state.path().display()
    );
    let place = Place::with(Behaviour::Accept, &config);
    let owner = place.owner();
    // Each of the first ones is asked about by all of them, until their breakers open.
    let numbers = client::load(place.daemon.smtp, 2, || {
        place.inject(&mail(25));
        wait_for("the mailing", || {
            let taken = place.world.ledger.taken();
            taken.keys().filter(|(id, _)| !id.contains("client.example")).count() >= 25
        });
    });
    assert!(numbers.len() > 25, "{}", numbers.len());
    place.world.each_came_once(&numbers);
    let fields = format!("Authorization: Bearer {owner}\r\n");
    let said = request(place.api, "GET", "/v1/plugins?limit=1000", &fields, "").unwrap().json();
    let hooks =
        said["data"].as_array().unwrap().iter().flat_map(|p| p["hooks"].as_array().unwrap());
    let resting = hooks.filter(|hook| hook["breaker"] == "open").count();
    assert!(resting >= 20, "{resting}: {said}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", place.daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("{resting} plugins rest, {} messages beside them, {line}", numbers.len());
    assert!(kilobytes < 512 << 10, "{line}");
}
