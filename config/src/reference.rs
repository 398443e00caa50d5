//! The annotated reference, `config/maily.toml`: every key with its text and its default.
//!
//! It is generated from the declarations; a test keeps the committed file equal. To write it
//! anew: `MAILY_WRITE_REFERENCE=1 cargo test -p maily-config reference`.

use crate::config::SECTIONS;
use crate::section::Section;

const INTRODUCTION: &str = "\
# The configuration of Maily: every key, with its default.
#
# Keys without a leading # show the default; keys with one are unset and show an example.
# Files in conf.d beside this one are read after it, in the order of their names: tables merge,
# arrays of tables ([[user]]) append, any other value replaces the earlier one.
# Times are written as \"500ms\", \"30s\", \"5m\", \"2h\", \"4d\"; sizes as \"64KiB\",
# \"10MiB\"; rates as \"100/s\", \"1000/h\". A secret is only named: { file = \"/path\" },
# { env = \"NAME\" } or { credential = \"NAME\" } (systemd's LoadCredential=).
# After all files come single keys: a variable such as MAILY__RETRY__DELAY_MIN=1m, then the
# argument --set retry.delay_min=1m.
# HUP reads all this anew. What is wrong changes nothing. These keys need a restart: node.id, the
# folders, segment_size, hot_size, the addresses of all listeners, and log.format.
#
# Generated from config/src; do not edit.
";

/// The text of the reference.
pub fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in SECTIONS {
        text.push('\n');
        append(&mut text, section);
    }
    text
}

fn append(text: &mut String, section: &Section) {
    for line in section.about {
        text.push_str(&format!("#{line}\n"));
    }
    let list = section.header.starts_with("[[");
    let quiet = list && section.keys.iter().all(|key| key.kind != "default");
    let mark = if quiet { "# " } else { "" };
    if !section.header.is_empty() {
        text.push_str(&format!("{mark}{}\n", section.header));
    }
    for key in section.keys.iter().filter(|key| !matches!(key.kind, "table" | "hidden")) {
        text.push('\n');
        for line in key.about {
            text.push_str(&format!("#{line}\n"));
        }
        let mark = if key.kind == "default" { "" } else { "# " };
        text.push_str(&format!("{mark}{} = {}\n", key.written(), key.shown));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::load::parse;

    #[test]
    fn the_committed_reference_is_the_generated_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("maily.toml");
        if std::env::var_os("MAILY_WRITE_REFERENCE").is_some() {
            fs::write(&path, text()).unwrap();
        }
        assert!(
            fs::read_to_string(path).unwrap() == text(),
            "maily.toml is not the generated text"
        );
    }

    #[test]
    fn the_reference_parses_to_the_default() {
        match parse(&text(), "maily.toml") {
            Ok(config) => assert_eq!(config, Config::default()),
            Err(errors) => panic!("{errors}"),
        }
    }

    #[test]
    fn nothing_parses_to_the_default() {
        assert_eq!(parse("", "maily.toml").unwrap(), Config::default());
    }

    #[test]
    fn the_examples_parse_too() {
        let shown = |key: &crate::section::Key| {
            let twice = key.written() == "password" && key.shown.contains("NEWSLETTER");
            !matches!(key.kind, "table" | "hidden") && !twice
        };
        let mut text = String::new();
        for section in SECTIONS {
            text.push_str(&format!("{}\n", section.header));
            for key in section.keys.iter().filter(|key| shown(key)) {
                text.push_str(&format!("{} = {}\n", key.written(), key.shown));
            }
        }
        if let Err(errors) = parse(&text, "examples") {
            panic!("{errors}");
        }
    }
}
