//! Why the registry did not do what it was asked for.

use crate::chance::NoChance;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is none of this name or number.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// There is one already.
    #[error("there is such a {0} already")]
    Exists(&'static str),
    /// It is not as the caller thinks: somebody else changed it.
    #[error("the {0} has changed meanwhile")]
    Changed(&'static str),
    /// One above a limit.
    #[error("{what}: at most {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// It would be more than whoever asks may do.
    #[error("nobody gives away more than they have")]
    TooMuch,
    /// The machine gave no randomness.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// The disk is full.
    #[error("there is no room on disk")]
    Full,
    /// It could not be written; whether it holds after a restart is not known.
    #[error("it could not be written: {0}")]
    Disk(String),
}
