//! `/v1/events`: what happened to mail, page by page or as it happens.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::extract::State;
use axum::http::request::Parts as Head;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::StatusCode;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_api::event::EventsQuery;
use maily_api::event::StreamQuery;
use maily_api::page::Page;
use maily_events::feed::FeedError;

use crate::answer::Outcome;
use crate::event_id::EventId;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::MaybeProject;
use crate::principal::Principal;
use crate::reading::Selection;
use crate::staying::Staying;
use crate::streaming::Streaming;

/// By what a browser says which event it got last (HTML, 9.2 Server-sent events).
const LAST_EVENT_ID: &str = "last-event-id";

/// Which events are wanted, on pages.
pub(crate) struct OnPages {
    rows: Wanted,
    types: Vec<EventType>,
}

impl<S: Send + Sync> FromRequestParts<S> for OnPages {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Fault> {
        let Query(query) = Query::<EventsQuery>::from_request_parts(head, state)
            .await
            .map_err(|error| Fault::malformed(error.body_text()))?;
        let types = types(query.types.as_deref())?;
        let mut rows = Wanted::new(head.uri.path(), query.limit, query.after)?;
        rows.also("type", &names(&types));
        Ok(Self { rows, types })
    }
}

/// Which events are wanted, as they happen.
pub(crate) struct AsTheyHappen {
    after: Option<EventId>,
    types: Vec<EventType>,
}

impl<S: Send + Sync> FromRequestParts<S> for AsTheyHappen {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Fault> {
        let Query(query) = Query::<StreamQuery>::from_request_parts(head, state)
            .await
            .map_err(|error| Fault::malformed(error.body_text()))?;
        let after = last_event_id(&head.headers)?.or(query.after);
        let after = match after {
            Some(text) => Some(EventId::parse(&text).ok_or_else(no_id)?),
            None => None,
        };
        Ok(Self { after, types: types(query.types.as_deref())? })
    }
}

fn no_id() -> Fault {
    Fault::malformed("`after` and Last-Event-ID must be the id of an event")
}

/// An empty field says that none was got yet.
fn last_event_id(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(field) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = field.to_str().map_err(|_| no_id())?.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn types(text: Option<&str>) -> Result<Vec<EventType>, Fault> {
    let names = text.into_iter().flat_map(|text| text.split(','));
    let known = names.map(|name| {
        let known = EventType::of(name);
        known.ok_or_else(|| Fault::malformed("`type` names types of events, with commas between"))
    });
    let mut types = Vec::new();
    for kind in known {
        let kind = kind?;
        // So there are never more than there are types.
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    Ok(types)
}

fn names(types: &[EventType]) -> String {
    types.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",")
}

/// What to answer where the log cannot be read on.
fn unread(error: &FeedError) -> Fault {
    match error {
        FeedError::Gone(_) => Fault::new(StatusCode::GONE, "gone", error.to_string()),
        FeedError::Scan(_) => Fault::ours(error),
    }
}

/// Read what happened to mail
///
/// Oldest first. Who is bound to a project sees what happened to its mail. A page may hold fewer
/// events than there are: go on while there is a `next`, and later with the id of the last event.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(EventsQuery),
    responses(
        (status = 200, body = Page<Event>),
        (status = 410, description = "what comes behind `after` is not kept any more")
    )
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    OnPages { rows, types }: OnPages,
) -> Outcome<Rows<Event>> {
    let after = rows.cursor(EventId::parse)?.unwrap_or(EventId::OLDEST);
    let reader = shared.mail()?.reader.clone();
    let (limit, now) = (rows.limit, shared.parts.clock.now());
    let selection = Selection { project, types };
    let read = move || reader.read(after, limit, &selection, now);
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| Fault::ours(&error))?;
    let told = read.map_err(|error| unread(&error))?;
    let next = told.more.then(|| told.next.to_string());
    Ok(rows.page_to(told.events.into_iter().map(|(_, event)| event).collect(), next))
}

/// Follow what happens to mail
///
/// Server-sent events, each with its id, its type, and the event as JSON. Who comes again with
/// `Last-Event-ID` misses none. A comment comes when there is nothing else for 15 seconds. The
/// stream ends with the daemon, and with the token.
#[utoipa::path(
    get,
    path = "/v1/events/stream",
    tag = "events",
    params(
        StreamQuery,
        (
            "Last-Event-ID" = Option<String>,
            Header,
            description = "The id of the last event that was got",
            max_length = 512
        )
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 410, description = "what comes behind the last event is not kept any more"),
        (status = 503, description = "there are too many streams")
    )
)]
pub(crate) async fn stream(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    principal: Principal,
    AsTheyHappen { after, types }: AsTheyHappen,
) -> Outcome<Response> {
    let staying = Staying::new(&shared, &principal)?;
    let reader = shared.mail()?.reader.clone();
    let place = after.unwrap_or_else(|| reader.newest());
    let selection = Selection { project, types };
    Streaming::new(staying, reader, selection, place).begin().await.map_err(|error| unread(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_with_commas_between_and_each_once() {
        let named = |text: &str| types(Some(text)).map(|types| names(&types)).map_err(|_| ());
        let two = "message.opened,message.clicked";
        assert_eq!(named(&format!("{two},{two}")).as_deref(), Ok(two));
        for bad in [
            "",
            ",",
            "message.opened,",
            "opened",
            "message.opened;",
            "message.opened, message.clicked",
        ] {
            assert_eq!(named(bad), Err(()), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_field_goes_before_the_query_and_must_be_an_id() {
        let read = async |query: &str, field: Option<&'static str>| {
            let mut request = hyper::Request::get(format!("/v1/events/stream{query}"));
            if let Some(field) = field {
                request = request.header(LAST_EVENT_ID, field);
            }
            let (mut head, ()) = request.body(()).unwrap().into_parts();
            let read = AsTheyHappen::from_request_parts(&mut head, &()).await;
            read.map(|read| read.after.map(|id| id.to_string())).map_err(|fault| fault.status())
        };
        assert_eq!(read("", None).await, Ok(None));
        assert_eq!(read("?after=7-1", None).await, Ok(Some("7-1".into())));
        assert_eq!(read("?after=7-1", Some("9-0")).await, Ok(Some("9-0".into())));
        assert_eq!(read("?after=7-1", Some("")).await, Ok(Some("7-1".into())));
        for (query, field) in [("?after=x", None), ("", Some("x")), ("?limit=1", None)] {
            assert_eq!(read(query, field).await, Err(400), "{query} {field:?}");
        }
    }
}
