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

use crate::parts::Shared;
use crate::staying::Staying;

/// How often it is looked whether something has changed.
const TICK: Duration = Duration::from_secs(1);
/// A look is followed by so many times as long without one, so that whoever looks on takes a
/// hundredth of a processor at most, however much waits; but never longer than this.
const SPARING: u32 = 100;
const REST_MAX: Duration = Duration::from_secs(5);
/// A comment is sent when nothing else was for so many looks.
const BEATS: u32 = 15;

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
    let begin = Following { staying, tick, state, say, quiet: 0 };
    let texts = stream::unfold(begin, |mut this| async {
        loop {
            this.tick.tick().await;
            if !this.staying.may_go_on() {
                return None;
            }
            let clock = Arc::clone(&this.staying.shared.parts.clock);
            let begun = clock.now();
            let said = (this.say)(Arc::clone(&this.staying.shared), this.state).await;
            let rest = clock.now().since(begun).saturating_mul(SPARING);
            this.tick.reset_after(rest.clamp(TICK, REST_MAX));
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

struct Following<S, F> {
    staying: Staying,
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
