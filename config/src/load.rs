//! Reads the configuration: one file, `conf.d/*.toml` beside it in the order of their names, and
//! then single keys from the environment and the command line.
//!
//! Tables merge, arrays of tables append, any other value of a later file replaces the earlier.
//! Every file is checked by itself, then the whole; all that is wrong is told at once.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

use toml::Spanned;
use toml::Table;
use toml::Value;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::check::Fault;
use crate::check::check;
use crate::config::Config;
use crate::lines::Lines;
pub use crate::problem::Problem;

/// All that is wrong in the files of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Problem>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// A single key that is set outside the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// What errors call the place.
    pub place: String,
    /// Such as `retry.delay_min`.
    pub key: String,
    /// As TOML; what is not TOML is taken as a string.
    pub value: String,
}

/// What a variable of the environment that sets a key begins with.
const PREFIX: &str = "MAILY__";

impl Override {
    /// `MAILY__RETRY__DELAY_MIN=1m` sets `retry.delay_min`; other variables mean nothing here.
    pub fn of_variable(name: &str, value: &str) -> Option<Self> {
        let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
        let place = format!("the variable {name} of the environment");
        Some(Self { place, key, value: value.to_owned() })
    }

    /// `retry.delay_min=1m`, from the command line.
    pub fn of_argument(text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        let place = format!("the argument --set {key}");
        Some(Self { place, key: key.trim().to_owned(), value: value.trim().to_owned() })
    }

    fn source(&self) -> Source {
        let bare = format!("{} = {}\n", self.key, self.value);
        let text = match toml::from_str::<Table>(&bare) {
            Ok(_) => bare,
            Err(_) => format!("{} = {}\n", self.key, Value::String(self.value.clone())),
        };
        Source { name: self.place.clone(), text }
    }
}

/// A configuration with the files that it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    sources: Vec<Source>,
}

impl Loaded {
    /// The files that were read, and other places.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.name.as_str())
    }

    /// The same for a fault that knows its keys.
    pub fn fault(&self, fault: Fault) -> Problem {
        place(&self.sources, fault.keys.iter().map(String::as_str), fault.text)
    }

    /// Something that is wrong, shown at the first of these keys that is set.
    pub fn problem(&self, keys: &[&str], text: String) -> Problem {
        place(&self.sources, keys.iter().copied(), text)
    }
}

/// Reads the file at `path`, `conf.d/*.toml` beside it, and then these single keys.
pub fn open(path: &Path, overrides: &[Override]) -> Result<Loaded, Errors> {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    let beside = path.with_file_name("conf.d");
    let mut paths = vec![path.to_owned()];
    match fragments(&beside) {
        Ok(found) => paths.extend(found),
        Err(error) => problems.push(unreadable(&beside, &error)),
    }
    for path in paths {
        match fs::read_to_string(&path) {
            Ok(text) => sources.push(Source { name: path.display().to_string(), text }),
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    sources.extend(overrides.iter().map(Override::source));
    Ok(Loaded { config: read(&sources)?, sources })
}

/// Reads the file at `path`, and `conf.d/*.toml` beside it.
pub fn load(path: &Path) -> Result<Config, Errors> {
    open(path, &[]).map(|loaded| loaded.config)
}

/// The same, with a further look at what the configuration names, such as files with keys: what
/// does not hold is told with the line that names it.
pub fn load_and(path: &Path, more: impl FnOnce(&Config) -> Vec<Fault>) -> Result<Config, Errors> {
    let loaded = open(path, &[])?;
    let faults = more(&loaded.config);
    if faults.is_empty() {
        return Ok(loaded.config);
    }
    Err(Errors(faults.into_iter().map(|fault| loaded.fault(fault)).collect()))
}

/// Reads one text; `name` is what errors call it.
pub fn parse(text: &str, name: &str) -> Result<Config, Errors> {
    read(&[Source { name: name.to_owned(), text: text.to_owned() }])
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::of_file(&path.display().to_string(), format!("cannot be read: {error}"))
}

/// The `*.toml` of a folder in the order of their names; none if there is no folder.
fn fragments(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(sources: &[Source]) -> Result<Config, Errors> {
    let mut problems = Vec::new();
    let mut merged = Table::new();
    for source in sources {
        let table = toml::from_str::<Config>(&source.text)
            .and_then(|_| toml::from_str::<Table>(&source.text));
        match table {
            Ok(table) => merge(&mut merged, table),
            Err(error) => problems.push(Problem::of_toml(&source.name, &source.text, &error)),
        }
    }
    if !problems.is_empty() {
        return Err(Errors(problems));
    }
    let name = sources.first().map_or("", |source| source.name.as_str());
    let mut config: Config = match merged.try_into() {
        Ok(config) => config,
        Err(error) => {
            return Err(Errors(vec![Problem::of_file(name, format!("merged: {error}"))]));
        }
    };
    config.lines = Lines::find(config.site.len(), |key| set_at(sources, key));
    let faults = check(&config);
    if faults.is_empty() {
        return Ok(config);
    }
    let shown = |fault: Fault| place(sources, fault.keys.iter().map(String::as_str), fault.text);
    Err(Errors(faults.into_iter().map(shown).collect()))
}

/// Where a key was set last, as `file:line`; none if nobody did.
fn set_at(sources: &[Source], key: &str) -> Option<String> {
    // Of an item that has no such key the item would be found.
    let (list, _) = key.rsplit_once('.')?;
    let (source, span) = locate(sources, key)?;
    let at_item = list.contains('.') && locate(sources, list).is_some_and(|(_, item)| item == span);
    if at_item {
        return None;
    }
    let before = source.text.get(..span.start)?;
    Some(format!("{}:{}", source.name, before.matches('\n').count() + 1))
}

/// A problem at the first of these keys that is set, or else with the first file.
fn place<'k>(sources: &[Source], mut keys: impl Iterator<Item = &'k str>, text: String) -> Problem {
    match keys.find_map(|key| locate(sources, key)) {
        Some((source, span)) => Problem::of_span(&source.name, &source.text, span, text),
        None => Problem::of_file(sources.first().map_or("", |source| &source.name), text),
    }
}

/// Tables merge, arrays of tables append, any other value replaces.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new))
                if old.iter().chain(&new).all(Value::is_table) =>
            {
                old.extend(new);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Where a key such as `retry.factor` or `user.1.name` was last set.
fn locate<'s>(sources: &'s [Source], key: &str) -> Option<(&'s Source, Range<usize>)> {
    let segments: Vec<&str> = key.split('.').collect();
    let mut skipped = 0;
    let mut last = None;
    for source in sources {
        let Ok(document) = DeTable::parse(&source.text) else { continue };
        let found = match segments.as_slice() {
            [list, index, rest @ ..] if index.parse::<usize>().is_ok() => {
                let index: usize = index.parse().ok()?;
                let Some(DeValue::Array(items)) = child(document.get_ref(), list) else { continue };
                let at = index.checked_sub(skipped);
                skipped += items.len();
                at.and_then(|at| items.get(at)).map(|item| {
                    let DeValue::Table(table) = item.get_ref() else { return item.span() };
                    span(table, rest).unwrap_or_else(|| item.span())
                })
            }
            path => span(document.get_ref(), path),
        };
        last = found.map(|span| (source, span)).or(last);
    }
    last
}

fn entry<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t Spanned<DeValue<'d>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

fn child<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t DeValue<'d>> {
    entry(table, name).map(Spanned::get_ref)
}

fn span(table: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    match path {
        [] => None,
        [name] => entry(table, name).map(Spanned::span),
        [name, rest @ ..] => match child(table, name)? {
            DeValue::Table(inner) => span(inner, rest),
            _ => None,
        },
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
