//! Who is not written to: `GET`, `POST /v1/suppressions`, `DELETE /v1/suppressions/{recipient}`.

use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
use utoipa::ToSchema;

/// The most recipients in one request.
pub const RECIPIENTS_MAX: usize = 10_000;

/// Why somebody is not written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// They unsubscribed.
    Unsubscribed,
    /// They complained.
    Complained,
    /// There is no such mailbox, or it was full or closed for long.
    Bounced,
    /// Somebody who may said so.
    #[default]
    Operator,
}

/// Somebody who is not written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suppression {
    /// The mailbox, in lower case.
    pub recipient: String,
    /// The list whose mail they are not sent; all mail of the project without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Why, as was said last.
    pub reason: SuppressionReason,
    /// The message that brought it about last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was said first (RFC 3339).
    #[schema(format = "date-time")]
    pub first_at: String,
    /// When it was said last.
    #[schema(format = "date-time")]
    pub last_at: String,
    /// When it ends by itself; never without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub until: Option<String>,
}

/// Whom not to write to any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SuppressRequest {
    /// The mailboxes.
    #[schema(min_items = 1, max_items = 10_000)]
    pub recipients: Vec<String>,
    /// The list whose mail they are not sent; all mail of the project without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 63)]
    pub list: Option<String>,
    /// Why.
    #[serde(default)]
    pub reason: SuppressionReason,
    /// When it ends by itself (RFC 3339); never without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub until: Option<String>,
}

/// How many were written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuppressedCount {
    /// Recipients that are not written to from now on.
    pub suppressed: u32,
}

/// Which of them are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SuppressionsQuery {
    /// The most rows to give.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// The `next` of the page before; the list begins at its start without it.
    #[param(max_length = 1024)]
    pub after: Option<String>,
    /// Only those of this list.
    #[param(min_length = 1, max_length = 63)]
    pub list: Option<String>,
    /// Only mailboxes that begin so; of all mail of the project, if no list is named.
    #[param(max_length = 320)]
    pub recipient: Option<String>,
}

/// Which mail somebody may be sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiftQuery {
    /// Mail of this list; without, what was said of all mail of the project is lifted.
    #[param(min_length = 1, max_length = 63)]
    pub list: Option<String>,
}
