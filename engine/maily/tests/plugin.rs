//! `maily plugin`, as people and scripts call it.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]

use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use serde_json::Value;

fn maily(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maily")).arg("plugin").args(arguments).output().unwrap()
}

fn house(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join(path).to_string_lossy().into_owned()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_plugins_that_ship_pass_and_the_last_line_is_the_sum() {
    let output = maily(&["test", &house("scripts"), "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let last: Value = serde_json::from_str(lines(&output).last().unwrap()).unwrap();
    assert!(last["plugins"].as_u64().unwrap() >= 15 && last["cases"].as_u64().unwrap() >= 45);
    assert_eq!((last["passed"].clone(), last["failed"].clone()), (last["cases"].clone(), 0.into()));
}

#[test]
fn hostile_scripts_are_each_ended_or_refused() {
    let output = maily(&["test", &house("plugins/tests/hostile")]);
    assert_eq!(output.status.code(), Some(2), "some failed, and the process lives");
    let lines = lines(&output);
    let told = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
    assert!(told("ended ") > 40 && told("refused ") > 15, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" ms") || line.contains("plugins,")));
}

#[test]
fn a_plugin_is_begun_tested_checked_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().to_string_lossy().into_owned();
    let output = maily(&["new", "promo", "--hook", "on_personalize", "--folder", &parent]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let promo = folder.path().join("promo").to_string_lossy().into_owned();
    assert_eq!(
        lines(&maily(&["test", &promo])).last().unwrap(),
        "1 plugins, 1 cases: 1 passed, 0 failed"
    );
    assert_eq!(maily(&["check", &promo]).status.code(), Some(0));
    let output = maily(&["run", &promo, "on_personalize"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["vars"]["greeting"], "Hello Ann");
    assert!(lines(&maily(&["list", &parent]))[0].contains("promo@0.1.0"));
    assert!(lines(&maily(&["doc", &promo])).contains(&"## Hooks".to_owned()));
    std::fs::write(folder.path().join("promo/main.rhai"), "fn on_personalize(input) {\n  1 +\n}")
        .unwrap();
    let output = maily(&["check", &promo, "--format", "sarif"]);
    assert_eq!(output.status.code(), Some(2));
    let sarif: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "P0101");
    assert_eq!(maily(&["test", &promo]).status.code(), Some(2));
}

#[test]
fn two_versions_are_compared_over_recorded_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    for (name, script) in [("old", "x.size > 10"), ("new", "x.size > 20")] {
        let parent = path("");
        maily(&["new", name, "--hook", "on_accept", "--folder", &parent]);
        let script = format!("fn on_accept(x) {{ if {script} {{ reject(\"large\") }} }}");
        std::fs::write(folder.path().join(name).join("main.rhai"), script).unwrap();
    }
    std::fs::write(path("inputs"), "{\"size\":5}\n{\"size\":15}\n\n{\"size\":25}\n").unwrap();
    let (new, old, inputs) = (path("new"), path("old"), path("inputs"));
    let output =
        maily(&["replay", &new, "--against", &old, "--hook", "on_accept", "--inputs", &inputs]);
    assert_eq!(output.status.code(), Some(2));
    let lines = lines(&output);
    assert_eq!(lines[0], "input 2");
    assert!(lines[3].starts_with("3 inputs: 2 the same; 0 failed, before 0"), "{lines:?}");
}
