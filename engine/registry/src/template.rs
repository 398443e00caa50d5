//! Stored templates: named in their project, each with versions that stay as they are.

use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;

use crate::name::Name;

/// The most templates of a project.
pub const TEMPLATES_MAX: usize = 1_000;
/// The most versions of a template that are kept; the oldest goes first.
pub const VERSIONS_MAX: usize = 50;
/// The most octets of all that one version says.
pub const TEMPLATE_OCTETS_MAX: usize = 1 << 20;
/// The most octets of all versions of all templates of a project: they are in memory.
pub const TEMPLATES_OCTETS_MAX: usize = 64 << 20;

/// What a template says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The subject.
    pub subject: Box<str>,
    /// The text.
    pub text: Option<Box<str>>,
    /// The HTML.
    pub html: Option<Box<str>>,
}

impl Content {
    /// Octets of all of it.
    pub fn octets(&self) -> usize {
        let part = |part: &Option<Box<str>>| part.as_deref().map_or(0, str::len);
        self.subject.len() + part(&self.text) + part(&self.html)
    }
}

/// Which version of which template, without its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The template's name.
    pub name: Name,
    /// Which version: 1 is the first.
    pub number: u32,
    /// When it was stored.
    pub created_at: Timestamp,
    /// Who stored it, as the audit log says it.
    pub created_by: Box<str>,
}

/// One version of a template, with its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Which it is.
    pub version: Version,
    /// What it says.
    pub content: Content,
}
