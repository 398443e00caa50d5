//! Plugins over time: they rest after failures, come back, and are exchanged while they are asked.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use maily_core::clock::Clock;
use maily_plugins::answer::Verdict;
use maily_plugins::breaker::State;
use maily_plugins::choices::Action;
use maily_plugins::choices::Choices;
use maily_plugins::fault::Code;
use maily_plugins::gathering::Options;
use maily_plugins::hook::Hook;
use maily_plugins::hooks::SendFate;
use maily_plugins::input::AcceptInput;
use maily_plugins::input::Contact;
use maily_plugins::input::PersonalizeInput;
use maily_plugins::input::ResponseInput;
use maily_plugins::input::RouteInput;
use maily_plugins::input::SegmentInput;
use maily_plugins::input::SendInput;
use maily_plugins::input::VariantInput;
use maily_plugins::set::Plugins;
use support::House;

fn accept(subject: &str) -> AcceptInput {
    AcceptInput { subject: subject.to_owned(), ..AcceptInput::default() }
}

#[test]
fn each_hook_that_mail_waits_for_is_answered() {
    let house = House::new();
    let hooks = "on_accept = {}\non_segment = { name = \"vip\" }\non_variant = {}\non_route = {}\n\
                 on_send = {}\non_response = {}";
    house.plugin(
        "all",
        hooks,
        "[permissions]\ncontact_fields = [\"orders\", \"email\"]",
        r#"
        fn on_accept(input) {
            switch input.subject {
                "spam" => reject("5.7.1", "no spam"),
                "later" => defer("try later"),
                "odd" => hold("somebody should look"),
                "trap" => discard("a trap"),
                _ => { let a = accept(); a.headers = #{ "X-Seen": "yes", "X-Old": () }; a }
            }
        }
        fn on_segment(input) { input.contact.orders > 3 }
        fn on_variant(input) { if input.contact.orders > 3 { "b" } }
        fn on_route(input) { #{ pool: "own", not_before: 7 } }
        fn on_send(input) { if input.subject == "" { #{ skip: "no subject" } } }
        fn on_response(input) { if input.code == 450 { #{ class: "throttled", retry_after: 60 } } }
        "#,
    );
    let plugins = house.open();
    let verdict = |subject: &str| plugins.on_accept(&accept(subject)).verdict;
    let text = |text: &str| text.to_owned();
    assert_eq!(verdict("spam"), Verdict::Reject { status: text("5.7.1"), text: text("no spam") });
    assert_eq!(verdict("later"), Verdict::Defer { status: text("4.7.1"), text: text("try later") });
    assert_eq!(verdict("odd"), Verdict::Hold { why: text("somebody should look") });
    assert_eq!(verdict("trap"), Verdict::Discard { why: text("a trap") });
    let all = plugins.on_accept(&accept("hello"));
    assert_eq!((all.verdict, all.headers["X-Old"].clone()), (Verdict::Accept, None));
    let contact = |orders: i64| {
        let fields = serde_json::json!({ "orders": orders });
        Contact::new("ann@x.test", fields.as_object().unwrap().clone())
    };
    let segment = |segment: &str, orders| {
        let input = SegmentInput { segment: segment.to_owned(), contact: contact(orders) };
        plugins.on_segment(&input).unwrap().map(|answer| answer.member)
    };
    assert_eq!(segment("vip", 4), Some(true));
    assert_eq!(segment("vip", 3), Some(false));
    assert_eq!(segment("others", 4), None, "another segment");
    let variant = |orders| {
        let variants = vec!["a".to_owned(), "b".to_owned()];
        let contact = contact(orders);
        plugins.on_variant(&VariantInput { contact, experiment: "x".to_owned(), variants })
    };
    assert_eq!(variant(4).as_deref(), Some("b"));
    assert_eq!(variant(1), variant(1), "by hash, always the same");
    assert_eq!(plugins.on_route(&RouteInput::default()).not_before, Some(7));
    let sent = plugins.on_send(&SendInput::default());
    assert_eq!(sent.fate, SendFate::Skip("no subject".to_owned()));
    assert_eq!(sent.by.as_deref(), Some("all@1.0.0"));
    let response = ResponseInput { code: 450, ..ResponseInput::default() };
    assert_eq!(plugins.on_response(&response).retry_after, Some(60));
}

#[test]
fn a_plugin_rests_after_failures_and_comes_back() {
    let house = House::new();
    let breaker = "[breaker]\nerrors = 3\nwindow = \"60s\"\ncooldown = \"5m\"";
    let script = "fn on_accept(input) { if input.subject == \"bad\" { throw \"bad\" } }";
    house.plugin("p", "on_accept = {}", breaker, script);
    let plugins = house.open();
    let deferred = |subject: &str| {
        matches!(plugins.on_accept(&accept(subject)).verdict, Verdict::Defer { .. })
    };
    for _ in 0..3 {
        assert!(!deferred("good"));
        assert!(deferred("bad"));
    }
    // It rests: what would be taken is deferred too, without asking.
    assert!(deferred("good"));
    let standing = &plugins.standing()[0];
    assert!(matches!(standing.breaker, State::Open { .. }));
    assert_eq!((standing.counts.calls, standing.counts.refused), (6, 1));
    assert_eq!(standing.counts.errors[&Code::Thrown], 3);
    house.clock.forward(301);
    assert!(!deferred("good"), "one call is on trial");
    assert!(!deferred("good"));
    assert_eq!(plugins.standing()[0].breaker, State::Closed);
}

#[test]
fn a_reload_under_load_loses_no_call() {
    let house = House::new();
    let script =
        |n: u32| format!("fn on_personalize(input) {{ #{{ vars: #{{ n: {n}, m: {n} }} }} }}");
    for plugin in 0..50 {
        house.plugin(&format!("p{plugin}"), "on_personalize = {}", "", &script(0));
    }
    let plugins = house.open();
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let vars = plugins.on_personalize(PersonalizeInput::default()).vars;
                    // Each call sees one version, whole.
                    assert_eq!(vars["n"], vars["m"]);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..4 {
            for plugin in 0..50 {
                house.plugin(&format!("p{plugin}"), "on_personalize = {}", "", &script(round));
            }
            let begin = Instant::now();
            let reloaded = plugins.reload(None);
            println!("50 plugins reloaded under load in {:?}", begin.elapsed());
            assert!(reloaded.refused.is_empty());
            let vars = plugins.on_personalize(PersonalizeInput::default()).vars;
            assert_eq!(vars["n"], round);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let failed = plugins.standing().iter().filter(|each| !each.counts.errors.is_empty()).count();
    println!("{} calls", calls.load(Ordering::Relaxed));
    assert_eq!(failed, 0);
}

#[test]
fn a_hook_that_nobody_takes_costs_nothing_and_one_that_hangs_holds_up_nobody() {
    let house = House::new();
    let budget = "[budget]\noperations = 5_000_000";
    house
        .plugin("hangs", "on_accept = {}", budget, "fn on_accept(input) { loop { let x = 1; } }")
        .plugin("quick", "on_route = {}", "", "fn on_route(input) { #{ pool: \"q\" } }");
    let plugins = house.open();
    assert!(!plugins.takes(Hook::OnSend));
    let slowest = thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            let begin = Instant::now();
            plugins.on_accept(&AcceptInput::default());
            begin.elapsed()
        });
        let mut slowest = Duration::ZERO;
        while !hanging.is_finished() {
            let begin = Instant::now();
            assert_eq!(plugins.on_route(&RouteInput::default()).pool.as_deref(), Some("q"));
            slowest = slowest.max(begin.elapsed());
        }
        println!("the hanging one ended after {:?}", hanging.join().unwrap());
        slowest
    });
    println!("the slowest of the others took {slowest:?}");
}

#[test]
fn a_plugin_sees_no_more_than_it_asked_for() {
    let house = House::new();
    house.plugin(
        "p",
        "on_personalize = { on_error = \"pause_campaign\" }",
        "[permissions]\ncontact_fields = [\"attrs.orders\"]",
        r#"
        fn on_personalize(input) {
            let seen = input.contact.to_map();
            #{ vars: #{ seen: seen, keys: input.contact.keys() } }
        }"#,
    );
    let plugins = house.open();
    let fields = serde_json::json!({ "phone": "1", "attrs": { "orders": 5, "income": 9 } });
    let contact = Contact::new("ann@x.test", fields.as_object().unwrap().clone());
    let vars = plugins.on_personalize(PersonalizeInput { contact, ..Default::default() }).vars;
    assert_eq!(
        serde_json::json!(vars),
        serde_json::json!({
            "seen": { "attrs": { "orders": 5 } }, "keys": ["attrs"],
        })
    );
}

#[test]
fn what_is_odd_in_a_folder_is_told_and_the_rest_is_loaded() {
    let house = House::new();
    house
        .plugin("good", "on_route = {}", "", "fn on_route(input) { #{ pool: \"x\" } }")
        .plugin("bad", "on_route = {}", "", "fn on_rout(input) { }")
        .write("notes/README.md", "no plugin");
    std::os::unix::fs::symlink("/etc", house.folder.path().join("good/lib")).unwrap();
    let (plugins, reloaded) = house.try_open(house.options());
    assert!(plugins.order(Hook::OnRoute).is_empty());
    let text = support::faults(&reloaded);
    assert!(text.contains("it leads out of the plugin's folder"), "{text}");
    assert!(text.contains("there is no `fn on_route(input)`"), "{text}");
    std::fs::remove_file(house.folder.path().join("good/lib")).unwrap();
    let reloaded = plugins.reload(None);
    assert_eq!(reloaded.plugins, ["good@1.0.0"]);
    assert!(Plugins::takes(&plugins, Hook::OnRoute));
}

fn numbered(n: u32) -> String {
    format!("fn on_personalize(input) {{ #{{ vars: #{{ n: {n} }} }} }}")
}

/// Of 400 contacts, how many get what the second version makes.
fn share(plugins: &Plugins) -> usize {
    let second = (0..400).filter(|n| {
        let contact = Contact::new(&format!("user{n}@x.test"), serde_json::Map::new());
        let input = PersonalizeInput { contact, ..PersonalizeInput::default() };
        plugins.on_personalize(input).vars.get("n") == Some(&2.into())
    });
    second.count()
}

/// A plugin, and a second version of it beside it; each has the name of the first.
fn versions(house: &House) {
    house.plugin("p", "on_personalize = {}", "", &numbered(1));
    let manifest = std::fs::read_to_string(house.folder.path().join("p/plugin.toml")).unwrap();
    house.write("p@next/plugin.toml", &manifest.replace("1.0.0", "2.0.0"));
    house.write("p@next/main.rhai", &numbered(2));
}

fn stage(percent: u8) -> Action {
    Action::Stage { version: "next".to_owned(), percent, time: None }
}

#[test]
fn a_version_is_tried_on_some_and_promoted_or_rolled_back() {
    let house = House::new();
    versions(&house);
    let choices = Some(house.folder.path().join("state/choices.json"));
    let options = || Options { choices: choices.clone(), ..house.options() };
    let (plugins, reloaded) = house.try_open(options());
    assert_eq!(reloaded.plugins, ["p@1.0.0"], "a version is no plugin");
    assert_eq!(share(&plugins), 0);
    plugins.choose("p", &stage(10)).unwrap();
    let some = share(&plugins);
    assert!((20..65).contains(&some), "{some}");
    assert_eq!(share(&plugins), some, "the same contacts again");
    let standing = plugins.standing();
    assert_eq!((standing[0].staged, standing[1].staged), (None, Some(10)));
    assert_eq!(standing[0].counts.calls, 3 * 400 - 2 * some as u64, "its counts went on");
    assert_eq!(standing[1].counts.calls, 2 * some as u64);
    assert_eq!(share(&house.try_open(options()).0), some, "it is tried after a restart");
    plugins.choose("p", &Action::RollBack).unwrap();
    assert_eq!(share(&plugins), 0);
    plugins.choose("p", &stage(10)).unwrap();
    plugins.choose("p", &Action::Promote).unwrap();
    assert_eq!(share(&plugins), 400);
    assert_eq!(plugins.standing().len(), 1);
    assert_eq!(share(&house.try_open(options()).0), 400, "it is used after a restart");
    plugins.choose("p", &Action::Disable).unwrap();
    assert!(!Plugins::takes(&plugins, Hook::OnPersonalize));
    assert!(house.try_open(options()).1.plugins.is_empty());
    plugins.choose("p", &Action::Enable).unwrap();
    plugins.choose("p", &Action::RollBack).unwrap();
    assert_eq!(share(&plugins), 0);
}

#[test]
fn a_version_that_cannot_be_loaded_changes_nothing() {
    let house = House::new();
    versions(&house);
    let plugins = house.open();
    house.write("p@next/main.rhai", "fn on_personalize(");
    let error = plugins.choose("p", &stage(50)).unwrap_err().to_string();
    assert!(error.contains("main.rhai:1:"), "{error}");
    assert_eq!((share(&plugins), plugins.choices()), (0, Choices::default()));
    // Nor one that is a version of something else.
    house.write("p@next/plugin.toml", "name = \"q\"\nversion = \"2\"\napi = \"1\"\n[hooks]\n");
    assert!(plugins.choose("p", &stage(50)).is_err());
    let (plugins, _) =
        house.try_open(Options { disabled: vec!["p".to_owned()], ..house.options() });
    let error = plugins.choose("p", &Action::Enable).unwrap_err().to_string();
    assert!(error.contains("enabled = false"), "{error}");
}

#[test]
fn a_trial_ends_when_its_time_is_over_and_may_take_other_hooks() {
    let house = House::new();
    versions(&house);
    let manifest = std::fs::read_to_string(house.folder.path().join("p@next/plugin.toml")).unwrap();
    house.write("p@next/plugin.toml", &manifest.replace("on_personalize", "on_route"));
    house.write("p@next/main.rhai", "fn on_route(input) { #{ pool: \"x\" } }");
    let plugins = house.open();
    let time = Some((house.clock.now(), Duration::from_secs(60)));
    let action = Action::Stage { version: "next".to_owned(), percent: 100, time };
    plugins.choose("p", &action).unwrap();
    let input = RouteInput { queue_id: "x".to_owned(), ..RouteInput::default() };
    assert_eq!(plugins.on_route(&input).pool.as_deref(), Some("x"));
    let contact = Contact::new("ann@x.test", serde_json::Map::new());
    let input = PersonalizeInput { contact, ..PersonalizeInput::default() };
    assert!(plugins.on_personalize(input).vars.is_empty(), "the new one does not take it");
    assert!(plugins.end_trials().unwrap().is_empty());
    house.clock.forward(61);
    assert_eq!(plugins.end_trials().unwrap(), ["p"]);
    assert!(!Plugins::takes(&plugins, Hook::OnRoute));
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let house = House::new();
    house.plugin("p", "on_personalize = {}", "", &numbered(1));
    house.plugin("q", "on_personalize = {}", "", &numbered(1));
    let plugins = house.open();
    share(&plugins);
    house.write("q/main.rhai", &numbered(2));
    assert!(plugins.reload(None).refused.is_empty());
    assert_eq!(share(&plugins), 400);
    let calls: Vec<_> = plugins.standing().iter().map(|one| one.counts.calls).collect();
    assert_eq!(calls, [800, 400]);
}
