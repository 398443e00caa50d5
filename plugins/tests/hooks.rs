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

#[test]
fn modules_tables_and_settings_are_there_and_faults_name_their_file() {
    let house = House::new();
    let rest = "[config.schema]\nword = { type = \"string\", default = \"Hi\" }";
    house
        .plugin(
            "p",
            "on_personalize = { on_error = \"pause_campaign\" }",
            rest,
            r#"
import "lib/words" as words;
const MARKS = #{ loud: "!" };
fn on_personalize(input) {
    let tld = input.vars.tld;
    #{ vars: #{ line: words::greet(data.names.get(tld)) + MARKS.loud + global::MARKS.loud } }
}"#,
        )
        .write(
            "p/lib/words.rhai",
            "const SPACE = \" \";\nimport \"lib/deep\" as deep;\n\
            fn greet(name) {\n  config.word + SPACE + deep::upper(name)\n}\n",
        )
        .write("p/lib/deep.rhai", "fn upper(name) {\n  name.to_upper()\n}\n")
        .write("p/data/names.csv", "tld,name\nde,Welt\n");
    let plugins = house.open();
    let said = |tld: &str| {
        let vars = json!({ "tld": tld });
        let vars = vars.as_object().unwrap().clone();
        plugins.on_personalize(PersonalizeInput { vars, ..PersonalizeInput::default() })
    };
    assert_eq!(said("de").vars["line"], "Hi WELT!!");
    let Fate::Pause { fault } = said("fr").fate else { panic!() };
    let place = fault.place.clone().unwrap();
    assert_eq!((place.file.as_str(), place.line), ("lib/deep.rhai", 2), "{fault}");
    assert_eq!(fault.message, "there is no function to_upper (())");
}

#[test]
fn what_a_script_cannot_mean_is_told_when_it_is_loaded() {
    let check = |script: &str, expected: &str| {
        let house = House::new();
        house.plugin("p", "on_personalize = {}", "", script);
        let text = house.refusal();
        let first = text.lines().take(2).collect::<Vec<_>>().join("");
        assert_eq!(first, expected, "{text}");
    };
    check(
        "fn on_personalize(input) { let x = vips + 1; }",
        "error[P0104]: Undefined variable: vips  ┌─ p/main.rhai:1:36",
    );
    check(
        "fn on_personalize(input) { words::greet() }",
        "error[P0104]: Undefined module: words  ┌─ p/main.rhai:1:28",
    );
    check(
        "fn on_personalize() { }",
        "error[P0102]: there is no `fn on_personalize(input)`, but plugin.toml names it  \
         ┌─ p/main.rhai",
    );
    check(
        "fn on_personalize(input) { http.get(\"https://x.example/\").body }",
        "error[P0201]: http.get is not permitted  ┌─ p/main.rhai:1:33",
    );
    check(
        "const F = || 1;\nfn on_personalize(input) { }",
        "error[P0105]: the constant `F` is no plain value: a Fn is no data  ┌─ p/main.rhai",
    );
}
