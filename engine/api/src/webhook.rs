//! Webhooks: where events are sent (Standard Webhooks).

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::event::EventType;

/// A webhook to be made or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookRequest {
    /// Where events go. An address inside one's own network is refused unless it is allowed.
    #[schema(format = "uri", min_length = 10, max_length = 2048, pattern = "^https?://")]
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
    /// When it was made (RFC 3339).
    #[schema(format = "date-time")]
    pub created_at: String,
    /// Who made it, as the audit log says it.
    pub created_by: String,
}

/// A webhook that was just made. Its secret is not shown again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewWebhook {
    /// The secret that verifies signatures: `whsec_…`.
    pub secret: String,
    /// What is known of it.
    pub webhook: Webhook,
}
