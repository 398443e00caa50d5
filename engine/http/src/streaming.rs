//! A stream of server-sent events (HTML, 9.2): from one place in the log on, for as long as its
//! client stays. It waits for the log and never asks it again and again. It ends with the daemon,
//! and when whoever follows it may not any more.

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::header;
use maily_api::event::Event;
use maily_events::feed::FeedError;

use crate::event_id::EventId;
use crate::reading::Reader;
use crate::reading::Selection;
use crate::reading::Told;
use crate::staying::Staying;

/// A comment is sent when nothing else was for so long, so that nobody takes the stream for dead.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events that are written at once.
const EVENTS_AT_ONCE: usize = 250;
/// How long a client is to wait before it comes again, in milliseconds.
pub(crate) const COME_AGAIN_MILLIS: u32 = 3_000;

/// One stream.
pub(crate) struct Streaming {
    staying: Staying,
    reader: Reader,
    selection: Selection,
    place: EventId,
    /// What was read and not written yet.
    read: Option<Told>,
}

impl Streaming {
    /// A stream from this place on.
    pub(crate) const fn new(
        staying: Staying,
        reader: Reader,
        selection: Selection,
        place: EventId,
    ) -> Self {
        Self { staying, reader, selection, place, read: None }
    }

    /// The answer, if there is what to begin with.
    ///
    /// # Errors
    /// The place is not in the log any more, or the log could not be read.
    pub(crate) async fn begin(mut self) -> Result<Response, FeedError> {
        self.read = Some(self.look().await?);
        let greeting = format!("retry: {COME_AGAIN_MILLIS}\n\n");
        let rest = stream::unfold((Some(greeting), self), |(greeting, mut this)| async {
            let text = match greeting {
                Some(greeting) => greeting,
                None => this.next().await?,
            };
            Some((Ok::<_, Infallible>(Bytes::from(text)), (None, this)))
        });
        let fields = [(header::CONTENT_TYPE, "text/event-stream")];
        Ok((fields, Body::from_stream(rest)).into_response())
    }

    /// What is written next; none at the end.
    async fn next(&mut self) -> Option<String> {
        let beat = tokio::time::sleep(HEARTBEAT);
        let mut beat = std::pin::pin!(beat);
        loop {
            if !self.staying.may_go_on() {
                return None;
            }
            let told = match self.read.take() {
                Some(told) => told,
                None => match self.look().await {
                    Ok(told) => told,
                    Err(error) => {
                        // Who comes again is told by a status.
                        tracing::warn!(%error, "a stream of events ended");
                        return None;
                    }
                },
            };
            self.place = told.next;
            if !told.events.is_empty() {
                return Some(told.events.iter().map(|(_, event)| written(event)).collect());
            }
            if told.more {
                continue;
            }
            tokio::select! {
                () = self.reader.wait(told.seen) => {}
                // An id without data moves the client's place, so that it need not read again what
                // it did not want.
                () = &mut beat => return Some(format!(":\nid: {}\n\n", self.place)),
                () = self.staying.drained() => return None,
            }
        }
    }

    async fn look(&self) -> Result<Told, FeedError> {
        let (reader, selection) = (self.reader.clone(), self.selection.clone());
        let (place, now) = (self.place, self.staying.shared.parts.clock.now());
        let read = move || reader.read(place, EVENTS_AT_ONCE, &selection, now);
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            // It did not end by itself: this place again is as good as any.
            Err(_) => Ok(Told { events: Vec::new(), next: place, more: false, seen: place.start }),
        }
    }
}

fn written(event: &Event) -> String {
    // A struct of texts and numbers can always be written, and JSON has no line ends of its own.
    let data = serde_json::to_string(event).unwrap_or_default();
    let mut text = String::with_capacity(data.len() + 80);
    let name = event.kind.name();
    let _infallible = write!(text, "id: {}\nevent: {name}\ndata: {data}\n\n", event.id);
    text
}
