//! What can go wrong with the spool.

use maily_journal::journal::AppendError;

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
    /// Its id is none of those that are to be given to what comes under the key.
    #[error("the message's id is not one that its idempotency key has left")]
    NotOfKey,
}

impl From<AppendError> for PutError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => Self::Full,
            error => Self::Failed(error.to_string()),
        }
    }
}

impl PutError {
    /// Nobody takes what is put out of the queue any more.
    pub(crate) fn stopped() -> Self {
        Self::Failed("the queue has stopped".to_owned())
    }
}

/// Why an idempotency key cannot be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Another request with this key is under way.
    #[error("a request with this idempotency key is under way")]
    InProgress,
    /// The key came with another request.
    #[error("this idempotency key was used for another request")]
    OtherRequest,
    /// As many keys as can be are kept.
    #[error("there are too many idempotency keys in the spool")]
    TooMany,
    /// Not all keys could be read when the spool was opened, so this may be one of them.
    #[error("idempotency keys could not be read when the spool was opened")]
    Unreadable,
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
