//! All at a glance: `GET /v1/overview`, and the same as a stream, `GET /v1/overview/stream`, whose
//! events are named `overview`, one a second.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// All at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// When it was so (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// The daemon's name.
    pub node: String,
    /// Its version.
    pub version: String,
    /// Whether it is taken down.
    pub draining: bool,
    /// For how many seconds it runs.
    pub uptime_seconds: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that are under way.
    pub in_flight: u64,
    /// Messages that wait to be tried again.
    pub deferred: u64,
    /// How long the message has waited that waits longest, in seconds; none if none does.
    #[serde(default)]
    pub oldest_seconds: Option<u64>,
    /// What came in and went out, each second of the last minute, the last one last.
    pub rates: Rates,
    /// Since the start.
    pub totals: Totals,
    /// What it takes.
    pub resources: Resources,
    /// What somebody should look at, what holds the most messages first.
    pub attention: Vec<Attention>,
    /// Where the most mail waits.
    pub sites: Vec<SiteGlance>,
    /// Egress sources by pool.
    pub pools: Vec<PoolGlance>,
}

/// Messages each second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Accepted.
    pub accepted: Vec<u64>,
    /// Delivered.
    pub delivered: Vec<u64>,
    /// Put off.
    pub deferred: Vec<u64>,
    /// Given up.
    pub bounced: Vec<u64>,
}

/// Messages since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Accepted.
    pub accepted: u64,
    /// Delivered, by recipients.
    pub delivered: u64,
    /// Put off, by recipients and attempts.
    pub deferred: u64,
    /// Given up, by recipients.
    pub bounced: u64,
}

/// What the daemon takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// Connections to other hosts.
    pub sessions_out: u64,
    /// Connections from clients.
    pub sessions_in: u64,
    /// Octets of the spool.
    pub spool_octets: u64,
    /// Octets that are free where the spool lies.
    pub disk_free_octets: u64,
    /// Of a hundred, how much of that disk is taken.
    pub disk_percent: f64,
    /// Octets of memory.
    pub memory_octets: u64,
    /// Of a hundred of one core, in the last second.
    pub cpu_percent: f64,
    /// Descriptors that are open.
    pub descriptors: u64,
    /// Descriptors that may be.
    pub descriptors_max: u64,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Mail is held that nobody meant to be.
    Problem,
    /// Somebody meant it so.
    Intended,
    /// It may become a problem.
    Warning,
}

/// What somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attention {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, such as `google` or `plugin/geo`.
    pub subject: String,
    /// Messages that it holds.
    pub held: u64,
    /// What is the matter.
    pub text: String,
    /// Since when (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub since: Option<String>,
    /// A selector of what is held; empty if it holds nothing.
    pub selector: String,
}

/// A site with mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SiteGlance {
    /// Its name.
    pub site: String,
    /// Domains whose mail goes there and waits.
    pub domains: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Delivered a second, of late.
    pub out_per_second: f64,
    /// Of a hundred attempts of late, how many were put off.
    pub defer_percent: f64,
    /// Connections.
    pub connections: u64,
    /// What holds the most of them, in words.
    pub binds: String,
}

/// A pool of egress sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolGlance {
    /// Its name.
    pub pool: String,
    /// Its sources.
    pub sources: u64,
    /// Those that rest somewhere or are suspended, and why.
    pub resting: Vec<String>,
}
