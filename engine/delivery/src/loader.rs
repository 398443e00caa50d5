//! Gets messages for the dispatcher: from memory if they have just come, else from disk, beside the
//! loop, which never waits for a disk.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use maily_core::mail::address::Domain;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::queue::action::Attempt;
use maily_core::queue::action::Ticket;
use maily_plugins::hook::Hook;
use maily_spool::body::Body;
use maily_spool::error::GetError;
use maily_spool::spool::Spool;
use maily_spool::submission::Stored;

use crate::asking::Asker;
use crate::hooks;

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
    /// What plugins found out about its recipient.
    pub found: Map<String, Value>,
}

/// Gets messages; clones answer into the same channel.
#[derive(Clone)]
pub struct Loader {
    spool: Spool,
    asker: Asker,
    loaded: mpsc::UnboundedSender<Loaded>,
}

impl Loader {
    /// A loader that answers into this channel. It never holds more than was asked for, and the
    /// scheduler bounds that.
    pub const fn new(spool: Spool, asker: Asker, loaded: mpsc::UnboundedSender<Loaded>) -> Self {
        Self { spool, asker, loaded }
    }

    /// The message at once if it is in memory; if not, it comes through the channel.
    pub fn load(&self, purpose: Purpose) -> Option<Loaded> {
        let tried = matches!(purpose, Purpose::Attempt(_));
        let asks = tried && self.asker.plugins.takes(Hook::OnEnrich);
        let hot = self.spool.hot(purpose.id());
        if let Some(stored) = hot {
            if asks && is_bound_late(&stored) {
                self.find_out(purpose, stored);
                return None;
            }
            return Some(Loaded { purpose, stored: Ok(stored), found: Map::new() });
        }
        let (spool, loaded, this) = (self.spool.clone(), self.loaded.clone(), self.clone());
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let stored = match spool.get(purpose.id()) {
                Ok(stored) if asks && is_bound_late(&stored) => {
                    let _entered = runtime.enter();
                    return this.find_out(purpose, stored);
                }
                other => other,
            };
            // The dispatcher is gone only when the process is.
            let _gone = loaded.send(Loaded { purpose, stored, found: Map::new() });
        });
        None
    }

    /// Asks plugins about the recipient. Other machines may be asked for it: nobody waits here.
    fn find_out(&self, purpose: Purpose, stored: Arc<Stored>) {
        let (asker, loaded) = (self.asker.clone(), self.loaded.clone());
        tokio::spawn(async move {
            let call = hooks::contact(&stored).map(|contact| asker.plugins.on_enrich(contact));
            let outcome = match call {
                Some(call) => asker.run(call).await,
                None => None,
            };
            let found = outcome.map(|outcome| outcome.answer.attrs).unwrap_or_default();
            let _gone = loaded.send(Loaded { purpose, stored: Ok(stored), found });
        });
    }
}

fn is_bound_late(stored: &Stored) -> bool {
    matches!(stored.submission.body, Body::Template { .. })
}
