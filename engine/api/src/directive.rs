//! What operators do with waiting mail: `GET`, `POST /v1/directives`, `GET`, `DELETE
//! /v1/directives/{directive}`.
//!
//! A directive is durable, has an author and a reason, and is its own job: it says how far it has
//! come. Taking it back lets go what it holds.

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::number;

/// Messages shown as samples.
pub const SAMPLES_MAX: usize = 5;
/// The most octets of a reason.
pub const REASON_OCTETS_MAX: usize = 500;
/// The longest time that a directive is given, in seconds: a year.
pub const DIRECTIVE_SECS_MAX: u32 = 365 * 86_400;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Send nothing of it, also of what comes later, until it is resumed. No attempt is counted.
    Suspend,
    /// End suspensions.
    Resume,
    /// Send nothing of what waits now, until it is released. What comes later goes on.
    Hold,
    /// Let go what is held, by an operator or a plugin.
    Release,
    /// Try now what waits for its time.
    Retry,
    /// Give it up, with a report to the sender. It is held first, so that this can be undone.
    Bounce,
    /// Remove it without a word to the sender. It is held first, so that this can be undone.
    Drop,
    /// Send it by the egress sources of another pool.
    Move,
}

impl Verb {
    /// Its word, as commands have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Retry => "retry",
            Self::Bounce => "bounce",
            Self::Drop => "drop",
            Self::Move => "move",
        }
    }
}

/// A directive to be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectiveRequest {
    /// What is to be done.
    pub verb: Verb,
    /// With which mail: a selector, or `all`.
    #[schema(min_length = 1, max_length = 2048)]
    pub selector: String,
    /// Why; not needed to see what would happen.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub reason: String,
    /// After how many seconds a suspension or hold ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::maybe")]
    #[schema(minimum = 1, maximum = 31536000)]
    pub seconds: Option<u32>,
    /// Also with mail that comes later: for `bounce`, `drop` and `move`, until it is taken back.
    #[serde(default)]
    pub future: bool,
    /// To which pool, for `move`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 63)]
    pub pool: Option<String>,
    /// How many seconds `bounce` and `drop` can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::maybe")]
    #[schema(minimum = 0, maximum = 86400)]
    pub window_seconds: Option<u32>,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
    /// How many messages it was said to be; refused if there are by now over a tenth more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

/// How far a directive has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectiveState {
    /// Nothing was done: it was asked what would be.
    DryRun,
    /// It is in force, until it is taken back or its time is over.
    InForce,
    /// What it is about is held, and it can be undone.
    Pending,
    /// It is at work.
    Working,
    /// It is done.
    Done,
    /// It was taken back.
    Undone,
    /// Its time is over.
    Over,
}

/// A message as a sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Its id.
    pub message: String,
    /// The domain that it is for.
    pub domain: String,
    /// Its campaign.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub campaign: String,
    /// How long it has waited, in seconds.
    pub age_seconds: u64,
}

/// How many messages of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Which part.
    pub name: String,
    /// Messages.
    pub count: u64,
}

/// A directive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Directive {
    /// Its name, such as `d-118`; `dry-run` if it is none.
    pub id: String,
    /// What is done.
    pub verb: Verb,
    /// With which mail.
    pub selector: String,
    /// Why.
    pub reason: String,
    /// Who gave it.
    pub author: String,
    /// When it was given (RFC 3339).
    #[schema(format = "date-time")]
    pub at: String,
    /// How far it has come.
    pub state: DirectiveState,
    /// When it ends by itself, or until when it can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub until: Option<String>,
    /// Whether mail that comes later is meant too.
    pub future: bool,
    /// To which pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Messages that it was about when it was given.
    pub matched: u64,
    /// Messages of these that were under way, and go on.
    pub in_flight: u64,
    /// Messages with which it is done.
    pub done: u64,
    /// What it does and what it does not, in words.
    pub effect: Vec<String>,
    /// Where these messages go, the most first; others together as `others`.
    #[serde(default)]
    pub sites: Vec<Part>,
    /// Some of these messages.
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// The same by the command line.
    pub command: String,
}
