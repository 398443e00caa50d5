//! What plugins say, and what becomes of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use maily_plugins::answer::Verdict;
use maily_plugins::hook::Hook;
use maily_plugins::hooks::Fate;
use maily_plugins::input::AcceptInput;
use maily_plugins::input::Contact;
use maily_plugins::input::PersonalizeInput;
use serde_json::json;
use support::House;

fn ann() -> PersonalizeInput {
    let fields = json!({"first_name": "Ann", "attrs": {"orders": 5}});
    let vars = json!({"shop": "x.test"});
    PersonalizeInput {
        contact: Contact::new("ann@x.test", fields.as_object().unwrap().clone()),
        vars: vars.as_object().unwrap().clone(),
        message_id: "01J9".to_owned(),
        ..PersonalizeInput::default()
    }
}

const SEES_ALL: &str = "[permissions]\ncontact_fields = [\"*\"]";

#[test]
fn plugins_personalize_one_after_the_other() {
    let house = House::new();
    house
        .plugin(
            "first",
            "on_personalize = { priority = 10 }",
            SEES_ALL,
            r#"
            const GREETING = "Hello";
            fn greet(name) { `${GREETING} ${name}` }
            fn on_personalize(input) {
                let seg = if input.contact.attrs.orders >= 3 { "vip" } else { "all" };
                #{ vars: #{ greeting: greet(input.contact.first_name), seg: seg },
                   headers: #{ "X-Seg": seg } }
            }"#,
        )
        .plugin(
            "second",
            "on_personalize = {}",
            "",
            r#"
            fn on_personalize(input) {
                #{ vars: #{ greeting: input.vars.greeting + "!" },
                   subject: "For " + input.vars.shop }
            }"#,
        );
    let plugins = house.open();
    assert!(plugins.takes(Hook::OnPersonalize) && !plugins.takes(Hook::OnSend));
    let personal = plugins.on_personalize(ann());
    assert_eq!(
        json!(personal.vars),
        json!({"shop": "x.test", "greeting": "Hello Ann!", "seg": "vip"})
    );
    assert_eq!(personal.subject.unwrap(), "For x.test");
    assert_eq!(personal.headers["X-Seg"].as_deref(), Some("vip"));
    assert_eq!(personal.fate, Fate::Go);
}

#[test]
fn a_failing_plugin_is_told_of_and_its_policy_counts() {
    let house = House::new();
    house.plugin(
        "bad",
        "on_personalize = { on_error = \"pause_campaign\" }\non_accept = {}",
        SEES_ALL,
        r#"
fn on_personalize(input) {
  let city = #{ name: "Ulm" };
  #{ vars: #{ zip: city.zip } }
}
fn on_accept(input) { input.nothing }
"#,
    );
    let plugins = house.open();
    let Fate::Pause { fault } = plugins.on_personalize(ann()).fate else { panic!() };
    assert_eq!(
        fault.to_string(),
        "\
error[P0103]: no property `zip`
  ┌─ bad/main.rhai:4:25
 4│   #{ vars: #{ zip: city.zip } }
  │                         ^^^
  = hook on_personalize, message 01J9, plugin bad@1.0.0
  = help: test first: `if \"zip\" in map { … }`, or `map.get(\"zip\")`
  = the campaign is paused"
    );
    let verdict = plugins.on_accept(&AcceptInput::default());
    let (status, text) = ("4.3.0".to_owned(), "temporary failure, try again later".to_owned());
    assert_eq!(verdict.verdict, Verdict::Defer { status, text });
}
