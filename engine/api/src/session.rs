//! Short-lived proofs made from a token, and who one is.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::token::Role;
use crate::token::Scope;

/// A JWT to be made from the token that asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JwtRequest {
    /// Only this part of what the token may do; all of it if empty.
    #[schema(max_items = 6)]
    pub scopes: Vec<Scope>,
}

/// A JWT (RFC 7519), signed with EdDSA (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Jwt {
    /// What to send as `Authorization: Bearer …`.
    pub token: String,
    /// Until when it is good (RFC 3339).
    #[schema(format = "date-time")]
    pub expires_at: String,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// As the audit log says it: `token:…`, `jwt:…` or `uid:…`.
    pub actor: String,
    /// For which project; none for every one.
    #[serde(default)]
    pub project: Option<String>,
    /// The role.
    pub role: Role,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Until when.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub expires_at: Option<String>,
}
