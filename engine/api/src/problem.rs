//! What went wrong (RFC 9457): every answer of 400 and above is one of these.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of a [`Problem`] (RFC 9457 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem and stays the same: `urn:maily:problem:not-permitted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status code of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this very request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request's id, as in the field X-Request-Id and in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The members of the request that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// What is wrong with one member of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where (RFC 6901), such as `/recipients/3/email`; empty for all of it.
    pub pointer: String,
    /// The kind of fault, in a word that stays the same: `too_long`.
    pub code: String,
    /// The fault in words.
    pub detail: String,
}

impl Problem {
    /// What is wrong, for a person.
    pub fn words(&self) -> String {
        if self.errors.is_empty() {
            return self.detail.clone().unwrap_or_else(|| self.title.clone());
        }
        let each = self.errors.iter().map(|each| format!("{}: {}", each.pointer, each.detail));
        each.collect::<Vec<_>>().join("; ")
    }
}
