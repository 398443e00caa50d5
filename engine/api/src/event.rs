//! What happened to mail: `GET /v1/events`, its stream, and what webhooks are sent.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// The kinds of events. There will be more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum EventType {
    /// The message is on disk.
    #[serde(rename = "message.accepted")]
    Accepted,
    /// The next hop took it.
    #[serde(rename = "message.delivered")]
    Delivered,
    /// It will be tried again.
    #[serde(rename = "message.deferred")]
    Deferred,
    /// Given up: the next hop will not have it.
    #[serde(rename = "message.bounced")]
    Bounced,
    /// Given up for age.
    #[serde(rename = "message.expired")]
    Expired,
    /// Not sent: the recipient does not want it.
    #[serde(rename = "message.suppressed")]
    Suppressed,
    /// Taken back before it was sent.
    #[serde(rename = "message.removed")]
    Removed,
    /// The pixel was fetched.
    #[serde(rename = "message.opened")]
    Opened,
    /// A link was followed.
    #[serde(rename = "message.clicked")]
    Clicked,
    /// The recipient wants no more of it.
    #[serde(rename = "message.unsubscribed")]
    Unsubscribed,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Where it stands in the log; rises, and is good as a cursor.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When (RFC 3339).
    #[schema(format = "date-time")]
    pub time: String,
    /// In which project.
    #[serde(default)]
    pub project: Option<String>,
    /// What belongs to the kind. It grows; what is there stays.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}
