//! Stored templates: named, with versions that stay.

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::object;

/// What a template says. At least one of `text` and `html` is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateContent {
    /// The subject.
    #[schema(max_length = 998, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    pub subject: String,
    /// The text. Made from the HTML if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTML, whose values are escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// A template to judge, with an example of what its recipients' variables are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LintRequest {
    /// What it says.
    #[serde(deserialize_with = "object::one")]
    pub content: TemplateContent,
    /// The variables of a recipient; names that it lacks are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub sample: Option<Box<RawValue>>,
}

/// Something that a template would better not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The kind, in a word that stays the same: `missing_unsubscribe`.
    pub code: String,
    /// Where: `/subject`, `/text`, `/html` or `/variables`.
    pub part: String,
    /// In words.
    pub detail: String,
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Findings {
    /// Empty if it is good.
    pub findings: Vec<Finding>,
}

/// One version of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TemplateVersion {
    /// The template's name.
    pub name: String,
    /// Which version: 1 is the first.
    pub version: u32,
    /// When it was stored (RFC 3339).
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Who stored it, as the audit log says it.
    pub created_by: String,
}

/// One version of a template, with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// Which it is.
    pub version: TemplateVersion,
    /// What it says.
    pub content: TemplateContent,
    /// What it would better not have.
    pub findings: Vec<Finding>,
}
