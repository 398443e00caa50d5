//! What each hook is given: typed values, which scripts see as views. One struct for each hook.

use std::collections::BTreeMap;

use rhai::Dynamic;
use serde::Deserialize;
use serde::Deserializer;
use serde_json::Map;
use serde_json::Value;

use crate::show::Show;
use crate::value;
use crate::value::View;

/// A contact: `email` and whatever else is known. Made once and shown to all plugins.
#[derive(Clone, Debug)]
pub struct Contact(View);

/// Free facts, such as template variables or metadata. Made once and shown to all plugins.
#[derive(Clone, Debug)]
pub struct Facts(View);

/// What a hook is given.
pub trait Input {
    /// As scripts see it, with as much of the contact as a plugin may see.
    fn show(&self, show: Show<'_>) -> Dynamic;

    /// The message that it is about, for faults.
    fn message_id(&self) -> Option<&str> {
        None
    }

    /// What answers are kept by: a field, such as `contact.email`.
    fn cache_key(&self, _path: &str) -> Option<String> {
        None
    }

    /// What tells one from another, for versions that are tried on a part of all.
    fn key(&self) -> Option<String> {
        self.message_id().map(str::to_owned)
    }

    /// The name of what it is about, for plugins that are asked for one only.
    fn subject(&self) -> Option<&str> {
        None
    }
}

impl Contact {
    /// A contact with an address and other fields.
    pub fn new(email: &str, mut fields: Map<String, Value>) -> Self {
        fields.insert("email".to_owned(), Value::String(email.to_owned()));
        Self(View::of_json("contact", &fields))
    }

    /// The address, if it is known.
    pub fn email(&self) -> Option<String> {
        self.0.get("email").ok().and_then(|email| email.into_string().ok())
    }

    /// A field of it by its path, as a text: `attrs.country`.
    pub fn field(&self, path: &str) -> Option<String> {
        let mut at = Dynamic::from(self.0.clone());
        for part in path.split('.') {
            let view = at.try_cast::<View>()?;
            at = view.get(part).ok()?;
        }
        match value::to_json(&at, 1).ok()? {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }
}

impl Facts {
    /// Facts with what they are called in messages.
    pub fn new(name: &str, fields: &Map<String, Value>) -> Self {
        Self(View::of_json(name, fields))
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self(View::open("contact").done())
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self(View::open("facts").done())
    }
}

impl<'de> Deserialize<'de> for Contact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Map::deserialize(from).map(|fields| Self(View::of_json("contact", &fields)))
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Map::deserialize(from).map(|fields| Self(View::of_json("facts", &fields)))
    }
}

/// `on_accept`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AcceptInput {
    /// The message's id.
    pub queue_id: String,
    /// Where reports go; empty if nowhere.
    pub reverse_path: String,
    /// All recipients.
    pub recipients: Vec<String>,
    /// Header fields: the first of each name, in small letters.
    pub headers: BTreeMap<String, String>,
    /// The subject, decoded.
    pub subject: String,
    /// Octets of the message.
    pub size: u64,
    /// Where the client is.
    pub ip: String,
    /// What it said in EHLO.
    pub hello: String,
    /// As whom it logged in.
    pub auth: Option<String>,
    /// `smtp` or `http`.
    pub via: String,
}

fn header_view(headers: &BTreeMap<String, String>) -> View {
    let mut view = View::open("headers");
    for (name, value) in headers {
        view = view.text(&name.to_ascii_lowercase(), value);
    }
    view.done()
}

impl Input for AcceptInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.text("queue_id", &self.queue_id)
            .text("reverse_path", &self.reverse_path)
            .texts("recipients", self.recipients.iter().map(String::as_str))
            .view("headers", || header_view(&self.headers))
            .text("subject", &self.subject)
            .number("size", self.size)
            .text("ip", &self.ip)
            .text("hello", &self.hello)
            .text_option("auth", self.auth.as_deref())
            .text("via", &self.via)
            .done()
    }

    fn message_id(&self) -> Option<&str> {
        Some(&self.queue_id)
    }
}

/// `on_enrich`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrichInput {
    /// Whom.
    pub contact: Contact,
}

impl Input for EnrichInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.contact(&self.contact.0).done()
    }

    fn cache_key(&self, path: &str) -> Option<String> {
        self.contact.field(path.strip_prefix("contact.").unwrap_or(path))
    }

    fn key(&self) -> Option<String> {
        self.contact.email()
    }
}

/// `on_segment`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentInput {
    /// The segment that is built.
    pub segment: String,
    /// Whether this contact belongs to it.
    pub contact: Contact,
}

impl Input for SegmentInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.text("segment", &self.segment).contact(&self.contact.0).done()
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.segment)
    }

    fn key(&self) -> Option<String> {
        self.contact.email()
    }
}

/// `on_personalize`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersonalizeInput {
    /// Who reads it.
    pub contact: Contact,
    /// The campaign, or nothing.
    pub campaign: Option<String>,
    /// The template's variables so far.
    pub vars: Map<String, Value>,
    /// The message.
    pub message_id: String,
}

impl Input for PersonalizeInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.contact(&self.contact.0)
            .text_option("campaign", self.campaign.as_deref())
            .view("vars", || View::of_json("vars", &self.vars))
            .text("message_id", &self.message_id)
            .done()
    }

    fn message_id(&self) -> Option<&str> {
        Some(&self.message_id)
    }

    fn subject(&self) -> Option<&str> {
        self.campaign.as_deref()
    }

    fn key(&self) -> Option<String> {
        self.contact.email()
    }
}

/// `on_variant`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VariantInput {
    /// Who sees it.
    pub contact: Contact,
    /// The experiment.
    pub experiment: String,
    /// The names of its variants.
    pub variants: Vec<String>,
}

impl Input for VariantInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.contact(&self.contact.0)
            .text("experiment", &self.experiment)
            .texts("variants", self.variants.iter().map(String::as_str))
            .done()
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.experiment)
    }

    fn key(&self) -> Option<String> {
        self.contact.email()
    }
}

/// `on_route`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteInput {
    /// The message.
    pub queue_id: String,
    /// Where reports go; empty if nowhere.
    pub reverse_path: String,
    /// The domain of the recipients.
    pub domain: String,
    /// `transactional` or `bulk`.
    pub class: String,
    /// The campaign, or nothing.
    pub campaign: Option<String>,
    /// The tenant, or nothing.
    pub tenant: Option<String>,
    /// The pool that it would have.
    pub pool: String,
    /// What the sender said about it.
    pub meta: Facts,
}

impl Input for RouteInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.text("queue_id", &self.queue_id)
            .text("reverse_path", &self.reverse_path)
            .text("domain", &self.domain)
            .text("class", &self.class)
            .text_option("campaign", self.campaign.as_deref())
            .text_option("tenant", self.tenant.as_deref())
            .text("pool", &self.pool)
            .view("meta", || self.meta.0.clone())
            .done()
    }

    fn message_id(&self) -> Option<&str> {
        Some(&self.queue_id)
    }
}

/// `on_send`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendInput {
    /// The message.
    pub queue_id: String,
    /// To whom.
    pub recipient: String,
    /// Header fields: the first of each name, in small letters.
    pub headers: BTreeMap<String, String>,
    /// The subject, decoded.
    pub subject: String,
    /// The HTML body, as far as it is known; at most 64 KiB.
    pub html: String,
    /// The plain body, as far as it is known; at most 64 KiB.
    pub text: String,
    /// What the sender said about it.
    pub meta: Facts,
}

impl Input for SendInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.text("queue_id", &self.queue_id)
            .text("recipient", &self.recipient)
            .view("headers", || header_view(&self.headers))
            .text("subject", &self.subject)
            .text("html", &self.html)
            .text("text", &self.text)
            .view("meta", || self.meta.0.clone())
            .done()
    }

    fn message_id(&self) -> Option<&str> {
        Some(&self.queue_id)
    }
}

/// `on_response`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseInput {
    /// The reply's code.
    pub code: u64,
    /// Its enhanced status, or nothing.
    pub status: Option<String>,
    /// Its text.
    pub text: String,
    /// The hosts that answered, by what they have in common.
    pub site: String,
    /// The domain of the recipients.
    pub domain: String,
    /// Which attempt it was, from 1.
    pub attempt: u64,
    /// Seconds since the message was taken.
    pub age: u64,
}

impl Input for ResponseInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.number("code", self.code)
            .text_option("status", self.status.as_deref())
            .text("text", &self.text)
            .text("site", &self.site)
            .text("domain", &self.domain)
            .number("attempt", self.attempt)
            .number("age", self.age)
            .done()
    }
}

/// `on_bounce`, `on_complaint` and `on_unsubscribe`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportInput {
    /// Whom it is about.
    pub recipient: String,
    /// `hard` or `soft`; the feedback type; how somebody unsubscribed.
    pub kind: String,
    /// The enhanced status, or nothing.
    pub status: Option<String>,
    /// What the report says.
    pub text: String,
    /// Whom it is about, as far as is known.
    pub contact: Contact,
    /// The message that it is about, or nothing.
    pub message_id: Option<String>,
    /// The campaign, or nothing.
    pub campaign: Option<String>,
}

impl Input for ReportInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.text("recipient", &self.recipient)
            .text("kind", &self.kind)
            .text_option("status", self.status.as_deref())
            .text("text", &self.text)
            .contact(&self.contact.0)
            .text_option("message_id", self.message_id.as_deref())
            .text_option("campaign", self.campaign.as_deref())
            .done()
    }

    fn message_id(&self) -> Option<&str> {
        self.message_id.as_deref()
    }

    fn key(&self) -> Option<String> {
        Some(self.recipient.clone())
    }
}

/// `on_track`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackInput {
    /// What happened: `kind`, `url`, `user_agent_class`, `campaign` and so on.
    pub event: Facts,
    /// Who did it.
    pub contact: Contact,
}

impl Input for TrackInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.view("event", || self.event.0.clone()).contact(&self.contact.0).done()
    }

    fn key(&self) -> Option<String> {
        self.contact.email()
    }
}

/// `on_event`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventInput {
    /// Events of the log, oldest first.
    pub events: Vec<Facts>,
}

impl Input for EventInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        let events = self.events.iter().map(|event| Dynamic::from(event.0.clone()));
        show.with("events", || Dynamic::from_array(events.collect())).done()
    }
}

/// `on_timer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimerInput {
    /// Seconds since 1970.
    pub now: u64,
    /// The name in the manifest.
    pub name: String,
}

impl Input for TimerInput {
    fn show(&self, mut show: Show<'_>) -> Dynamic {
        show.number("now", self.now).text("name", &self.name).done()
    }

    fn subject(&self) -> Option<&str> {
        Some(&self.name)
    }
}
