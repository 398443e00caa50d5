//! How long a call takes, beside the same function on the interpreter alone. Prints nanoseconds.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, or fails")]

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_plugins::answer::PersonalizeAnswer;
use maily_plugins::gathering::Options;
use maily_plugins::hook::Hook;
use maily_plugins::input::Contact;
use maily_plugins::input::PersonalizeInput;
use maily_plugins::input::RouteInput;
use maily_plugins::kv::MemoryKv;
use maily_plugins::plugin::Round;
use maily_plugins::set::Plugins;
use rhai::CallFnOptions;
use rhai::Dynamic;
use rhai::Engine;
use rhai::Map;
use rhai::Scope;

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap())
    }
}

const SMALL: &str = r#"
fn on_route(input) {
    if input.domain.ends_with(".example") && input.class == "bulk" {
        #{ pool: "slow" }
    } else {
        ()
    }
}"#;

const LARGE: &str = r#"
fn on_personalize(input) {
    let c = input.contact;
    let seg = if c.orders >= 3 { "vip" } else { "all" };
    #{ vars: #{ greeting: `Hello ${c.first_name} ${c.last_name}`, seg: seg, city: c.f10 } }
}"#;

fn fields() -> serde_json::Map<String, serde_json::Value> {
    let mut fields = serde_json::Map::new();
    for n in 0..19 {
        fields.insert(format!("f{n}"), format!("value {n}").into());
    }
    fields.insert("first_name".to_owned(), "Ann".into());
    fields.insert("last_name".to_owned(), "Lee".into());
    fields.insert("orders".to_owned(), 5.into());
    fields
}

const CALLS: u32 = 2_000;
const ROUNDS: usize = 101;

/// Nanoseconds of one call, in one round.
fn round(what: &mut dyn FnMut()) -> f64 {
    let begin = Instant::now();
    for _ in 0..CALLS {
        what();
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
}

/// The best of several rounds: what the machine does beside it is left out.
fn measure(name: &str, mut what: impl FnMut()) {
    let best = (0..ROUNDS).map(|_| round(&mut what)).fold(f64::MAX, f64::min);
    println!("{name:44} {best:8.0} ns");
}

/// Two things in turns, so that whatever slows the machine slows both: the best of each, and how
/// they compare.
fn beside(
    name: &str,
    (first, one): (&str, &mut dyn FnMut()),
    (second, two): (&str, &mut dyn FnMut()),
) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        best = (best.0.min(round(one)), best.1.min(round(two)));
    }
    println!("{:44} {:8.0} ns", format!("{name}, {first}"), best.0);
    println!("{:44} {:8.0} ns", format!("{name}, {second}"), best.1);
    println!("{:44} {:8.2}", format!("{name}, ratio"), best.1 / best.0);
}

/// The interpreter alone; guarded, it has the limits that any host would set, and a flag.
fn raw(script: &str, function: &str, argument: &Dynamic, guarded: bool) -> impl FnMut() {
    let mut engine = Engine::new();
    if guarded {
        let flag = std::sync::atomic::AtomicBool::new(false);
        engine.set_max_operations(50_000).set_max_string_size(65_536).set_max_array_size(8_192);
        engine.set_max_map_size(1_024).set_max_call_levels(24);
        engine.on_progress(move |_| {
            flag.load(std::sync::atomic::Ordering::Relaxed).then_some(Dynamic::UNIT)
        });
    }
    let ast = engine.compile(script).unwrap();
    let (function, argument) = (function.to_owned(), argument.clone());
    move || {
        let options = CallFnOptions::new().eval_ast(false);
        let mut scope = Scope::new();
        let argument = (argument.clone(),);
        let done = engine
            .call_fn_with_options::<Dynamic>(options, &mut scope, &ast, &function, argument)
            .unwrap();
        let _seen = black_box(done);
    }
}

/// Two plugins, loaded.
fn loaded() -> Plugins {
    let folder = std::env::temp_dir().join(format!("maily-plugins-bench-{}", std::process::id()));
    for (name, hook, script) in [("small", "on_route", SMALL), ("large", "on_personalize", LARGE)] {
        let place = folder.join(name);
        fs::create_dir_all(&place).unwrap();
        let manifest = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\napi = \"1\"\nhooks = {{ {hook} = {{}} }}\n\
             permissions = {{ contact_fields = [\"*\"] }}\n"
        );
        fs::write(place.join("plugin.toml"), manifest).unwrap();
        fs::write(place.join("main.rhai"), script).unwrap();
    }
    let options = Options { folder: Some(folder.clone()), ..Options::default() };
    let kv = Arc::new(MemoryKv::default());
    let (plugins, reloaded) = Plugins::open(options, kv, Arc::new(Wall)).unwrap();
    assert!(reloaded.refused.is_empty(), "{:?}", reloaded.refused);
    fs::remove_dir_all(&folder).unwrap();
    plugins
}

/// How long fifty plugins take to be loaded anew, each changed, with a case that is run first.
fn reload() {
    const PLUGINS: usize = 50;
    let folder = std::env::temp_dir().join(format!("maily-plugins-reload-{}", std::process::id()));
    let write = |n: usize, round: usize| {
        let place = folder.join(format!("p{n}"));
        fs::create_dir_all(place.join("tests")).unwrap();
        let manifest = format!(
            "name = \"p{n}\"\nversion = \"1.0.{round}\"\napi = \"1\"\n\
             hooks = {{ on_personalize = {{}} }}\npermissions = {{ contact_fields = [\"*\"] }}\n"
        );
        fs::write(place.join("plugin.toml"), manifest).unwrap();
        fs::write(place.join("main.rhai"), format!("// {round}\n{LARGE}")).unwrap();
        let case = "[[case]]\nname = \"x\"\nhook = \"on_personalize\"\n\
                    input.contact = { email = \"a@x.test\", orders = 5 }\n\
                    expect.vars.seg = \"vip\"\n";
        fs::write(place.join("tests").join("cases.toml"), case).unwrap();
    };
    (0..PLUGINS).for_each(|n| write(n, 0));
    let options = Options { folder: Some(folder.clone()), ..Options::default() };
    let kv = Arc::new(MemoryKv::default());
    let (plugins, reloaded) = Plugins::open(options.clone(), kv, Arc::new(Wall)).unwrap();
    assert!(reloaded.refused.is_empty(), "{:?}", reloaded.refused);
    let mut best = f64::MAX;
    for round in 1..=5 {
        (0..PLUGINS).for_each(|n| write(n, round));
        let begin = Instant::now();
        let reloaded = plugins.reload(Some(options.clone()));
        best = best.min(begin.elapsed().as_secs_f64());
        assert!(reloaded.refused.is_empty(), "{:?}", reloaded.refused);
    }
    fs::remove_dir_all(&folder).unwrap();
    println!("{:44} {:8.1} ms", "reload of 50 changed plugins, best of 5", best * 1e3);
}

fn main() {
    let plugins = loaded();
    let route = RouteInput {
        queue_id: "01J9ZK3T7Q4K".to_owned(),
        domain: "x.example".to_owned(),
        class: "bulk".to_owned(),
        ..RouteInput::default()
    };
    let mut map = Map::new();
    map.insert("domain".into(), "x.example".into());
    map.insert("class".into(), "bulk".into());
    let map = Dynamic::from(map);
    measure("small hook, interpreter without limits", raw(SMALL, "on_route", &map, false));
    beside(
        "small hook",
        ("interpreter with limits", &mut raw(SMALL, "on_route", &map, true)),
        ("on_route", &mut || {
            black_box(plugins.on_route(black_box(&route)));
        }),
    );

    let personal = PersonalizeInput {
        contact: Contact::new("ann@x.test", fields()),
        message_id: "01J9ZK3T7Q4K".to_owned(),
        ..PersonalizeInput::default()
    };
    let mut map = Map::new();
    for (name, value) in fields() {
        let text = value.as_str().map(str::to_owned);
        let value = text.map_or_else(|| Dynamic::from_int(5), Dynamic::from);
        map.insert(name.into(), value);
    }
    let mut outer = Map::new();
    outer.insert("contact".into(), map.into());
    let outer = Dynamic::from(outer);
    let plugin = plugins.order(Hook::OnPersonalize).remove(0);
    beside(
        "22 fields",
        ("interpreter with limits, cloned", &mut raw(LARGE, "on_personalize", &outer, true)),
        ("on_personalize", &mut || {
            let asked = plugin.ask::<_, PersonalizeAnswer>(
                plugins.shared(),
                Hook::OnPersonalize,
                black_box(&personal),
                &mut Vec::new(),
            );
            match black_box(asked) {
                Round::Done(Err(failure)) => panic!("{}", failure.fault),
                round => drop(round),
            }
        }),
    );
    measure("a hook that nobody takes, on_send", || {
        black_box(plugins.on_send(black_box(&maily_plugins::input::SendInput::default())));
    });
    measure("whether anybody takes a hook", || {
        black_box(plugins.takes(black_box(Hook::OnSend)));
    });
    reload();
}
