//! Why mail waits: `GET /v1/why`.

use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;

/// Which mail is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WhyQuery {
    /// A selector of waiting mail; all of it without.
    #[param(max_length = 2048)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// Why mail waits. The counts of the causes add up to `waiting`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// When it was so (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// Messages that wait, one for each domain of a message.
    pub waiting: u64,
    /// Messages that are under way; they wait for nothing and are not counted above.
    pub in_flight: u64,
    /// What holds them, the most first.
    pub causes: Vec<Cause>,
}

/// What holds messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// Its name, such as `remote:rate_limited`, `policy:rate`, `admin`, `schedule` or `dns`.
    pub cause: String,
    /// Messages that it holds.
    pub count: u64,
    /// What it is, in words, with the reply of the host or the limit.
    pub detail: String,
    /// Since when (RFC 3339); none if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub since: Option<String>,
    /// When it ends or is looked at again (RFC 3339); none if nothing says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub until: Option<String>,
    /// Where it comes from: a site and source, the file and line of a limit or rule, a directive.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do about it.
    pub remedy: String,
    /// A selector of what it holds, as far as one says it.
    pub selector: String,
}
