//! A project: whose mail, templates and tokens they are.

use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;

use crate::name::Name;

/// The most projects.
pub const PROJECTS_MAX: usize = 1_000;
/// The most characters of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 500;

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its name, which stays.
    pub name: Name,
    /// What it is for.
    pub description: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as the audit log says it.
    pub created_by: Box<str>,
}
