//! Plugins: which are in place, how they fare, and which versions of them are tried.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::number;

/// A plugin of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// The version in use; none if it is not loaded.
    #[serde(default)]
    pub version: Option<String>,
    /// Whether it is to be loaded.
    pub enabled: bool,
    /// The version that is tried on a part of all.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// The hooks of both versions.
    pub hooks: Vec<PluginHook>,
}

/// A version of a plugin that is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    /// What stands behind the `@` of its folder.
    pub version: String,
    /// For how many of a hundred contacts or messages.
    pub percent: u8,
    /// When it ends by itself (RFC 3339).
    #[serde(default)]
    pub until: Option<String>,
}

/// How a version of a plugin fares in one hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginHook {
    /// The hook.
    pub hook: String,
    /// Of which version.
    pub version: String,
    /// Whether it is the version that is tried.
    pub tried: bool,
    /// Who comes first.
    pub priority: i32,
    /// What failure means.
    pub on_error: String,
    /// `closed`, `open` (it rests) or `half_open` (it is tried again).
    pub breaker: String,
    /// Until when it rests (RFC 3339).
    #[serde(default)]
    pub rests_until: Option<String>,
    /// Calls that ended.
    pub calls: u64,
    /// Calls that the breaker kept away.
    pub kept_away: u64,
    /// Runs in between that waited for another machine.
    pub waits: u64,
    /// Answers out of the cache.
    pub cache_hits: u64,
    /// Microseconds of all runs.
    pub micros: u64,
    /// Microseconds of the slowest run.
    pub slowest_micros: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
}

/// Whether a plugin is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginRequest {
    /// Whether it is to be loaded.
    pub enabled: bool,
}

/// A version to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialRequest {
    /// What stands behind the `@` of its folder: `next` for `promo@next`.
    #[schema(min_length = 1, max_length = 63, pattern = "^[0-9A-Za-z._-]+$")]
    pub version: String,
    /// For how many of a hundred contacts or messages, chosen by hash.
    #[serde(deserialize_with = "number::whole")]
    #[schema(value_type = u8, minimum = 1, maximum = 100)]
    pub percent: u32,
    /// After how many seconds it ends by itself; when somebody ends it if not set.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::maybe")]
    #[schema(minimum = 1, maximum = 31536000)]
    pub seconds: Option<u32>,
}
