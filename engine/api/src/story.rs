//! The life of a message: `GET /v1/messages/{message}/story`.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The life of a message, as far as the event log goes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Story {
    /// Its id.
    pub message: String,
    /// Who sent it.
    pub reverse_path: String,
    /// To whom.
    pub recipients: Vec<String>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What waits now, and why; empty if nothing does.
    pub waiting: Vec<Waiting>,
}

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// When (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// What: `accepted`, `attempt`, `reported`, `removed`, `opened` and so on.
    pub kind: String,
    /// In words.
    pub text: String,
    /// What was said to whom, in words, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// The event, as `maily trace --json` prints it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub event: Value,
}

/// What of a message waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// For which domain.
    pub domain: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next (RFC 3339); none if it waits for something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub next: Option<String>,
    /// When it is given up.
    #[schema(format = "date-time")]
    pub expires: String,
    /// The cause, in words.
    pub why: String,
}
