//! `plugin.toml`: what a plugin is called, where it is asked, what it may do and how much it may
//! use. An unknown key is an error, and so is anything that could not be kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use crate::config::Setting;
use crate::fault::Code;
use crate::fault::Fault;
use crate::fault::Place;
use crate::hook::Hook;
use crate::hook::Policy;
use crate::hook::Reach;
use crate::limits;
use crate::quantity;

/// The name of the file.
pub const MANIFEST: &str = "plugin.toml";
/// The versions of the plugin interface that this host offers.
pub const API_VERSIONS: &[&str] = &["1"];

/// A manifest that holds together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's name; its folder should be called the same.
    pub name: String,
    /// Its version, such as `2.0.1`.
    pub version: String,
    /// The interface that it was written for.
    pub api: String,
    /// What it does, in one line.
    #[serde(default)]
    pub description: String,
    /// Its licence.
    #[serde(default)]
    pub license: String,
    /// Where it is asked.
    pub hooks: BTreeMap<Hook, HookSetting>,
    /// What it may do.
    #[serde(default)]
    pub permissions: Permissions,
    /// What one call may use.
    #[serde(default)]
    pub budget: Budget,
    /// When it rests after failures.
    #[serde(default)]
    pub breaker: BreakerSetting,
    /// Its settings.
    #[serde(default)]
    pub config: ConfigSection,
    /// What is cached, by hook.
    #[serde(default)]
    pub cache: BTreeMap<Hook, CacheSetting>,
}

/// One hook of a manifest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSetting {
    /// Who comes first: smaller numbers before larger ones.
    #[serde(default = "default_priority")]
    pub priority: i32,
    /// What failure means.
    pub on_error: Option<Policy>,
    /// For which segment, experiment or timer; none is for all.
    pub name: Option<String>,
    /// Says again that the hook is pure.
    pub pure: Option<bool>,
    /// How often, for a timer.
    #[serde(default, deserialize_with = "quantity::de_duration_option")]
    pub every: Option<Duration>,
    /// A time for this hook alone.
    #[serde(default, deserialize_with = "quantity::de_duration_option")]
    pub time: Option<Duration>,
    /// Operations for this hook alone.
    pub operations: Option<u64>,
}

const fn default_priority() -> i32 {
    50
}

/// What a plugin may do; nothing by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// Write to its own log.
    pub log: bool,
    /// Keep values.
    pub kv: Option<KvPermission>,
    /// Ask other machines.
    pub http: Vec<HttpPermission>,
    /// Secrets it is given, by name.
    pub secrets: Vec<String>,
    /// Fields of a contact that it sees: `first_name`, `attrs.orders`, `attrs` for all of these,
    /// `*` for all.
    pub contact_fields: Vec<String>,
    /// Count and observe.
    pub metrics: bool,
}

/// Keeping values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KvPermission {
    /// Whose values; plugins of the same name space share them.
    pub namespace: String,
    /// Octets of all keys and values together.
    #[serde(deserialize_with = "quantity::de_size")]
    pub max_bytes: u64,
    /// How long a value is kept.
    #[serde(deserialize_with = "quantity::de_duration")]
    pub ttl: Duration,
}

/// Asking one host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpPermission {
    /// Its name, exactly; `*.example.com` is any name below.
    pub host: String,
    /// Which methods.
    #[serde(default = "default_methods")]
    pub methods: Vec<String>,
    /// How long an answer may take.
    #[serde(default = "default_timeout", deserialize_with = "quantity::de_duration")]
    pub timeout: Duration,
    /// Octets of an answer.
    #[serde(default = "default_max_body", deserialize_with = "quantity::de_size")]
    pub max_body: u64,
}

fn default_methods() -> Vec<String> {
    vec!["GET".to_owned()]
}

const fn default_timeout() -> Duration {
    Duration::from_millis(800)
}

const fn default_max_body() -> u64 {
    64 * 1024
}

/// What one call may use. What is not said has the default of its hook.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Time by the clock on the wall.
    #[serde(deserialize_with = "quantity::de_duration_option")]
    pub time: Option<Duration>,
    /// Operations of the interpreter.
    pub operations: Option<u64>,
    /// Octets that a call should build: a sixteenth of it is the most of one text.
    #[serde(deserialize_with = "quantity::de_size_option")]
    pub memory: Option<u64>,
    /// Lines for the log.
    pub log_lines: Option<u32>,
}

/// When a plugin rests after failures, for each hook by itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerSetting {
    /// So many failures ...
    pub errors: u32,
    /// ... in so long ...
    #[serde(deserialize_with = "quantity::de_duration")]
    pub window: Duration,
    /// ... and it rests for so long.
    #[serde(deserialize_with = "quantity::de_duration")]
    pub cooldown: Duration,
}

impl Default for BreakerSetting {
    fn default() -> Self {
        Self { errors: 20, window: Duration::from_secs(60), cooldown: Duration::from_secs(300) }
    }
}

/// `[config]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfigSection {
    /// Each setting with its type, default and bounds.
    pub schema: BTreeMap<String, Setting>,
}

/// What is kept of the answers of a hook.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSetting {
    /// The field of the input that answers are kept by.
    #[serde(default = "default_key")]
    pub key: String,
    /// How long an answer is good.
    #[serde(deserialize_with = "quantity::de_duration")]
    pub ttl: Duration,
    /// How many answers are kept.
    #[serde(default = "default_entries")]
    pub max: usize,
    /// How long an empty answer is good.
    #[serde(default, deserialize_with = "quantity::de_duration_option")]
    pub negative_ttl: Option<Duration>,
    /// How long an old answer still serves when there is no new one.
    #[serde(default, deserialize_with = "quantity::de_duration_option")]
    pub stale_while_error: Option<Duration>,
}

fn default_key() -> String {
    "contact.email".to_owned()
}

const fn default_entries() -> usize {
    10_000
}

/// The most answers that may be kept.
pub const CACHE_ENTRIES_MAX: usize = 1_000_000;
/// Characters of a name.
const NAME_CHARACTERS_MAX: usize = 64;

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &str) -> Result<Self, Box<Fault>> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let message = error.message().to_owned();
            Box::new(Fault::new(Code::Manifest, "?", message).at(span_place(
                MANIFEST,
                text,
                error.span(),
            )))
        })?;
        manifest.check().map_err(|(key, message)| {
            let fault = Fault::new(Code::Manifest, &manifest.label(), message);
            Box::new(fault.at(key_place(text, &key)))
        })?;
        Ok(manifest)
    }

    /// Name and version: `promo@2.0.1`.
    pub fn label(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// What failure means in a hook.
    pub fn policy(&self, hook: Hook) -> Policy {
        let said = self.hooks.get(&hook).and_then(|setting| setting.on_error);
        said.unwrap_or_else(|| hook.terms().policy())
    }

    /// How long a hook may take.
    pub fn time(&self, hook: Hook) -> Duration {
        let own = self.hooks.get(&hook).and_then(|setting| setting.time);
        let most = hook.terms().time;
        own.or(self.budget.time).map_or(most, |time| time.min(most))
    }

    /// How many operations a hook may take.
    pub fn operations(&self, hook: Hook) -> u64 {
        let own = self.hooks.get(&hook).and_then(|setting| setting.operations);
        own.or(self.budget.operations).unwrap_or(limits::OPERATIONS_DEFAULT)
    }

    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, message: String| Err((key.to_owned(), message));
        if !is_name(&self.name) {
            let text = "the name has letters a-z, digits and dashes, and begins with a letter";
            return wrong("name", text.to_owned());
        }
        if !is_version(&self.version) {
            return wrong("version", "the version is three numbers, such as 1.0.0".to_owned());
        }
        if !API_VERSIONS.contains(&self.api.as_str()) {
            return wrong(
                "api",
                format!("api {} is not offered, but {}", self.api, API_VERSIONS.join(", ")),
            );
        }
        if self.hooks.is_empty() {
            return wrong("hooks", "the plugin takes no hook".to_owned());
        }
        for (hook, setting) in &self.hooks {
            check_hook(*hook, setting).map_err(|message| (hook.name().to_owned(), message))?;
        }
        self.check_budget()?;
        self.check_permissions()?;
        for (hook, cache) in &self.cache {
            if *hook != Hook::OnEnrich || !self.hooks.contains_key(hook) {
                return wrong("cache", format!("{hook} has no cache; on_enrich can have one"));
            }
            if cache.max == 0 || cache.max > CACHE_ENTRIES_MAX {
                return wrong("max", format!("a cache holds 1 to {CACHE_ENTRIES_MAX} answers"));
            }
        }
        if self.breaker.errors == 0 || self.breaker.window.is_zero() {
            return wrong("breaker", "a breaker counts at least 1 error in some time".to_owned());
        }
        for (name, setting) in &self.config.schema {
            setting.check().map_err(|message| (name.clone(), message))?;
        }
        Ok(())
    }

    fn check_budget(&self) -> Result<(), (String, String)> {
        let budget = &self.budget;
        let own = self.hooks.values().filter_map(|setting| setting.operations);
        let over = |given: Option<u64>, most: u64, key: &str, what: &str| match given {
            Some(0) => Err((key.to_owned(), format!("no {what} is not enough"))),
            Some(given) if given > most => {
                Err((key.to_owned(), format!("{given} is more than the {most} {what} allowed")))
            }
            _ => Ok(()),
        };
        for operations in own.map(Some).chain([budget.operations]) {
            over(operations, limits::OPERATIONS_MAX, "operations", "operations")?;
        }
        over(budget.memory, limits::MEMORY_OCTETS_MAX, "memory", "octets")?;
        let lines = budget.log_lines.map(u64::from).filter(|lines| *lines > 0);
        over(lines, u64::from(limits::LOG_LINES_MAX), "log_lines", "lines")?;
        let times = self.hooks.values().filter_map(|setting| setting.time).chain(budget.time);
        for time in times {
            if time < Duration::from_micros(100) {
                return Err(("time".to_owned(), "less than 100us is no time".to_owned()));
            }
        }
        Ok(())
    }

    fn check_permissions(&self) -> Result<(), (String, String)> {
        let permissions = &self.permissions;
        let reaches = |reach: Reach| self.hooks.keys().any(|hook| hook.terms().reach >= reach);
        let wrong = |key: &str, message: &str| Err((key.to_owned(), message.to_owned()));
        if !permissions.http.is_empty() && !reaches(Reach::KvAndHttp) {
            return wrong("http", "none of the plugin's hooks may use http");
        }
        for http in &permissions.http {
            if !is_host(&http.host) {
                return wrong("http", "a host is a name such as api.example.com, without a port");
            }
            let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
            if http.methods.is_empty() || !http.methods.iter().all(|m| known.contains(&&**m)) {
                return wrong("http", "methods are of GET, POST, PUT, PATCH, DELETE and HEAD");
            }
            if http.max_body > limits::STRING_OCTETS_MAX as u64 {
                return wrong("http", "max_body is at most 64KB, which is the most of a text");
            }
        }
        if let Some(kv) = &permissions.kv {
            if !reaches(Reach::Kv) {
                return wrong("kv", "none of the plugin's hooks may use kv");
            }
            if !is_name(&kv.namespace) {
                return wrong("kv", "a namespace has letters a-z, digits and dashes");
            }
        }
        if let Some(name) = permissions.secrets.iter().find(|name| !is_identifier(name)) {
            return Err(("secrets".to_owned(), format!("`{name}` is no name of a secret")));
        }
        let plain = |field: &str| field == "*" || field.split('.').all(is_identifier);
        if let Some(field) = permissions.contact_fields.iter().find(|field| !plain(field)) {
            return Err(("contact_fields".to_owned(), format!("`{field}` is no field")));
        }
        Ok(())
    }
}

fn check_hook(hook: Hook, setting: &HookSetting) -> Result<(), String> {
    let terms = hook.terms();
    if let Some(policy) = setting.on_error
        && !terms.policies.contains(&policy)
    {
        let known: Vec<_> = terms.policies.iter().map(|policy| policy.name()).collect();
        return Err(format!(
            "on_error = \"{}\" is not for {hook}, but {}",
            policy.name(),
            known.join(", ")
        ));
    }
    if setting.pure == Some(true) && !terms.pure {
        return Err(format!("{hook} is not pure"));
    }
    if setting.every.is_some() != (hook == Hook::OnTimer) {
        return Err("`every` is for on_timer, which needs it".to_owned());
    }
    Ok(())
}

/// `[a-z][a-z0-9-]*`, not too long.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_CHARACTERS_MAX
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `[A-Za-z_][A-Za-z0-9_]*`, not too long.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.len() <= NAME_CHARACTERS_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_version(version: &str) -> bool {
    let parts: Vec<_> = version.split('.').collect();
    let number = |part: &&str| part.len() <= 6 && part.parse::<u32>().is_ok();
    parts.len() == 3 && parts.iter().all(number)
}

fn is_host(host: &str) -> bool {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The place of an octet range in a text.
pub(crate) fn span_place(file: &str, text: &str, span: Option<Range<usize>>) -> Place {
    let Some(span) = span else { return Place::file(file) };
    let before = text.get(..span.start.min(text.len())).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place::in_text(file, text, line, column)
}

/// The place where a key stands; the file if it is not found.
fn key_place(text: &str, key: &str) -> Place {
    let stands = |line: &str| {
        let line = line.trim_start().trim_start_matches('[');
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(['=', ']', '.']))
    };
    match text.lines().position(stands) {
        Some(index) => {
            let line = text.lines().nth(index).unwrap_or_default();
            let column = line.find(key).unwrap_or(0) + 1;
            Place::in_text(MANIFEST, text, index + 1, column)
        }
        None => Place::file(MANIFEST),
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
