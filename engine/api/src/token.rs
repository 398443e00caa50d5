//! Tokens: who may do what.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::number;

/// The most scopes that a token or a JWT names: each once.
pub const SCOPES_MAX: usize = 6;

/// What its holder may do: a bundle of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything in a project, but not making owners.
    Admin,
    /// Write what is sent, and read; not send.
    Editor,
    /// Read.
    Viewer,
    /// A program that hands in mail and reads what became of it.
    Api,
}

/// Part of what a role may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Hand in mail, and take back what waits.
    Send,
    /// Read whatever the role may read.
    Read,
    /// Change templates.
    Templates,
    /// Change suppressions.
    Suppressions,
    /// Change webhooks.
    Webhooks,
    /// Projects, tokens, plugins, the queue and the audit log.
    Admin,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it may do at most; never more than whoever makes it.
    pub role: Role,
    /// Only this part of it; all of it if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 6)]
    pub scopes: Vec<Scope>,
    /// What it is for, to tell it from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 127, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub label: Option<String>,
    /// How long it is good, in seconds; for ever if not set.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::maybe")]
    #[schema(minimum = 1, maximum = 315360000)]
    pub expires_in_secs: Option<u32>,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its public part.
    pub id: String,
    /// Whose it is; none for one that is good for every project.
    #[serde(default)]
    pub project: Option<String>,
    /// What it may do at most.
    pub role: Role,
    /// Only this part of it, if any are named.
    pub scopes: Vec<Scope>,
    /// What it is for.
    #[serde(default)]
    pub label: Option<String>,
    /// When it was made (RFC 3339).
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Who made it, as the audit log says it.
    pub created_by: String,
    /// Until when it is good.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub expires_at: Option<String>,
    /// When it was used last, to the hour.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub last_used_at: Option<String>,
}

/// A token that was just made. Its secret is not shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What to send as `Authorization: Bearer …`.
    pub secret: String,
    /// What is known of it.
    pub token: Token,
}
