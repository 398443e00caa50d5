//! The house is swept on every `cargo test`.
//!
//! A file has at most 500 lines above its tests and says first what it is for; a line has at most
//! 100 characters; nothing is left half done.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources must fail")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The most lines of a file above its `#[cfg(test)]`.
const LINES_MAX: usize = 500;
/// The most characters of a line.
const LINE_CHARACTERS_MAX: usize = 100;
/// What must not be left behind.
const HALF_DONE: &[&str] = &["todo", "unimplemented", "dbg"];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut faults = Vec::new();
    for folder in ["engine", "plugins", "config", "tui", "tests", "benches", "fuzz"] {
        for file in rust_files(&root.join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            for fault in untidy(&file.to_string_lossy(), &text) {
                faults.push(format!("{}: {fault}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn untidiness_is_seen() {
    let long = format!("//! A.\n{}", "x\n".repeat(LINES_MAX));
    assert_eq!(untidy("a.rs", &long), ["501 lines above its tests"]);
    assert!(untidy("a_tests.rs", &long).is_empty());
    assert!(untidy("a.rs", &format!("//! A.\n#[cfg(test)]\n{long}")).is_empty());
    assert_eq!(untidy("a.rs", "fn a() {}\n"), ["does not open with //!"]);
    let wide = format!("//! A.\n{}\n", "x".repeat(LINE_CHARACTERS_MAX + 1));
    assert_eq!(untidy("a.rs", &wide), ["line 2 has 101 characters"]);
    let half = format!("//! A.\nfn a() {{ {}!() }}\n", "todo");
    assert_eq!(untidy("a.rs", &half), [format!("line 2 has {}!", "todo")]);
}

/// What is untidy in a file.
fn untidy(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push("does not open with //!".to_owned());
    }
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
    if lines > LINES_MAX && !name.ends_with("_tests.rs") {
        faults.push(format!("{lines} lines above its tests"));
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let characters = line.chars().count();
        if characters > LINE_CHARACTERS_MAX {
            faults.push(format!("line {number} has {characters} characters"));
        }
        for word in HALF_DONE {
            if line.contains(&format!("{word}!")) {
                faults.push(format!("line {number} has {word}!"));
            }
        }
    }
    faults
}

/// The Rust files of a folder and its folders; none if there is no folder.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
