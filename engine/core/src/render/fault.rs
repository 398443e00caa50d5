//! What is wrong with what somebody handed in, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into the request, such as `/headers/3/value`.
    pub pointer: Box<str>,
    /// What, for programs.
    pub code: Code,
    /// What, for people.
    pub detail: Box<str>,
}

impl Fault {
    /// A fault at this place.
    pub fn new(pointer: impl Into<Box<str>>, code: Code, detail: impl Into<Box<str>>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.detail)
    }
}

impl std::error::Error for Fault {}

/// What can be wrong. Programs compare [`Code::as_str`], which does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Nothing is there, and something must be.
    Missing,
    /// More octets than may be.
    TooLong,
    /// More of them than may be.
    TooMany,
    /// A CR, LF, NUL or other control character where a header field comes of it.
    ControlCharacter,
    /// No name of a header field (RFC 5322 3.6.8).
    HeaderName,
    /// A header field that we write ourselves.
    ReservedHeader,
    /// No media type, or one that cannot be attached.
    ContentType,
    /// No identifier of a part (RFC 2392 2).
    ContentId,
    /// No address, or one that cannot stand here.
    Address,
    /// Not a JSON object.
    NotAnObject,
    /// JSON nested deeper than may be.
    TooDeep,
    /// A template that cannot be compiled.
    Template,
    /// A message that is not in the form of RFC 5322.
    NotAMessage,
    /// Two wishes that exclude each other.
    Conflict,
}

impl Code {
    /// The code as programs see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::ControlCharacter => "control_character",
            Self::HeaderName => "header_name",
            Self::ReservedHeader => "reserved_header",
            Self::ContentType => "content_type",
            Self::ContentId => "content_id",
            Self::Address => "address",
            Self::NotAnObject => "not_an_object",
            Self::TooDeep => "too_deep",
            Self::Template => "template",
            Self::NotAMessage => "not_a_message",
            Self::Conflict => "conflict",
        }
    }
}
