//! Scripts that mean harm: each is refused when it is loaded, or ended with the fault that it names
//! in its first line. How long each took is printed.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use maily_plugins::answer::NoAnswer;
use maily_plugins::answer::PersonalizeAnswer;
use maily_plugins::fault::Fault;
use maily_plugins::gathering::Options;
use maily_plugins::hook::Hook;
use maily_plugins::host::Memo;
use maily_plugins::http::HttpResponse;
use maily_plugins::input::Contact;
use maily_plugins::input::PersonalizeInput;
use maily_plugins::input::TimerInput;
use maily_plugins::kv::MemoryKv;
use maily_plugins::plugin::Plugin;
use maily_plugins::plugin::Round;
use maily_plugins::set::Plugins;
use support::Wall;

const CANARY: &str = "c4nary-value-7";

/// Asks a plugin until it ends; other machines always answer 200.
fn ask(plugins: &Plugins, plugin: &Plugin) -> (Option<Box<Fault>>, String) {
    let mut memo = Memo::new();
    loop {
        let (fault, effects, request) = if plugin.seat(Hook::OnPersonalize).is_some() {
            let fields = serde_json::Map::new();
            let contact = Contact::new("ann@x.test", fields);
            let input = PersonalizeInput { contact, ..PersonalizeInput::default() };
            let hook = Hook::OnPersonalize;
            match plugin.ask::<_, PersonalizeAnswer>(plugins.shared(), hook, &input, &mut memo) {
                Round::Done(Ok(ran)) => (None, *ran.effects.unwrap_or_default(), None),
                Round::Done(Err(failure)) => (Some(failure.fault), failure.effects, None),
                Round::Wants(request) => (None, Default::default(), Some(request)),
            }
        } else {
            let input = TimerInput::default();
            let hook = Hook::OnTimer;
            match plugin.ask::<_, NoAnswer>(plugins.shared(), hook, &input, &mut memo) {
                Round::Done(Ok(ran)) => (None, *ran.effects.unwrap_or_default(), None),
                Round::Done(Err(failure)) => (Some(failure.fault), failure.effects, None),
                Round::Wants(request) => (None, Default::default(), Some(request)),
            }
        };
        match request {
            Some(request) => memo.push((*request, HttpResponse { status: 200, body: "{}".into() })),
            None => return (fault, serde_json::to_string(&effects).unwrap()),
        }
    }
}

/// The most memory that this process had, in octets.
fn high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn each_ends_with_the_fault_that_it_names() {
    let folder = support::here().join("tests/hostile");
    let mut wrong = Vec::new();
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 60);
    for path in names {
        let (expected, line) = run(&path);
        println!("{line}");
        let code = line.split_whitespace().nth(1).unwrap();
        // On a busy machine, the time of what another limit would end may be over first.
        let late = code == "P0401" && expected.contains("P04");
        if !late && !expected.split_whitespace().any(|known| known == code) {
            wrong.push(format!("{line}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // The bound of one run is some 20 MB for each 5 ms of its time, twice over at most.
    let most = high_water();
    println!("VmHWM {} MB", most >> 20);
    assert!(most < 256 << 20, "{most} octets");
}

/// Runs one plugin alone: what it should end with, and a line about how it ended.
fn run(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let script = fs::read_to_string(path.join("main.rhai")).unwrap();
    let expected = script.lines().next().unwrap().strip_prefix("// ends with: ").unwrap();
    let house = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(path, house.path().join(&name)).unwrap();
    let begin = Instant::now();
    let options = Options {
        folder: Some(house.path().to_path_buf()),
        secrets: support::secrets(&[("canary", CANARY), ("other", CANARY)]),
        ..Options::default()
    };
    let clock = Arc::new(Wall::default());
    let (plugins, reloaded) = Plugins::open(options, Arc::new(MemoryKv::default()), clock).unwrap();
    let loaded = begin.elapsed();
    let begin = Instant::now();
    let hook = if plugins.takes(Hook::OnPersonalize) { Hook::OnPersonalize } else { Hook::OnTimer };
    let (way, fault) = match (reloaded.refused.first(), plugins.order(hook).first()) {
        (Some(fault), _) => ("refused", Some(Box::new(fault.clone()))),
        (None, Some(plugin)) => {
            let (fault, effects) = ask(&plugins, plugin);
            assert!(!effects.contains(CANARY), "{name} logs a secret: {effects}");
            ("ended", fault)
        }
        (None, None) => panic!("{name} takes no hook"),
    };
    let micros = (if way == "refused" { loaded } else { begin.elapsed() }).as_micros();
    let text = fault.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(!text.contains(CANARY), "{name} tells a secret: {text}");
    let code = fault.as_ref().map_or("none", |fault| fault.code.as_str());
    let place = fault.as_ref().and_then(|fault| fault.place.as_ref()).map_or(0, |place| place.line);
    let message = fault.as_ref().map_or("", |fault| fault.message.as_str());
    let line = format!("{name:24} {code} {way:7} {micros:>7} µs line {place:<3} {message}");
    (expected.to_owned(), line)
}
