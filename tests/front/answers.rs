//! What plugins answer has its effect: mail is held, hits are left out, reports are judged.

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::place::request;
use crate::scripts::Scripts;
use crate::scripts::swaks_with;
use crate::support::process::wait_for;
use crate::support::world::DOMAIN;
use crate::support::world::Kept;

/// How many wait because a plugin holds them.
fn held(place: &Place) -> u64 {
    let why: Value = serde_json::from_str(&place.maily_may(&["why", "--json", ""])).unwrap();
    let causes = why["causes"].as_array().unwrap().iter();
    causes.filter(|cause| cause["cause"] == "plugin").filter_map(|c| c["count"].as_u64()).sum()
}

fn metric(place: &Place, name: &str) -> u64 {
    let text = request(place.daemon.ops, "GET", "/metrics", "", "").unwrap().body;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or("0 0");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn events(place: &Place, kind: &str) -> Vec<Value> {
    let said = place.ask("GET", &format!("/v1/events?type={kind}"), None);
    said.json()["data"].as_array().unwrap().clone()
}

#[test]
fn what_a_plugin_holds_at_the_door_waits_through_a_crash_until_it_is_released() {
    let scripts = Scripts::new();
    let script = r#"fn on_accept(input) {
        if input.subject.contains("void") { return discard("nobody wants it"); }
        hold("look at it first")
    }"#;
    scripts.put("door", "[hooks]\non_accept = {}\n", script);
    let mut place = Place::with(Behaviour::Accept, &scripts.config());
    let mut keyed = mail(2);
    let key = "Idempotency-Key: one\r\n";
    let first = place.ask_with("POST", "/v1/messages", Some(&keyed), key);
    assert_eq!(first.status, 202, "{first:?}");
    let to = format!("ann@{DOMAIN}");
    let vars = "X-Maily-Vars: {\"shop\": \"Ulm\"}";
    let said = swaks_with(&place, &to, &[vars, "Subject: for {{ shop }}"], "x");
    assert!(said.contains("250 2.0.0 queued as"), "{said}");
    wait_for("all of them", || held(&place) == 3);
    place.crash();
    wait_for("all of them again", || held(&place) == 3);
    let again = place.ask_with("POST", "/v1/messages", Some(&keyed), key);
    assert_eq!((again.status, &again.body), (202, &first.body), "it is known");
    assert!(place.world.kept(0).is_empty());
    place.maily(&["release", "all"]);
    assert_eq!(place.world.kept(3).len(), 3);
    keyed["subject"] = json!("void");
    let id = place.inject(&keyed).remove(1);
    wait_for("its end", || place.trace(&id).contains("discarded by the plugin door@1.0.0: nobody"));
    assert_eq!(held(&place), 0);
    assert_eq!(place.world.kept(3).len(), 3);
}

#[test]
fn what_a_plugin_holds_before_it_is_sent_goes_when_it_is_released_though_the_plugin_says_no() {
    let scripts = Scripts::new();
    let manifest = "[hooks]\non_send = {}\n";
    let script = r#"fn on_send(input) {
        if input.meta.kind != "offer" { return #{ headers: #{ "X-Seen": "yes" } }; }
        #{ hold: "offers are looked at", headers: #{ "X-Seen": "no" } }
    }"#;
    scripts.put("last", manifest, script);
    let mut place = Place::with(Behaviour::Accept, &scripts.config());
    let mut offers = mail(2);
    offers["meta"] = json!({ "kind": "offer" });
    let ids = place.inject(&offers);
    place.inject(&mail(1));
    assert!(String::from_utf8_lossy(&place.world.kept(1)[0].message).contains("X-Seen: yes"));
    wait_for("two", || held(&place) == 2);
    assert!(place.trace(&ids[0]).contains("held by last@1.0.0: offers are looked at"));
    place.crash();
    wait_for("two again", || held(&place) == 2);
    place.maily(&["release", "all"]);
    let kept = place.world.kept(3);
    let seen = |kept: &&Kept| String::from_utf8_lossy(&kept.message).contains("X-Seen: no");
    assert_eq!(kept.iter().filter(seen).count(), 2);
    wait_for("the end of it", || held(&place) == 0);
}

#[test]
fn a_plugin_reads_what_was_said_beside_a_mailing_and_chooses_the_way_by_it() {
    let scripts = Scripts::new();
    let script = r#"fn on_route(input) {
        if input.pool != "default" { return #{}; }
        if input.meta.kind == "offer" && input.reverse_path.contains("@shop.example") {
            return #{ pool: "marketing" };
        }
        #{}
    }"#;
    scripts.put("router", "[hooks]\non_route = {}\n", script);
    let pools = "[[source]]\nname = \"one\"\naddress = \"127.0.0.1\"\n\
                 [[source]]\nname = \"two\"\naddress = \"127.0.0.2\"\n\
                 [[pool]]\nname = \"default\"\nsources = [\"one\"]\n\
                 [[pool]]\nname = \"marketing\"\nsources = [\"two\"]\n";
    let place = Place::with(Behaviour::Accept, &(scripts.config() + pools));
    let mut offer = mail(1);
    offer["meta"] = json!({ "kind": "offer" });
    let (offer, other) = (place.inject(&offer).remove(0), place.inject(&mail(1)).remove(0));
    wait_for("the offer", || place.trace(&offer).contains("from two"));
    wait_for("the other", || place.trace(&other).contains("from one"));
}

#[test]
fn a_plugin_tags_a_click_and_leaves_out_those_of_a_machine() {
    let scripts = Scripts::new();
    let script = r#"fn on_track(input) {
        if input.event.user_agent.contains("Scanner") { return #{ discard: true }; }
        if input.event.url.contains("shop") && input.event.campaign == "spring" {
            return #{ tags: ["interested", "spring"] };
        }
        #{}
    }"#;
    scripts.put("clicks", "[hooks]\non_track = {}\n", script);
    let place = Place::with(Behaviour::Accept, &scripts.config());
    let mut tracked = mail(1);
    tracked["track"] = json!({ "clicks": true });
    tracked["campaign"] = json!("spring");
    let id = place.inject(&tracked).remove(0);
    let text = String::from_utf8_lossy(&place.world.kept(1)[0].message).replace("=\r\n", "");
    let base = format!("http://{}/c/", place.public);
    let token = text.split(&base).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let click = |agent: &str| {
        let fields = format!("User-Agent: {agent}\r\n");
        let said = request(place.public, "GET", &format!("/c/{token}"), &fields, "").unwrap();
        assert_eq!(said.status, 302, "{said:?}");
    };
    click("Scanner/1.0");
    wait_for("it is left out", || metric(&place, "maily_hits_discarded_total") == 1);
    click("Mozilla/5.0 (X11; Linux x86_64)");
    wait_for("its tags", || place.trace(&id).contains("tags interested, spring"));
    let clicks = events(&place, "message.clicked");
    assert_eq!(clicks.len(), 1, "{clicks:?}");
    let tagged = events(&place, "message.tagged").remove(0);
    assert_eq!(tagged["data"]["tags"], json!(["interested", "spring"]), "{tagged}");
    assert_eq!(tagged["data"]["about"], "message.clicked");
    assert_eq!(tagged["data"]["by"], json!(["clicks@1.0.0"]));
    assert_eq!(tagged["data"]["recipient"], format!("r0@{DOMAIN}"));
    assert_eq!(metric(&place, "maily_hits_unseen_total"), 0);
}

#[test]
fn a_plugin_takes_a_bounce_for_soft_and_the_address_is_written_to_again() {
    let scripts = Scripts::new();
    let script = r#"fn on_bounce(input) {
        if input.kind == "hard" { return #{ kind: "soft", tags: ["doubted"] }; }
    }"#;
    scripts.put("doubter", "[hooks]\non_bounce = {}\n", script);
    let place = Place::with(Behaviour::Reject(1.0), &scripts.config());
    for _ in 0..2 {
        let id = place.inject(&mail(1)).remove(0);
        wait_for("its bounce", || place.trace(&id).contains("bounced"));
        wait_for("the doubt", || place.trace(&id).contains("not to be suppressed"));
        wait_for("that it is taken back", || {
            let said = place.ask("GET", "/v1/suppressions", None);
            said.json()["data"].as_array().unwrap().is_empty()
        });
    }
    // Another version is tried on what happened: nothing is sent or kept.
    let script = "fn on_bounce(input) { #{ tags: [input.status] } }";
    scripts.put_version("doubter@next", "2.0.0", "[hooks]\non_bounce = {}\n", script);
    let (new, old) = (scripts.folder("doubter@next"), scripts.folder("doubter"));
    let of = ["plugin", "replay", &new, "--against", &old, "--events", "--hook"];
    let said = place.fails(&[&of[..], &["on_bounce", "--json"]].concat(), 2);
    let said: Value = serde_json::from_str(said.trim()).unwrap();
    // With the reports about them, which nobody takes either.
    assert!(said["inputs"].as_u64() >= Some(2) && said["same"] == 0, "{said}");
    assert_eq!(said["differences"][0]["before"]["tags"], json!(["doubted"]), "{said}");
    assert!(said["differences"][0]["now"]["tags"][0].as_str().unwrap().starts_with("5."), "{said}");
    let said = place.fails(&[&of[..], &["on_send"]].concat(), 65);
    assert!(said.contains("use --inputs"), "{said}");
}
