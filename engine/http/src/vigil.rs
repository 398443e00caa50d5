//! Streams that look each second whether there is something to say, and less often where a look
//! takes long.

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
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;

use maily_core::clock::Timestamp;

use crate::parts::Shared;
use crate::staying::Staying;

/// How often it is looked whether something has changed.
const TICK: Duration = Duration::from_secs(1);
/// A look is followed by so many times as long without one, so that whoever looks on takes a
/// hundredth of a processor at most, however much waits; but never longer than this.
const SPARING: u32 = 100;
const REST_MAX: Duration = Duration::from_secs(5);
/// A comment is sent when nothing else was for so many seconds: whoever follows calls old what
/// nothing was heard of for four.
const BEATS: u32 = 2;

/// A stream that looks each second, and sends what there is to say.
pub(crate) fn each_second<S, F>(
    staying: Staying,
    state: S,
    say: fn(Arc<Shared>, S) -> F,
) -> Response
where
    S: Send + 'static,
    F: Future<Output = Option<(S, Option<String>)>> + Send + 'static,
{
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let due = staying.shared.parts.clock.now();
    let begin = Following { staying, tick, due, state: Some(state), say, quiet: 0 };
    let texts = stream::unfold(begin, |mut this| async {
        loop {
            this.tick.tick().await;
            if !this.staying.may_go_on() {
                return None;
            }
            let text = this.look().await?;
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

struct Following<S, F> {
    staying: Staying,
    tick: Interval,
    /// When it is looked next.
    due: Timestamp,
    state: Option<S>,
    say: fn(Arc<Shared>, S) -> F,
    /// Seconds since something was said.
    quiet: u32,
}

impl<S, F: Future<Output = Option<(S, Option<String>)>>> Following<S, F> {
    /// What there is to say, if it is time to look; none ends the stream.
    async fn look(&mut self) -> Option<Option<String>> {
        let clock = Arc::clone(&self.staying.shared.parts.clock);
        let begun = clock.now();
        if begun < self.due {
            return Some(None);
        }
        let (state, text) =
            (self.say)(Arc::clone(&self.staying.shared), self.state.take()?).await?;
        self.state = Some(state);
        let rest = clock.now().since(begun).saturating_mul(SPARING).min(REST_MAX);
        self.due = begun + rest;
        Some(text)
    }
}

/// An event of a stream (HTML, 9.2).
pub(crate) fn event(name: &str, data: &impl serde::Serialize) -> String {
    // Types of the contract can always be written, and JSON has no line ends of its own.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
