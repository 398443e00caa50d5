//! Projects: whose mail it is, and who may see it.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// A project to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectRequest {
    /// Its name, which stays.
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub description: Option<String>,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was made (RFC 3339).
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Who made it, as the audit log says it.
    pub created_by: String,
}

/// The domains that a project may send as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SenderDomains {
    /// Each stands for itself and for those below it.
    #[schema(max_items = 1000)]
    pub domains: Vec<String>,
}
