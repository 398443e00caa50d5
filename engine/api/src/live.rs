//! What is said on connections: `GET /v1/sessions/{session}/transcript`, the same as a stream whose
//! events are named `line`, and `GET /v1/transcripts` for sessions that are over.

use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;

/// The most lines that are kept of a session; what came before is cut away.
pub const LINES_MAX: usize = 64;

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The client of the connection.
    Client,
    /// The server of the connection.
    Server,
    /// Neither: what happened, in words.
    Note,
}

/// A line of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// When (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// Who said it.
    pub by: Speaker,
    /// What, without its line end; secrets and messages are left out, and said to be.
    pub text: String,
}

/// What was said in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Transcript {
    /// The session.
    pub session: String,
    /// `in` or `out`.
    pub direction: String,
    /// The other end.
    pub peer: String,
    /// The site, of sessions out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// The egress source, of sessions out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Whether it is over.
    pub over: bool,
    /// Whether something failed in it.
    pub failed: bool,
    /// Lines that were cut away before the first.
    pub cut: u64,
    /// The lines.
    pub lines: Vec<Line>,
}

/// Which sessions that are over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TranscriptsQuery {
    /// Of this site.
    #[param(max_length = 255)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// By this egress source.
    #[param(max_length = 63)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only those in which something failed.
    pub failed: bool,
}
