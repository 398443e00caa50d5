//! What each hook may answer: typed values, read out of what a script returned. What does not fit
//! is a fault; a key that nobody reads is told of.

use rhai::Dynamic;
use serde::Serialize;
use serde_json::Value;

use crate::fields::Fields;
use crate::fields::HeaderEdits;
use crate::fields::Wrong;
use crate::fields::is_status;
use crate::fields::name;

/// An answer that scripts give.
pub trait Answer: Default {
    /// Reads it; names of keys that mean nothing are put into `odd`.
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong>;

    /// As JSON, for tests and people.
    fn to_json(&self) -> Value;

    /// What a cache keeps of it, if any cache does.
    fn to_cache(&self) -> Option<serde_json::Map<String, Value>> {
        None
    }

    /// The answer that a cache kept.
    fn from_cache(_kept: serde_json::Map<String, Value>) -> Option<Self> {
        None
    }
}

/// `on_accept`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AcceptAnswer {
    /// What becomes of the message.
    pub verdict: Verdict,
    /// Header fields that are changed.
    pub headers: HeaderEdits,
}

/// What becomes of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is taken.
    #[default]
    Accept,
    /// It is refused for good.
    Reject {
        /// `5.x.y`.
        status: String,
        /// For the sender.
        text: String,
    },
    /// It is refused for now.
    Defer {
        /// `4.x.y`.
        status: String,
        /// For the sender.
        text: String,
    },
    /// It is taken and waits for somebody.
    Hold {
        /// Why.
        why: String,
    },
    /// It is taken and thrown away.
    Discard {
        /// Why.
        why: String,
    },
}

/// `on_enrich`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EnrichAnswer {
    /// What was found out.
    pub attrs: serde_json::Map<String, Value>,
}

/// `on_segment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SegmentAnswer {
    /// Whether the contact belongs to it.
    pub member: bool,
    /// Under which label.
    pub label: Option<String>,
}

/// `on_personalize`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PersonalizeAnswer {
    /// Variables for the template, over those that are there.
    pub vars: serde_json::Map<String, Value>,
    /// Another subject.
    pub subject: Option<String>,
    /// Header fields that are changed.
    pub headers: HeaderEdits,
    /// Why this recipient gets nothing.
    pub skip: Option<String>,
}

/// `on_variant`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VariantAnswer {
    /// Which one; none leaves it to the hash of the contact.
    pub variant: Option<String>,
}

/// `on_route`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteAnswer {
    /// Another pool.
    pub pool: Option<String>,
    /// `transactional` or `bulk`.
    pub priority: Option<String>,
    /// Not before so many seconds since 1970.
    pub not_before: Option<u64>,
}

/// `on_send`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SendAnswer {
    /// Header fields that are changed.
    pub headers: HeaderEdits,
    /// Why it waits for somebody.
    pub hold: Option<String>,
    /// Why it is not sent.
    pub skip: Option<String>,
}

/// `on_response`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResponseAnswer {
    /// `permanent`, `transient`, `throttled` or `blocked`.
    pub class: Option<String>,
    /// Seconds until the next attempt.
    pub retry_after: Option<u64>,
    /// `recipient`, `message`, `host` or `destination`.
    pub scope: Option<String>,
}

/// `on_bounce`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BounceAnswer {
    /// Whether the address is suppressed; none leaves it as it would be.
    pub suppress: Option<bool>,
    /// `hard` or `soft`: the address is taken for dead, or for alive.
    pub kind: Option<String>,
    /// Tags, which become an event.
    pub tags: Vec<String>,
}

/// `on_complaint` and `on_unsubscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReportAnswer {
    /// Whether the address is suppressed for all of the project. What somebody said who does not
    /// want mail is never taken back.
    pub suppress: bool,
    /// Tags, which become an event.
    pub tags: Vec<String>,
}

/// `on_track`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TrackAnswer {
    /// Tags, which become an event.
    pub tags: Vec<String>,
    /// Whether the event is left out.
    pub discard: bool,
}

/// `on_event` and `on_timer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NoAnswer {}

fn json_of(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

impl Answer for AcceptAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["verdict", "status", "text", "headers"];
        let fields =
            Fields::of(value, "accept(), reject(…), defer(…), hold(…) or discard(…)", &keys, odd)?;
        let known = ["accept", "reject", "defer", "hold", "discard"];
        let verdict = fields.one_of("verdict", &known)?;
        let status = fields.text("status")?;
        let text = fields.text("text")?.unwrap_or_default();
        let headers = fields.headers()?;
        let class = |class: char, default: &str| match status {
            Some(status) if is_status(&status, class) => Ok(status),
            Some(status) => Err(Wrong::new(format!("the status is {class}.x.y, not `{status}`"))),
            None => Ok(default.to_owned()),
        };
        let verdict = match verdict.as_deref() {
            Some("reject") => Verdict::Reject { status: class('5', "5.7.1")?, text },
            Some("defer") => Verdict::Defer { status: class('4', "4.7.1")?, text },
            Some("hold") => Verdict::Hold { why: text },
            Some("discard") => Verdict::Discard { why: text },
            _ => Verdict::Accept,
        };
        Ok(Self { verdict, headers })
    }

    fn to_json(&self) -> Value {
        let mut json = json_of(&self.verdict);
        if let Value::Object(fields) = &mut json {
            fields.insert("headers".to_owned(), json_of(&self.headers));
        }
        json
    }
}

impl Answer for EnrichAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["attrs"];
        let fields = Fields::of(value, "#{ attrs: #{ … } }", &keys, odd)?;
        let attrs = fields.json("attrs")?;
        Ok(Self { attrs })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }

    fn to_cache(&self) -> Option<serde_json::Map<String, Value>> {
        Some(self.attrs.clone())
    }

    fn from_cache(attrs: serde_json::Map<String, Value>) -> Option<Self> {
        Some(Self { attrs })
    }
}

impl Answer for SegmentAnswer {
    fn read(value: Dynamic, _odd: &mut Vec<String>) -> Result<Self, Wrong> {
        if let Ok(member) = value.as_bool() {
            return Ok(Self { member, label: None });
        }
        if value.is_string() {
            return Ok(Self { member: true, label: Some(name("the label", &value)?) });
        }
        Err(Wrong::kind("the answer", "true, false or a label", &value))
    }

    fn to_json(&self) -> Value {
        match &self.label {
            Some(label) => Value::String(label.clone()),
            None => Value::Bool(self.member),
        }
    }
}

impl Answer for PersonalizeAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["vars", "subject", "headers", "skip"];
        let fields = Fields::of(value, "#{ vars, subject, headers, skip }", &keys, odd)?;
        let vars = fields.json("vars")?;
        let subject = fields.text("subject")?;
        let headers = fields.headers()?;
        let skip = fields.text("skip")?;
        Ok(Self { vars, subject, headers, skip })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl Answer for VariantAnswer {
    fn read(value: Dynamic, _odd: &mut Vec<String>) -> Result<Self, Wrong> {
        if value.is_unit() {
            return Ok(Self { variant: None });
        }
        Ok(Self { variant: Some(name("the variant", &value)?) })
    }

    fn to_json(&self) -> Value {
        self.variant.clone().map_or(Value::Null, Value::String)
    }
}

impl Answer for RouteAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["pool", "priority", "not_before"];
        let fields = Fields::of(value, "#{ pool, priority, not_before }", &keys, odd)?;
        let pool = match fields.get("pool") {
            Some(pool) => Some(name("pool", pool)?),
            None => None,
        };
        let priority = fields.one_of("priority", &["transactional", "bulk"])?;
        let not_before = fields.number("not_before")?;
        Ok(Self { pool, priority, not_before })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl Answer for SendAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["headers", "hold", "skip"];
        let fields = Fields::of(value, "#{ headers, hold, skip }", &keys, odd)?;
        let headers = fields.headers()?;
        let (hold, skip) = (fields.text("hold")?, fields.text("skip")?);
        Ok(Self { headers, hold, skip })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl Answer for ResponseAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["class", "retry_after", "scope"];
        let fields = Fields::of(value, "#{ class, retry_after, scope }", &keys, odd)?;
        let class = fields.one_of("class", &["permanent", "transient", "throttled", "blocked"])?;
        let retry_after = fields.number("retry_after")?;
        let scope = fields.one_of("scope", &["recipient", "message", "host", "destination"])?;
        Ok(Self { class, retry_after, scope })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl BounceAnswer {
    /// Whether it wants the address suppressed: what it says, or else what follows from the kind.
    pub fn decision(&self) -> Option<bool> {
        self.suppress.or_else(|| self.kind.as_deref().map(|kind| kind == "hard"))
    }
}

impl Answer for BounceAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["suppress", "kind", "tags"];
        let fields = Fields::of(value, "#{ suppress, kind, tags }", &keys, odd)?;
        let suppress = fields.yes("suppress")?;
        let kind = fields.one_of("kind", &["hard", "soft"])?;
        let tags = fields.tags()?;
        Ok(Self { suppress, kind, tags })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl Answer for ReportAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["suppress", "tags"];
        let fields = Fields::of(value, "#{ suppress: true, tags }", &keys, odd)?;
        let suppress = match fields.yes("suppress")? {
            Some(false) => {
                let text = "suppress can only be true: they said that they want no mail";
                return Err(Wrong::new(text.to_owned()));
            }
            said => said.unwrap_or(false),
        };
        let tags = fields.tags()?;
        Ok(Self { suppress, tags })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl Answer for TrackAnswer {
    fn read(value: Dynamic, odd: &mut Vec<String>) -> Result<Self, Wrong> {
        let keys = ["tags", "discard"];
        let fields = Fields::of(value, "#{ tags, discard }", &keys, odd)?;
        let tags = fields.tags()?;
        let discard = fields.yes("discard")?.unwrap_or(false);
        Ok(Self { tags, discard })
    }

    fn to_json(&self) -> Value {
        json_of(self)
    }
}

impl Answer for NoAnswer {
    fn read(_value: Dynamic, _odd: &mut Vec<String>) -> Result<Self, Wrong> {
        Ok(Self {})
    }

    fn to_json(&self) -> Value {
        Value::Null
    }
}
