//! The audit log: who changed what, and who wanted to.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// One entry. Each holds the hash of the one before it, so that none can be changed or taken out
/// without a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counted from 1.
    pub number: u64,
    /// When (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// Who: `token:…`, `jwt:…`, `uid:…` or `nobody`.
    pub actor: String,
    /// From where: an address, or `local`.
    pub client: String,
    /// In which project; none for what belongs to none.
    #[serde(default)]
    pub project: Option<String>,
    /// What was asked for: `POST /v1/tokens`.
    pub action: String,
    /// Of what: `/v1/tokens/4fQ…`.
    pub object: String,
    /// The status of the answer.
    pub outcome: u16,
    /// The request's id.
    pub request: String,
    /// SHA-256 of this entry, in hexadecimal digits.
    pub hash: String,
}
