//! What a stream stands on for as long as its client stays: it ends with the daemon, and when
//! whoever follows it may not any more.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;

use maily_core::clock::Timestamp;
use maily_registry::token::TokenId;

use crate::fault::Fault;
use crate::parts::Shared;
use crate::principal::Principal;
use crate::principal::Proof;

/// Somebody who stays.
pub(crate) struct Staying {
    pub(crate) shared: Arc<Shared>,
    draining: watch::Receiver<bool>,
    /// The token behind it, and until when it is good.
    token: Option<TokenId>,
    expires_at: Option<Timestamp>,
    _room: OwnedSemaphorePermit,
}

impl Staying {
    /// Takes a place.
    ///
    /// # Errors
    /// There is none, or no daemon runs.
    pub(crate) fn new(shared: &Arc<Shared>, principal: &Principal) -> Result<Self, Fault> {
        let room = Arc::clone(&shared.streams).try_acquire_owned();
        let room = room.map_err(|_| Fault::no_room("there are too many streams"))?;
        let token = match &principal.proof {
            Proof::Token(id) | Proof::Jwt(id) => Some(id.clone()),
            Proof::Peer(_) => None,
        };
        Ok(Self {
            draining: shared.mail()?.draining.clone(),
            shared: Arc::clone(shared),
            token,
            expires_at: principal.expires_at,
            _room: room,
        })
    }

    /// Whether the daemon goes on, and the token is still there, and good.
    pub(crate) fn may_go_on(&self) -> bool {
        let parts = &self.shared.parts;
        let there = |id: &TokenId| parts.registry.token(None, id).is_some();
        !*self.draining.borrow()
            && self.token.as_ref().is_none_or(there)
            && self.expires_at.is_none_or(|end| parts.clock.now() < end)
    }

    /// Waits until the daemon ends.
    pub(crate) async fn drained(&self) {
        let mut draining = self.draining.clone();
        // Whoever could say so may be gone: that is the end, too.
        let _gone = draining.wait_for(|draining| *draining).await;
    }
}
