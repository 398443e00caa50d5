//! Webhooks: where events are sent (Standard Webhooks).

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::event::EventType;

/// The most types of events that a webhook names.
pub const TYPES_MAX: usize = 32;

/// A webhook to be made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// Where events go. An address inside one's own network is refused unless it is allowed.
    #[schema(format = "uri", min_length = 8, max_length = 2048, pattern = "^https?://")]
    pub url: String,
    /// Which events; all if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32)]
    pub events: Vec<EventType>,
    /// Whether it waits for now.
    #[serde(default)]
    pub paused: bool,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Where events go.
    pub url: String,
    /// Which events; all if empty.
    pub events: Vec<EventType>,
    /// Whether it waits for now.
    pub paused: bool,
    /// Switched off by itself: it answered 410, or too many events are set aside. Changing it or
    /// replaying switches it on.
    pub disabled: bool,
    /// Behind which event it goes on.
    #[serde(default)]
    pub after: Option<String>,
    /// Since when the next event is not taken (RFC 3339).
    #[serde(default)]
    #[schema(format = "date-time")]
    pub failing_since: Option<String>,
    /// When it is tried again (RFC 3339).
    #[serde(default)]
    #[schema(format = "date-time")]
    pub next_try_at: Option<String>,
    /// Why the last try failed.
    #[serde(default)]
    pub error: Option<String>,
    /// When it was made (RFC 3339).
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Who made it, as the audit log says it.
    pub created_by: String,
}

/// A webhook with a new secret, which is not shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewWebhook {
    /// The secret that verifies signatures: `whsec_…`.
    pub secret: String,
    /// What is known of it.
    pub webhook: Webhook,
}

/// From where to send again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Behind which event: its id.
    #[schema(min_length = 1, max_length = 64)]
    pub after: String,
}

/// An event that was set aside because it was not taken in all its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The event's id.
    pub id: String,
    /// When it was given up (RFC 3339).
    #[schema(format = "date-time")]
    pub given_up_at: String,
    /// Why.
    pub error: String,
    /// Whether it is about to be tried again.
    pub again: bool,
    /// The event.
    #[schema(value_type = Object)]
    pub event: serde_json::Value,
}
