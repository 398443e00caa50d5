//! What happened to mail: `GET /v1/events`, its stream, and what webhooks are sent.

use serde::Deserialize;
use serde::Serialize;
use utoipa::IntoParams;
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
    /// The recipient complained of it to its provider (RFC 5965).
    #[serde(rename = "message.complained")]
    Complained,
    /// The recipient wants no more of it.
    #[serde(rename = "message.unsubscribed")]
    Unsubscribed,
    /// The sender was told by mail what became of it (RFC 3464).
    #[serde(rename = "message.reported")]
    Reported,
    /// Plugins said something of what happened to it.
    #[serde(rename = "message.tagged")]
    Tagged,
}

/// The version of the envelope that is written.
pub const SCHEMA: u16 = 1;

impl EventType {
    /// All types.
    pub const ALL: [Self; 13] = [
        Self::Accepted,
        Self::Delivered,
        Self::Deferred,
        Self::Bounced,
        Self::Expired,
        Self::Suppressed,
        Self::Removed,
        Self::Opened,
        Self::Clicked,
        Self::Complained,
        Self::Unsubscribed,
        Self::Reported,
        Self::Tagged,
    ];

    /// As it is written: `message.delivered`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "message.accepted",
            Self::Delivered => "message.delivered",
            Self::Deferred => "message.deferred",
            Self::Bounced => "message.bounced",
            Self::Expired => "message.expired",
            Self::Suppressed => "message.suppressed",
            Self::Removed => "message.removed",
            Self::Opened => "message.opened",
            Self::Clicked => "message.clicked",
            Self::Complained => "message.complained",
            Self::Unsubscribed => "message.unsubscribed",
            Self::Reported => "message.reported",
            Self::Tagged => "message.tagged",
        }
    }

    /// The type of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Where it stands in the log; rises, is the same whenever it is read, and is good as a cursor.
    pub id: String,
    /// The version of this form: a member that goes or changes its meaning raises it, one that is
    /// added does not.
    pub schema: u16,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When (RFC 3339).
    #[schema(format = "date-time")]
    pub time: String,
    /// In which project.
    #[serde(default)]
    pub project: Option<String>,
    /// The message, the recipient, and what belongs to the type. It grows; what is there stays.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The most events to give.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u16>,
    /// Those behind this one: the id of an event, or the `next` of the page before. The oldest that
    /// are kept come first without it.
    #[param(max_length = 512)]
    pub after: Option<String>,
    /// Only of these types, with commas between them.
    #[serde(rename = "type")]
    #[param(
        rename = "type",
        value_type = Option<Vec<EventType>>,
        style = Form,
        explode = false,
        min_items = 1
    )]
    pub types: Option<String>,
}

/// Which events are wanted from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Those behind this one: the id of an event. What comes from now on without it. The field
    /// `Last-Event-ID` goes before it.
    #[param(max_length = 512)]
    pub after: Option<String>,
    /// Only of these types, with commas between them.
    #[serde(rename = "type")]
    #[param(
        rename = "type",
        value_type = Option<Vec<EventType>>,
        style = Form,
        explode = false,
        min_items = 1
    )]
    pub types: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_as_it_is_written() {
        for kind in EventType::ALL {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(text, format!("\"{}\"", kind.name()));
            assert_eq!(EventType::of(kind.name()), Some(kind));
        }
        assert_eq!(EventType::of("message.lost"), None);
    }
}
