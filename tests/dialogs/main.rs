//! Scripted dialogs with the SMTP server. Each file beside this one holds some; each dialog runs
//! twice: in memory against the session without I/O, and over a socket against a daemon. What a
//! dialog may say is told in [`script`].
//!
//! To add one, write it into the file of its subject; a new file is found by itself.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot do its part must fail"
)]

mod memory;
mod script;
mod socket;
mod world;

use script::Script;

fn scripts() -> Vec<Script> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogs");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let scripts: Vec<_> = files.iter().flat_map(|file| script::read(file)).collect();
    assert!(scripts.len() > 40, "only {} dialogs", scripts.len());
    scripts
}

/// Runs all, and says of each that failed where and why.
fn all_pass(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} dialogs failed:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn in_memory_against_the_session() {
    let faults = scripts().iter().filter_map(|script| memory::run(script).err()).collect();
    all_pass(faults);
}

#[test]
fn over_a_socket_against_the_daemon() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    all_pass(runtime.block_on(socket::run_all(scripts())));
}

#[test]
fn a_dialog_that_does_not_hold_is_told() {
    let dialog = |steps: &str| {
        let script = script::parse("x.txt", &format!("=== a\nwith: relay\n{steps}"));
        memory::run(&script[0]).err().unwrap_or_default()
    };
    let right = "C: NOOP\nS: 250 2.0.0 OK\nC: EHLO c\nS: 250..\nC: QUIT\nS: 221*\nS: closed";
    assert_eq!(dialog(right), "");
    assert!(dialog("C: NOOP\nS: 250 2.0.0 ok").contains("(line 4): wanted"));
    assert!(dialog("C: NOOP\nS: 251*").contains("wanted Beginning"));
    assert!(dialog("C: NOOP\nS: 250*\nS: 250*").contains("got \"nothing\""));
    assert!(dialog("C: EHLO c\nS: 220..").contains("wanted Reply"));
    assert!(dialog("C: NOOP").contains("nobody wanted"));
    assert!(dialog("C: NOOP\nS: 250*\nS: closed").contains("still open"));
    assert!(dialog("M: Subject: x").contains("got \"nothing\""));
}
