//! HOOKS.md, made from the tables: hooks, what the host offers, codes, bounds. And the definitions
//! for editors (`.d.rhai`), made from the functions that are there.

use std::fmt::Write;

use crate::fault::Code;
use crate::hook::Reach;
use crate::hook::TABLE;
use crate::hook::Terms;
use crate::limits;
use crate::quantity;
use crate::surface::Entry;
use crate::surface::Surface;

/// All codes, with what they mean.
pub const CODES: &[(Code, &str)] = &[
    (Code::Manifest, "plugin.toml cannot be used"),
    (Code::Package, "the folder cannot be used"),
    (Code::Config, "a setting does not fit its schema"),
    (Code::Syntax, "the script is not Rhai, or uses what is switched off"),
    (Code::UnknownFunction, "a function that does not exist"),
    (Code::MissingProperty, "a property or an item that is not there"),
    (Code::UnknownName, "a variable or a module that does not exist, or a name of the host taken"),
    (Code::Type, "a value of another type"),
    (Code::Thrown, "the script threw it"),
    (Code::Arithmetic, "division by zero, overflow"),
    (Code::ReadOnly, "what is constant was to be changed"),
    (Code::Host, "the host itself failed"),
    (Code::NotPermitted, "[permissions] does not allow it"),
    (Code::NotHere, "not in this hook"),
    (Code::ForbiddenAddress, "an address of this machine or its network"),
    (Code::Import, "an import from outside of lib/, or in a circle"),
    (Code::Answer, "the hook answered with something else"),
    (Code::UnknownKey, "the answer has a key that nobody reads"),
    (Code::Header, "a header field that plugins do not write, or more than one line"),
    (Code::Time, "its time was over"),
    (Code::Operations, "its operations were used up"),
    (Code::Size, "a text, array or map grew too large"),
    (Code::Depth, "functions or expressions nested too deep"),
    (Code::Names, "too many variables, functions or modules"),
    (Code::Quota, "too many calls of the host in one run, or too much kept"),
    (Code::Resting, "it failed too often and rests"),
    (Code::Case, "one of its own cases fails"),
];

/// HOOKS.md.
pub fn hooks() -> String {
    let mut text = String::from(HEAD);
    for terms in &TABLE {
        hook(&mut text, terms);
    }
    text.push_str(HOST);
    for entry in Surface::new().entries {
        let _written = writeln!(text, "| `{}` | {} |", escaped(entry.signature), entry.doc);
    }
    text.push_str("\n## Codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in CODES {
        let _written = writeln!(text, "| {code} | {meaning} |");
    }
    bounds(&mut text);
    text
}

const HEAD: &str = "\
# Hooks

Made from the tables in `plugins/src`; `MAILY_WRITE_REFERENCE=1 cargo test -p maily-plugins` writes
it anew. A script has one function for each hook, with one parameter, `input`. Where several plugins
take a hook, they are asked in order of `priority`.

| hook | when | input | answer | may use | time | on error |
|---|---|---|---|---|---|---|
";

const HOST: &str = "
A *pure* hook has no clock: the same input gives the same answer. A hook with http may wait for
others for all of its time, and compute for 50 ms in each round. The first word under *on error*
holds where the manifest says nothing.

## What the host offers

`input.contact` and the other views are read only and shared. A field of a view that is not there
is `()`; a key of a map that is not there is an error. `config.x` is a setting, `data.table` a table
of `data/`.

| function | what it does |
|---|---|
";

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn hook(text: &mut String, terms: &Terms) {
    let reach = match terms.reach {
        Reach::Nothing if terms.pure => "nothing (pure)",
        Reach::Nothing => "nothing",
        Reach::Kv => "kv",
        Reach::KvAndHttp => "http, kv",
    };
    let policies: Vec<_> = terms.policies.iter().map(|policy| policy.name()).collect();
    let time = quantity::show_duration(terms.time);
    let _written = writeln!(
        text,
        "| `{}` | {} | {} | {} | {reach} | {time} | {} |",
        terms.name,
        terms.when,
        terms.input,
        terms.output,
        policies.join(", ")
    );
}

fn bounds(text: &mut String) {
    let rows: &[(&str, String)] = &[
        ("octets of a text", limits::STRING_OCTETS_MAX.to_string()),
        ("items of an array, with those within", limits::ARRAY_ITEMS_MAX.to_string()),
        ("keys of a map, with those within", limits::MAP_KEYS_MAX.to_string()),
        ("functions within one another", limits::CALL_DEPTH_MAX.to_string()),
        ("depth of an expression", limits::EXPRESSION_DEPTH_MAX.to_string()),
        ("variables of a function", limits::VARIABLES_MAX.to_string()),
        ("functions of a plugin", limits::FUNCTIONS_MAX.to_string()),
        (
            "operations of a run",
            format!("{}, at most {}", limits::OPERATIONS_DEFAULT, limits::OPERATIONS_MAX),
        ),
        ("calls of http in a run", limits::HTTP_CALLS_MAX.to_string()),
        ("changes of the store in a run", limits::KV_WRITES_MAX.to_string()),
        ("octets of a value in the store", limits::KV_VALUE_OCTETS_MAX.to_string()),
        ("lines logged in a run", limits::LOG_LINES_DEFAULT.to_string()),
    ];
    text.push_str("\n## Bounds\n\n| what | most |\n|---|---|\n");
    for (what, most) in rows {
        let _written = writeln!(text, "| {what} | {most} |");
    }
}

/// The definitions of what the host offers, for editors that know Rhai.
pub fn definitions(surface: &Surface) -> String {
    let mut text = String::from("module static;\n\n");
    let mut objects: Vec<&str> = Vec::new();
    for entry in &surface.entries {
        let (object, rest) = split(entry);
        if let Some(object) = object.filter(|object| !objects.contains(object)) {
            objects.push(object);
        }
        let of = object.map_or_else(String::new, |object| format!("{object}: {}", kind(object)));
        let (name, parameters) = rest.split_once('(').unwrap_or((rest, ")"));
        let between = if of.is_empty() || parameters.starts_with(')') { "" } else { ", " };
        let ends = if parameters.contains("->") { "" } else { " -> ()" };
        let _written =
            writeln!(text, "/// {}\nfn {name}({of}{between}{parameters}{ends};\n", entry.doc);
    }
    for object in objects.iter().filter(|object| crate::surface::NAMES.contains(object)) {
        let _written = writeln!(text, "const {object}: {};", kind(object));
    }
    text.push_str("const config: View;\nconst data: View;\n");
    text
}

/// The object of a method, and the rest.
fn split(entry: &Entry) -> (Option<&'static str>, &'static str) {
    let head = entry.signature.split('(').next().unwrap_or_default();
    match head.split_once('.') {
        Some((object, _)) => {
            let rest = entry.signature.get(object.len() + 1..).unwrap_or_default();
            (Some(object), rest)
        }
        None => (None, entry.signature),
    }
}

fn kind(object: &str) -> String {
    let mut letters = object.chars();
    match object {
        "string" => "string".to_owned(),
        _ => letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn check(path: &str, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("MAILY_WRITE_REFERENCE").is_some() {
            fs::write(&path, made).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "{} is old: MAILY_WRITE_REFERENCE=1 writes it", path.display());
    }

    #[test]
    fn hooks_md_says_what_is() {
        check("HOOKS.md", &hooks());
    }

    #[test]
    fn the_definitions_say_what_is() {
        let made = definitions(&Surface::new());
        assert!(made.contains("fn info(log: Log, line: string) -> ();"), "{made}");
        check("maily.d.rhai", &made);
    }

    #[test]
    fn every_code_has_a_meaning_of_its_own() {
        let codes: BTreeSet<_> = CODES.iter().map(|(code, _)| code.as_str()).collect();
        assert_eq!(codes.len(), CODES.len());
    }
}
