//! The walls of the house, checked on every `cargo test`.
//!
//! 1. A crate imports only crates on lower floors.
//! 2. Inside a crate no two files import each other, straight or around a corner.
//! 3. Only the binary asks what time it is; the rooms are handed a clock.
//! 4. There is no `static` state.
//! 5. Events are recorded by few hands.
//!
//! It reads text: one `use crate::` path a line, up to a file's first `#[cfg(test)]`.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources must fail")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Each crate, and the only crates of the house that it may import. Ground floor first.
const FLOORS: &[(&str, &[&str])] = &[
    ("engine/core", &[]),
    ("engine/api", &[]),
    ("engine/live", &["core"]),
    ("engine/journal", &["core"]),
    ("engine/spool", &["core", "journal"]),
    ("engine/events", &["core", "journal"]),
    ("engine/registry", &["core", "journal"]),
    ("engine/egress", &["core", "live"]),
    ("plugins", &["core"]),
    ("config", &["core"]),
    ("tui", &["core", "api"]),
    ("engine/ingress", &["core", "live", "journal", "spool", "events", "plugins"]),
    ("engine/delivery", &["core", "live", "spool", "events", "egress", "plugins"]),
    (
        "engine/http",
        &[
            "core", "api", "live", "registry", "spool", "events", "egress", "ingress", "delivery",
            "plugins",
        ],
    ),
    (
        "engine/maily",
        &[
            "core", "api", "live", "journal", "spool", "events", "registry", "egress", "config",
            "ingress", "delivery", "http", "plugins", "tui",
        ],
    ),
];

#[test]
fn crates_import_only_lower_floors() {
    for (dir, allowed) in FLOORS {
        let manifest = fs::read_to_string(root().join(dir).join("Cargo.toml")).unwrap();
        for name in house_imports(&manifest) {
            assert!(allowed.contains(&name.as_str()), "{dir} imports {name}, not below it");
        }
    }
}

#[test]
fn every_crate_of_the_engine_has_its_floor() {
    for entry in fs::read_dir(root().join("engine")).unwrap() {
        let name = format!("engine/{}", entry.unwrap().file_name().to_string_lossy());
        assert!(FLOORS.iter().any(|(dir, _)| *dir == name), "{name} has no floor");
    }
}

#[test]
fn files_of_a_crate_form_no_circle() {
    for (dir, _) in FLOORS {
        let src = root().join(dir).join("src");
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in rust_files(&src) {
            let from = module(&src, &file);
            for to in imports(&code(&file)) {
                assert_ne!(to, "super", "{} looks up: `use super::`", file.display());
                assert_ne!(to, "", "{}: one path a line, no `use crate::{{`", file.display());
                // A macro names its own file.
                if to != from {
                    arrows.entry(from.clone()).or_default().insert(to);
                }
            }
        }
        for start in arrows.keys() {
            assert!(!reaches(&arrows, start, start), "{dir}: {start} imports itself in a circle");
        }
    }
}

#[test]
fn only_the_binary_reads_the_clock() {
    for (dir, _) in FLOORS.iter().filter(|(dir, _)| *dir != "engine/maily") {
        for file in rust_files(&root().join(dir).join("src")) {
            assert!(!code(&file).contains("::now()"), "{} reads the clock", file.display());
        }
    }
}

#[test]
fn there_is_no_static_state() {
    for (dir, _) in FLOORS {
        for file in rust_files(&root().join(dir).join("src")) {
            let code = code(&file);
            let found = statics(&code);
            assert!(found.is_empty(), "{} has static state: {found:?}", file.display());
        }
    }
}

#[test]
fn events_are_recorded_by_few_hands() {
    let mut hands = Vec::new();
    for (dir, _) in FLOORS.iter().filter(|(dir, _)| *dir != "engine/events") {
        let src = root().join(dir).join("src");
        for file in rust_files(&src) {
            let code = code(&file);
            if code.contains(".record(&") || code.contains(".record_synced(&") {
                hands.push(format!("{dir} {}", module(&src, &file)));
            }
        }
    }
    hands.sort();
    let known = [
        "engine/delivery settle",
        "engine/http scribe",
        "engine/ingress door",
        "engine/ingress feedback",
    ];
    assert_eq!(hands, known);
}

#[test]
fn the_walls_are_seen() {
    let manifest = "[dependencies]\nmaily-core.workspace = true\n\
    maily-spool = { workspace = true }\n\
                    maily-journal = { path = \"../journal\" }\nserde.workspace = true\n\
                    [dev-dependencies]\nmaily.workspace = true\n";
    assert_eq!(house_imports(manifest), ["core", "spool", "journal", "maily"]);
    let code = "use crate::smtp::reply::Reply;\npub(crate) use crate::section::section;\n\
                use super::x;\nuse crate::{a, b};\nuse crate::mail::address as a;\n";
    assert_eq!(imports(code), ["smtp::reply", "section::section", "super", "", "mail::address"]);
    let code = "    shared: Arc<crate::journal::Shared>, // crate::not::this\n";
    assert_eq!(imports(code), ["journal"]);
    let code = "pub static A: u8 = 1;\n#[global_allocator]\nstatic G: M = M;\nx: &'static str,\n\
                thread_local! {}\n";
    assert_eq!(statics(code), ["pub static A: u8 = 1;", "thread_local! {}"]);
}

// === helpers ===

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The crates of the house that a manifest names, in either form.
fn house_imports(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if inside && (name == "maily" || name.starts_with("maily-")) {
            found.push(name.trim_start_matches("maily-").to_owned());
        }
    }
    found
}

/// The file's text above its unit tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

/// The Rust files of a folder and its folders, without those that are only tests.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") {
            found.push(path);
        }
    }
    found
}

/// `src/smtp/client.rs` is `smtp::client`.
fn module(src: &Path, file: &Path) -> String {
    let relative = file.strip_prefix(src).unwrap().with_extension("");
    relative.to_string_lossy().replace('/', "::")
}

/// The modules of its own crate that the code imports, or names by their path; an empty one for a
/// braced group at the top.
fn imports(code: &str) -> Vec<String> {
    let is_module = |part: &&str| part.starts_with(|c: char| c.is_ascii_lowercase());
    let word = |part: &str| part.split([';', ' ', ',']).next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for line in code.lines() {
        let Some(path) = without_visibility(line).strip_prefix("use ") else {
            found.extend(paths_within(without_visibility(line)));
            continue;
        };
        if path.starts_with("super::") {
            found.push("super".to_owned());
        } else if let Some(path) = path.strip_prefix("crate::") {
            let parts = path.split("::").take_while(is_module).map(word);
            found.push(parts.collect::<Vec<_>>().join("::"));
        }
    }
    found
}

/// The modules that a line of code names by their full path, beside any `use`.
fn paths_within(line: &str) -> Vec<String> {
    let is_module = |part: &&str| part.starts_with(|c: char| c.is_ascii_lowercase());
    let code = line.split("//").next().unwrap_or_default();
    let paths = code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
        let path = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        // The last part is what is named, and the module before it holds it.
        let mut parts: Vec<_> = path.split("::").collect();
        parts.pop();
        parts.into_iter().take_while(is_module).collect::<Vec<_>>().join("::")
    });
    paths.filter(|path| !path.is_empty()).collect()
}

/// Lines that declare state outside any value. The allocator of a binary has to be one.
fn statics(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut before = "";
    for line in code.lines() {
        let plain = without_visibility(line);
        let state = plain.starts_with("static ") || plain.contains("thread_local!");
        if state && before.trim() != "#[global_allocator]" {
            found.push(line);
        }
        before = line;
    }
    found
}

fn without_visibility(line: &str) -> &str {
    let line = line.trim_start();
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => {
            rest.split_once(')').map_or(rest, |(_, rest)| rest).trim_start()
        }
        Some(rest) if rest.starts_with(' ') => rest.trim_start(),
        _ => line,
    }
}

fn reaches(arrows: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        for next in arrows.get(at).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                todo.push(next);
            }
        }
    }
    false
}
