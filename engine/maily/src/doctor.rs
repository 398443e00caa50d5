//! What a daemon stands on, looked at one by one. Each finding says what was seen and what to do.

use serde::Serialize;

pub mod certificates;
pub mod machine;
pub mod names;

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and somebody should see to it.
    Warn,
    /// Mail is lost to the spam folder, refused, or not sent.
    Fail,
}

/// What was seen of a thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, in one word.
    pub about: &'static str,
    /// How it is.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// What to do; empty if nothing.
    pub next: String,
}

impl Level {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Finding {
    /// As it should be.
    pub fn ok(about: &'static str, what: String) -> Self {
        Self { about, level: Level::Ok, what, next: String::new() }
    }

    /// Not as it should be.
    pub fn new(about: &'static str, level: Level, what: String, next: &str) -> Self {
        Self { about, level, what, next: next.to_owned() }
    }
}
