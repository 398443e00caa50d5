//! What is said in a session, as server-sent events (HTML, 9.2): each line that is kept, then each
//! as it is said, then the end of the session and with it of the stream.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::extract::State;
use axum::http::request::Parts as Head;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::header;

use maily_live::talk::Talk;

use crate::answer::Outcome;
use crate::fault::Fault;
use crate::live;
use crate::parts::Shared;
use crate::principal::Principal;
use crate::staying::Staying;
use crate::streaming::COME_AGAIN_MILLIS;
use crate::streaming::HEARTBEAT;

/// How many lines the client has got already.
pub(crate) struct Got(u64);

impl<S: Send + Sync> FromRequestParts<S> for Got {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, _: &S) -> Result<Self, Fault> {
        let Some(field) = head.headers.get("last-event-id") else { return Ok(Self(0)) };
        let text = field.to_str().unwrap_or("?").trim();
        if text.is_empty() {
            return Ok(Self(0));
        }
        let number = text.parse();
        number.map(Self).map_err(|_| Fault::malformed("Last-Event-ID must be the number of a line"))
    }
}

/// One stream.
struct Listening {
    staying: Staying,
    talk: Arc<Talk>,
    /// Lines that were written.
    count: u64,
    over: bool,
}

/// Follow what is said in a session
///
/// Server-sent events: `line`, each with its number in the session as id and the line as JSON, and
/// at the end `over`. A comment comes when nothing is said for 15 seconds. The stream ends with the
/// session, with the daemon, and with the token.
#[utoipa::path(
    get,
    path = "/v1/sessions/{session}/transcript/stream",
    tag = "sessions",
    params(
        ("session" = String, Path, description = "Its name", max_length = 64),
        (
            "Last-Event-ID" = Option<u64>,
            Header,
            description = "The number of the last line that was got"
        )
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 404, description = "there is no such session, or it is not kept any more"),
        (status = 503, description = "there are too many streams")
    )
)]
pub(crate) async fn listen(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    principal: Principal,
    Got(count): Got,
) -> Outcome<Response> {
    let staying = Staying::new(&shared, &principal)?;
    let talk = live::found(&shared, &name)?;
    let listening = Listening { staying, talk, count, over: false };
    let greeting = format!("retry: {COME_AGAIN_MILLIS}\n\n");
    let rest = stream::unfold((Some(greeting), listening), |(greeting, mut this)| async {
        let text = match greeting {
            Some(greeting) => greeting,
            None => this.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (None, this)))
    });
    let fields = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((fields, Body::from_stream(rest)).into_response())
}

impl Listening {
    /// What is written next; none at the end.
    async fn next(&mut self) -> Option<String> {
        let beat = tokio::time::sleep(HEARTBEAT);
        let mut beat = std::pin::pin!(beat);
        loop {
            if self.over || !self.staying.may_go_on() {
                return None;
            }
            let told = self.talk.transcript(self.count);
            self.count = told.count;
            let first = told.count - told.lines.len() as u64;
            let mut text = String::new();
            for (number, line) in (first + 1..).zip(told.lines) {
                // A struct of texts can always be written, and JSON has no line ends of its own.
                let data = serde_json::to_string(&live::line(line)).unwrap_or_default();
                let _infallible = write!(text, "id: {number}\nevent: line\ndata: {data}\n\n");
            }
            if told.session.over.is_some() {
                self.over = true;
                let failed = told.session.failed;
                let _infallible = write!(text, "event: over\ndata: {{\"failed\":{failed}}}\n\n");
            }
            if !text.is_empty() {
                return Some(text);
            }
            tokio::select! {
                () = self.talk.more_than(self.count) => {}
                () = &mut beat => return Some(":\n\n".to_owned()),
                () = self.staying.drained() => return None,
            }
        }
    }
}
