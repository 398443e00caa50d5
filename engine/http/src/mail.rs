//! What the routes for mail stand on.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use maily_core::mail::id::QueueId;
use maily_core::queue::cancellation::Which;
use maily_delivery::cancel::CancelError;
use maily_delivery::cancel::Taken;
use maily_delivery::control::Control;
use maily_delivery::counters::Counters;
use maily_events::suppression::Suppressions;
use maily_ingress::door::FrontDoor;
use maily_ingress::gate::Gate;
use maily_ingress::seats::Seats;
use maily_live::sessions::Sessions;
use maily_plugins::set::Plugins;

use crate::fault::Fault;
use crate::reading::Reader;
use crate::scribe::Scribe;

/// The way of mail, as far as HTTP goes along it.
#[derive(Clone)]
pub struct Mail {
    /// Where it comes in.
    pub door: FrontDoor,
    /// Whether there is room.
    pub gate: Arc<Gate>,
    /// What takes it back.
    pub control: Control,
    /// What became of it.
    pub reader: Reader,
    /// Who writes down what recipients did.
    pub scribe: Scribe,
    /// Whether the daemon ends.
    pub draining: watch::Receiver<bool>,
    /// Who is asked along the way.
    pub plugins: Arc<Plugins>,
    /// What became of what was sent.
    pub sent: Arc<Counters>,
    /// Connections from clients.
    pub seats: Seats,
    /// Where the spool lies.
    pub folder: PathBuf,
    /// Where the event log lies.
    pub log: PathBuf,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// The sessions that go on.
    pub sessions: Arc<Sessions>,
}

impl Mail {
    /// Takes mail back, in this actor's name.
    pub(crate) async fn cancel(&self, which: Which, actor: &str) -> Result<Taken, Fault> {
        let reason = format!("taken back by {actor}");
        self.control.cancel(which, reason.into()).await.map_err(|error| match error {
            CancelError::Ended => Fault::no_room("going down"),
            error @ (CancelError::Read(_) | CancelError::Put(_)) => Fault::ours(&error),
        })
    }

    /// Whether a message waits and is of this project.
    pub(crate) async fn is_of(&self, id: QueueId, project: &str) -> Result<bool, Fault> {
        if let Some(stored) = self.door.spool.hot(id) {
            return Ok(&*stored.submission.stream.tenant == project);
        }
        let spool = self.door.spool.clone();
        let read = tokio::task::spawn_blocking(move || spool.get(id)).await;
        let stored = read.map_err(|error| Fault::ours(&error))?;
        Ok(stored.is_ok_and(|stored| &*stored.submission.stream.tenant == project))
    }
}
