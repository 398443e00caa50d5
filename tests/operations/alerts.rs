//! The alerts and the dashboard that ship: Prometheus takes them, they fire when they should, and
//! what they ask for is what the daemon tells.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools::tool;
use crate::support::world::World;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/prometheus").join(name)
}

fn promtool(arguments: &[&str]) {
    run(Command::new(tool("promtool")).args(arguments));
}

/// The panels of the dashboard that show something.
fn panels() -> Vec<Value> {
    let text = std::fs::read_to_string(shipped("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").cloned().collect()
}

/// What the dashboard asks for, with an interval in the place of Grafana's.
fn queries() -> Vec<String> {
    let targets = panels().into_iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert!(!targets.is_empty(), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
        targets
    });
    let text = |target: Value| target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
    targets.map(text).collect()
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("maily_"));
    let bare = |word: &str| word.strip_suffix("_bucket").unwrap_or(word).to_owned();
    words.map(bare).collect()
}

#[test]
fn alerts_fire_when_they_should_and_each_says_what_to_do() {
    let alerts = shipped("alerts.yml");
    promtool(&["check", "rules", alerts.to_str().unwrap()]);
    let folder = tempfile::tempdir().unwrap();
    let cases =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/operations/alerts_test.yml");
    let cases = std::fs::read_to_string(cases).unwrap();
    let path = folder.path().join("test.yml");
    std::fs::write(&path, cases.replace("ALERTS", alerts.to_str().unwrap())).unwrap();
    promtool(&["test", "rules", path.to_str().unwrap()]);
    let text = std::fs::read_to_string(&alerts).unwrap();
    let each: Vec<_> = text.split("- alert: ").skip(1).collect();
    assert!(each.len() >= 20);
    for alert in each {
        let says = |what: &str| assert!(alert.contains(what), "{what}: {alert}");
        ["severity: ", "summary: ", "description: ", "Next: "].into_iter().for_each(says);
    }
}

#[test]
fn what_alerts_and_dashboard_ask_for_is_what_the_daemon_tells() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::behaving(folder.path(), Behaviour::Accept);
    let plugin = folder.path().join("plugins").join("door");
    std::fs::create_dir_all(&plugin).unwrap();
    let manifest = "name = \"door\"\nversion = \"1.0.0\"\napi = \"1\"\n[hooks]\non_accept = {}\n";
    std::fs::write(plugin.join("plugin.toml"), manifest).unwrap();
    std::fs::write(plugin.join("main.rhai"), "fn on_accept(input) { accept() }").unwrap();
    let more = format!(
        "[registry]\nfolder = \"{0}/registry\"\n[http.admin]\nlisten = \"{0}/admin.sock\"\n\
         [plugins]\nfolder = \"{0}/plugins\"\nstate = \"{0}/state\"\n",
        folder.path().display()
    );
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), &more);
    wait_for("the ops listener", || std::net::TcpStream::connect(daemon.ops).is_ok());
    let told = daemon.ask("/metrics").1;
    let families = told.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<_> = families.filter_map(|line| line.split(' ').next()).collect();
    let alerts = std::fs::read_to_string(shipped("alerts.yml")).unwrap();
    let asked = metrics(&[alerts, queries().join("\n")].concat());
    assert!(asked.len() > 30, "{asked:?}");
    let missing: Vec<_> = asked.iter().filter(|name| !told.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} of {told:?}");
}

#[test]
fn prometheus_understands_what_the_dashboard_asks() {
    let rules: Vec<Value> = queries()
        .into_iter()
        .enumerate()
        .map(|(n, query)| serde_json::json!({ "record": format!("panel:{n}"), "expr": query }))
        .collect();
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.json");
    // JSON is YAML.
    std::fs::write(&path, groups.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}
