//! Streams that last: who follows one may not any more when the token is gone, and none outlives the
//! daemon.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::header;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;

use maily_core::clock::Timestamp;
use maily_registry::token::TokenId;

use crate::fault::Fault;
use crate::parts::Shared;
use crate::principal::Principal;
use crate::principal::Proof;

/// How often it is looked whether something has changed.
const TICK: Duration = Duration::from_secs(1);
/// A comment is sent when nothing else was for so many looks.
const BEATS: u32 = 15;

/// Whether a stream may go on.
pub(crate) struct Vigil {
    pub(crate) shared: Arc<Shared>,
    pub(crate) draining: watch::Receiver<bool>,
    /// The token behind it, and until when it is good.
    token: Option<TokenId>,
    expires_at: Option<Timestamp>,
    _room: OwnedSemaphorePermit,
}

impl Vigil {
    /// A place for one more stream.
    ///
    /// # Errors
    /// No daemon runs, or there are too many streams.
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

    /// Whether the token is still there, and good.
    pub(crate) fn may_go_on(&self) -> bool {
        let parts = &self.shared.parts;
        let there = |id: &TokenId| parts.registry.token(None, id).is_some();
        !*self.draining.borrow()
            && self.token.as_ref().is_none_or(there)
            && self.expires_at.is_none_or(|end| parts.clock.now() < end)
    }

    /// A stream that looks each second, and sends what there is to say.
    pub(crate) fn each_second<S, F>(self, state: S, say: fn(Arc<Shared>, S) -> F) -> Response
    where
        S: Send + 'static,
        F: Future<Output = Option<(S, Option<String>)>> + Send + 'static,
    {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begin = Following { vigil: self, tick, state, say, quiet: 0 };
        let texts = stream::unfold(begin, |mut this| async {
            loop {
                this.tick.tick().await;
                if !this.vigil.may_go_on() {
                    return None;
                }
                let said = (this.say)(Arc::clone(&this.vigil.shared), this.state).await;
                let (state, text) = said?;
                this.state = state;
                this.quiet += 1;
                let text = match text {
                    Some(text) => text,
                    None if this.quiet >= BEATS => ":\n\n".to_owned(),
                    None => continue,
                };
                this.quiet = 0;
                return Some((Ok::<_, Infallible>(Bytes::from(text)), this));
            }
        });
        let fields = [(header::CONTENT_TYPE, "text/event-stream")];
        (fields, Body::from_stream(texts)).into_response()
    }
}

struct Following<S, F> {
    vigil: Vigil,
    tick: Interval,
    state: S,
    say: fn(Arc<Shared>, S) -> F,
    /// Looks since something was said.
    quiet: u32,
}

/// An event of a stream (HTML, 9.2).
pub(crate) fn event(name: &str, data: &impl serde::Serialize) -> String {
    // Types of the contract can always be written, and JSON has no line ends of its own.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
