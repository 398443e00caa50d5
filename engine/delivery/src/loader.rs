//! Gets messages for the dispatcher: from memory if they have just come, else from disk, beside the
//! loop, which never waits for a disk.

use std::sync::Arc;

use tokio::sync::mpsc;

use maily_core::mail::address::Domain;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::queue::action::Attempt;
use maily_core::queue::action::Ticket;
use maily_spool::error::GetError;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;

/// What a message is needed for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To try it.
    Attempt(Attempt),
    /// To settle it: its domain cannot be reached.
    Unroutable(Attempt, Outcome),
    /// To settle it: it is too old.
    Expired(Ticket, QueueId, Domain),
}

impl Purpose {
    const fn id(&self) -> QueueId {
        match self {
            Self::Attempt(attempt) | Self::Unroutable(attempt, _) => attempt.id,
            Self::Expired(_, id, _) => *id,
        }
    }
}

/// A message that was asked for.
#[derive(Debug)]
pub struct Loaded {
    /// What for.
    pub purpose: Purpose,
    /// The message.
    pub stored: Result<Arc<Stored>, GetError>,
}

/// Gets messages.
pub struct Loader {
    spool: Spool,
    loaded: mpsc::UnboundedSender<Loaded>,
}

impl Loader {
    /// A loader that answers into this channel. It never holds more than was asked for, and the
    /// scheduler bounds that.
    pub const fn new(spool: Spool, loaded: mpsc::UnboundedSender<Loaded>) -> Self {
        Self { spool, loaded }
    }

    /// The message at once if it is in memory; if not, it comes through the channel.
    pub fn load(&self, purpose: Purpose) -> Option<Loaded> {
        if let Some(stored) = self.spool.hot(purpose.id()) {
            return Some(Loaded { purpose, stored: Ok(stored) });
        }
        let (spool, loaded) = (self.spool.clone(), self.loaded.clone());
        tokio::task::spawn_blocking(move || {
            let stored = spool.get(purpose.id());
            // The dispatcher is gone only when the process is.
            let _gone = loaded.send(Loaded { purpose, stored });
        });
        None
    }
}
