//! The SMTP sessions that go on: `GET /v1/sessions`, `DELETE /v1/sessions/{session}`. What is said
//! in them: `GET /v1/sessions/{session}/transcript`, the same as a stream of events `line` with an
//! event `over` at the end, and `GET /v1/transcripts` for sessions that are over.
//!
//! Texts of peers are as they were, control characters and all: who shows them makes them harmless.

use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;

/// The most lines that are kept of a session; what came before is cut away.
pub const LINES_MAX: usize = 64;
/// The most octets of a line that are kept; a line that had more ends with `…`.
pub const LINE_OCTETS_MAX: usize = 512;
/// The most transcripts of one answer.
pub const TRANSCRIPTS_MAX: usize = 200;

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Somebody else: mail comes in.
    In,
    /// We: mail goes out.
    Out,
}

impl Direction {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The connection is being made.
    Connecting,
    /// The greeting, and EHLO.
    Greeting,
    /// STARTTLS, and the handshake.
    Tls,
    /// AUTH.
    Login,
    /// No mail transaction is open.
    Idle,
    /// MAIL, RCPT and DATA.
    Envelope,
    /// The message is being sent.
    Data,
    /// The message is there, its reply is not.
    Reply,
    /// The end.
    Closing,
}

/// A session that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its name.
    pub session: String,
    /// Who opened it.
    pub direction: Direction,
    /// The other end: its address, or its name and address.
    pub peer: String,
    /// The site, of sessions out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// The egress source, of sessions out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// How far it is.
    pub phase: Phase,
    /// Since when it is so far (RFC 3339).
    #[schema(format = "date-time")]
    pub since: String,
    /// Since when it goes on (RFC 3339).
    #[schema(format = "date-time")]
    pub began_at: String,
    /// The version and cipher of TLS; none in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// As whom the client authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// How many messages were taken.
    pub messages: u64,
    /// Octets that the client sent.
    pub octets: u64,
    /// The last command.
    pub command: String,
    /// The last line of the last reply.
    pub reply: String,
    /// The message under way, of sessions out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The domain that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Whether something has failed in it.
    pub failed: bool,
}

/// Which sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SessionsQuery {
    /// The most rows to give.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// The `next` of the page before; the list begins at its start without it.
    #[param(max_length = 1024)]
    pub after: Option<String>,
    /// Only these.
    #[param(inline)]
    pub direction: Option<Direction>,
}

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
    /// Who opened it.
    pub direction: Direction,
    /// The other end.
    pub peer: String,
    /// The site, of sessions out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// The egress source, of sessions out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// When it began (RFC 3339).
    #[schema(format = "date-time")]
    pub began_at: String,
    /// The message that was under way, of sessions out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether it is over. What failed in a session that goes on is kept by itself.
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
    /// Only of these sessions.
    #[param(inline)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
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
