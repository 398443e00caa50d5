//! What differs between two values of the configuration, key by key.
//!
//! A value is shown as Rust shows it; secrets hide themselves.

use std::fmt;

/// Keys that are read once, at start: what is open cannot be opened elsewhere without a gap. A `*`
/// stands for the number of an entry.
pub(crate) const RESTART: &[&str] = &[
    "node.id",
    "spool.folder",
    "spool.segment_size",
    "spool.hot_size",
    "events.folder",
    "events.segment_size",
    "listener.*.address",
    "dkim_threads",
    "plugins.state",
    "registry.folder",
    "http.public.listen",
    "http.public.base_url",
    "http.api.listen",
    "http.admin.listen",
    "bounces.domain",
    "ops.listen",
    "log.format",
];

/// Tables of which all keys are such: the queue counts by the number of a source.
const TABLES: &[&str] = &["source.*", "pool.*"];

/// A key with another value than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Such as `retry.delay_min`, or `route.1` for a whole entry.
    pub key: String,
    /// What it was; none for an entry that was not there.
    pub old: Option<String>,
    /// What it is; none for an entry that is gone.
    pub new: Option<String>,
}

impl Change {
    /// Whether a running daemon goes on with the old value until it is started again.
    pub fn needs_restart(&self) -> bool {
        let numbered = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        let parts = self.key.split('.').map(|part| if numbered(part) { "*" } else { part });
        let plain = parts.collect::<Vec<_>>().join(".");
        // A listener that comes or goes is a socket that does.
        RESTART.contains(&plain.as_str())
            || plain == "listener.*"
            || TABLES.iter().any(|table| plain.starts_with(table))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{}: {old} -> {new}", self.key),
            (None, Some(new)) => write!(f, "{}: added {new}", self.key),
            (Some(old), None) => write!(f, "{}: removed {old}", self.key),
            (None, None) => f.write_str(&self.key),
        }
    }
}

/// A value with keys of its own.
pub(crate) trait Compare {
    /// Adds what differs below `at`.
    fn compare(&self, new: &Self, at: &str, changes: &mut Vec<Change>);
}

impl<T: Compare + fmt::Debug> Compare for Vec<T> {
    fn compare(&self, new: &Self, at: &str, changes: &mut Vec<Change>) {
        for index in 0..self.len().max(new.len()) {
            let key = join(at, &index.to_string());
            match (self.get(index), new.get(index)) {
                (Some(old), Some(new)) => old.compare(new, &key, changes),
                (old, new) => changes.push(Change {
                    key,
                    old: old.map(|old| format!("{old:?}")),
                    new: new.map(|new| format!("{new:?}")),
                }),
            }
        }
    }
}

/// The name of a key below another.
pub(crate) fn join(at: &str, key: &str) -> String {
    let key = key.trim_start_matches("r#");
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// Compares a table: the kind `table` of a declared key.
pub(crate) fn table<T: Compare>(old: &T, new: &T, key: &str, changes: &mut Vec<Change>) {
    old.compare(new, key, changes);
}

/// Compares a value: the kind `default` of a declared key.
pub(crate) fn default<T>(old: &T, new: &T, key: &str, changes: &mut Vec<Change>)
where
    T: PartialEq + fmt::Debug,
{
    if old != new {
        let (old, new) = (Some(format!("{old:?}")), Some(format!("{new:?}")));
        changes.push(Change { key: key.to_owned(), old, new });
    }
}

/// Compares what no file says: the kind `hidden` of a declared key.
pub(crate) fn hidden<T>(_old: &T, _new: &T, _key: &str, _changes: &mut Vec<Change>) {}

/// Compares a value that is unset by default: the kind `example` of a declared key.
pub(crate) fn example<T>(old: &T, new: &T, key: &str, changes: &mut Vec<Change>)
where
    T: PartialEq + fmt::Debug,
{
    default(old, new, key, changes);
}
