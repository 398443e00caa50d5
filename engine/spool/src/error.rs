//! What can go wrong with the spool.

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// The disk has no room beside the reserve for settling what is there.
    #[error("the spool's disk is full")]
    Full,
    /// A write or sync failed; the segment is closed, nothing of it was acknowledged.
    #[error("the spool could not be written: {0}")]
    Failed(String),
    /// Its template is not in the spool: put that first, then the message again.
    #[error("the message's template is not in the spool")]
    UnknownTemplate,
    /// As many templates as can be are waited for.
    #[error("there are too many templates in the spool")]
    TooManyTemplates,
}

/// Why a message could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// There is no such message, or all of it is settled.
    #[error("no such message in the spool")]
    Unknown,
    /// Its record is damaged: it is in quarantine.
    #[error("the record is damaged and was quarantined: {0}")]
    Damaged(String),
    /// It could not be read; it is still there.
    #[error("the spool could not be read: {0}")]
    Failed(String),
}

/// The spool could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the spool could not be opened: {0}")]
pub struct OpenError(pub String);
