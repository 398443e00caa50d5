//! The hooks that mail does not wait for: they ask other machines through whoever runs them.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use maily_plugins::call::Merge;
use maily_plugins::call::Outcome;
use maily_plugins::call::Step;
use maily_plugins::fault::Code;
use maily_plugins::gathering::Options;
use maily_plugins::http::HttpResponse;
use maily_plugins::input::Contact;
use maily_plugins::input::EventInput;
use maily_plugins::input::Input;
use maily_plugins::input::ReportInput;
use maily_plugins::input::TimerInput;
use maily_plugins::set::Plugins;
use serde_json::json;
use support::House;

/// Runs a call; other machines answer by a function of the URL. Tells what was asked.
fn drive<I: Input, O: Merge + Clone + std::fmt::Debug>(
    plugins: &Plugins,
    mut call: maily_plugins::call::Call<I, O>,
    answer: impl Fn(&str) -> (u16, String),
) -> (Outcome<O>, Vec<String>) {
    let mut asked = Vec::new();
    loop {
        match call.run(plugins) {
            Step::Done(outcome) => return (outcome, asked),
            Step::Wants(request) => {
                let auth = request.headers.iter().map(|(name, value)| format!(" {name}:{value}"));
                asked.push(format!(
                    "{} {}{}",
                    request.method,
                    request.url,
                    auth.collect::<String>()
                ));
                let (status, body) = answer(&request.url);
                call.answer(HttpResponse { status, body });
            }
            Step::Waits => panic!("nobody else asks"),
        }
    }
}

const SHOP: &str = r#"
fn on_enrich(input) {
    let key = #{ headers: #{ "Authorization": secrets.with_prefix("Bearer ", "shop_key") } };
    let r = http.get("https://api.shop.example/c/" + hash.of(input.contact.email), key);
    if r.status != 200 {
        log.warn("shop api " + r.status);
        throw "shop api " + r.status;
    }
    kv.incr("asked");
    let more = http.get("https://api.shop.example/more/" + r.json.id);
    #{ attrs: #{ orders: r.json.orders, city: more.json?.city } }
}"#;

const SHOP_TERMS: &str = r#"
[permissions]
log = true
secrets = ["shop_key"]
contact_fields = ["email"]
kv = { namespace = "shop", max_bytes = "1MB", ttl = "1h" }
http = [{ host = "api.shop.example" }]
[cache]
on_enrich = { ttl = "1h", negative_ttl = "10m", stale_while_error = "7d" }
"#;

fn shop(house: &House) -> Plugins {
    house.plugin("shop", "on_enrich = {}", SHOP_TERMS, SHOP);
    let secrets = support::secrets(&[("shop_key", "s3cret"), ("other", "x")]);
    let (plugins, reloaded) = house.try_open(Options { secrets, ..house.options() });
    assert!(reloaded.refused.is_empty(), "{}", support::faults(&reloaded));
    plugins
}

fn ann() -> Contact {
    Contact::new("ann@x.test", serde_json::Map::new())
}

fn good(url: &str) -> (u16, String) {
    let body =
        if url.contains("/more/") { json!({"city": "Ulm"}) } else { json!({"id": 7, "orders": 5}) };
    (200, body.to_string())
}

#[test]
fn a_contact_is_enriched_by_two_questions_and_then_known() {
    let house = House::new();
    let plugins = shop(&house);
    let (outcome, asked) = drive(&plugins, plugins.on_enrich(ann()), good);
    assert_eq!(json!(outcome.answer.attrs), json!({"orders": 5, "city": "Ulm"}));
    assert_eq!(asked.len(), 2);
    assert!(asked[0].ends_with(" Authorization:Bearer s3cret"), "{asked:?}");
    assert_eq!(asked[1], "GET https://api.shop.example/more/7");
    // Though the script ran three times, it counted once.
    let kv = &plugins.shared().kv;
    let now = plugins.shared().clock.now();
    assert_eq!(kv.get("shop", "asked", now).unwrap().as_deref(), Some("1"));
    let (outcome, asked) = drive(&plugins, plugins.on_enrich(ann()), good);
    assert_eq!(json!(outcome.answer.attrs), json!({"orders": 5, "city": "Ulm"}));
    assert!(asked.is_empty());
    assert_eq!(plugins.standing()[0].counts.cache_hits, 1);
}

#[test]
fn an_old_answer_serves_while_there_is_no_new_one() {
    let house = House::new();
    let plugins = shop(&house);
    let down = |_: &str| (503, String::new());
    let (outcome, _) = drive(&plugins, plugins.on_enrich(ann()), down);
    assert!(outcome.answer.attrs.is_empty());
    assert_eq!(outcome.faults[0].message, "thrown: shop api 503");
    drive(&plugins, plugins.on_enrich(ann()), good);
    house.clock.forward(2 * 3_600);
    let (outcome, asked) = drive(&plugins, plugins.on_enrich(ann()), down);
    assert_eq!(asked.len(), 1);
    assert_eq!(outcome.answer.attrs["orders"], 5);
    house.clock.forward(8 * 86_400);
    let (outcome, _) = drive(&plugins, plugins.on_enrich(ann()), down);
    assert!(outcome.answer.attrs.is_empty());
}

#[test]
fn of_two_who_ask_at_once_one_waits() {
    let house = House::new();
    let plugins = shop(&house);
    let (mut first, mut second) = (plugins.on_enrich(ann()), plugins.on_enrich(ann()));
    assert!(matches!(first.run(&plugins), Step::Wants(_)));
    assert!(matches!(second.run(&plugins), Step::Waits));
    // The first is given up: the second goes on in its place.
    drop(first);
    let (outcome, asked) = drive(&plugins, second, good);
    assert_eq!((outcome.answer.attrs["orders"].clone(), asked.len()), (json!(5), 2));
}

#[test]
fn waiting_is_counted_against_the_time_of_a_hook() {
    let house = House::new();
    let plugins = shop(&house);
    let mut call = plugins.on_enrich(ann());
    let Step::Wants(request) = call.run(&plugins) else { panic!() };
    assert!(request.timeout.as_millis() <= 800);
    house.clock.forward(2);
    call.answer(HttpResponse { status: 200, body: "{}".to_owned() });
    let Step::Done(outcome) = call.run(&plugins) else { panic!() };
    assert_eq!(outcome.faults[0].code, Code::Time);
}

#[test]
fn reports_are_merged_and_events_can_be_asked_for_again() {
    let house = House::new();
    house
        .plugin(
            "a",
            "on_bounce = { priority = 1 }\non_event = { on_error = \"retry\" }",
            "",
            r#"
            fn on_bounce(input) { #{ suppress: false, tags: ["a", input.kind] } }
            fn on_event(input) { if input.events.len() > 1 { throw "not now" } }"#,
        )
        .plugin(
            "b",
            "on_bounce = { priority = 2 }\non_timer = { every = \"5m\" }",
            "",
            r#"
            fn on_bounce(input) {
                if input.text.contains("full") { #{ suppress: true, kind: "soft", tags: ["b"] } }
            }
            fn on_timer(input) { if input.name != "b" { throw "?" } }"#,
        );
    let plugins = house.open();
    let report =
        ReportInput { kind: "hard".into(), text: "box is full".into(), ..ReportInput::default() };
    let none = |_: &str| panic!("nobody is asked");
    let (outcome, _) = drive(&plugins, plugins.on_bounce(report), none);
    assert_eq!(outcome.answer.suppress, Some(true));
    assert_eq!(outcome.answer.tags, ["a", "hard", "b"]);
    assert_eq!(outcome.by, ["a@1.0.0".into(), Box::<str>::from("b@1.0.0")]);
    let one = EventInput { events: vec![Default::default()] };
    assert!(!drive(&plugins, plugins.on_event(one), none).0.retry);
    let two = EventInput { events: vec![Default::default(); 2] };
    assert!(drive(&plugins, plugins.on_event(two), none).0.retry);
    assert_eq!(plugins.timers(), [("b".to_owned(), std::time::Duration::from_secs(300))]);
    let timer = TimerInput { now: 1, name: "b".to_owned() };
    assert!(drive(&plugins, plugins.on_timer(timer), none).0.faults.is_empty());
}
