//! `/v1/webhooks`: where the events of a project are sent.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::event::EventType;
use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::webhook::DeadLetter;
use maily_api::webhook::NewWebhook;
use maily_api::webhook::ReplayRequest;
use maily_api::webhook::TYPES_MAX;
use maily_api::webhook::Webhook;
use maily_api::webhook::WebhookRequest;
use maily_core::clock::Timestamp;
use maily_egress::post::Target;
use maily_events::cursor::Cursor;
use maily_registry::name::Name;
use maily_registry::progress;
use maily_registry::webhook;
use maily_registry::webhook::WebhookDraft;
use maily_registry::webhook::WebhookId;

use crate::answer::Answer;
use crate::answer::Made;
use crate::answer::Outcome;
use crate::body::Json;
use crate::event_id::EventId;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::InProject;
use crate::principal::Principal;
use crate::seal;

/// The most octets of a URL.
const URL_OCTETS_MAX: usize = 2_048;

fn draft(request: WebhookRequest) -> Result<WebhookDraft, Fault> {
    let wrong = |detail: String| Fault::invalid_at("/url", "url", detail);
    if request.url.len() > URL_OCTETS_MAX {
        return Err(wrong(format!("it may have {URL_OCTETS_MAX} octets at most")));
    }
    Target::parse(&request.url).map_err(|error| wrong(error.to_string()))?;
    if request.events.len() > TYPES_MAX {
        let detail = format!("there may be {TYPES_MAX} at most");
        return Err(Fault::invalid_at("/events", "too_many", detail));
    }
    let events = request.events.iter().map(|kind| kind.name().into()).collect();
    Ok(WebhookDraft { url: request.url.into(), events, paused: request.paused })
}

fn shown(shared: &Shared, webhook: &webhook::Webhook) -> Webhook {
    let progress = shared.parts.registry.progress(webhook);
    let after = progress.as_ref().map(|progress| {
        let (start, number) = progress.place;
        EventId { start: Cursor::from_u64(start), number }.to_string()
    });
    let progress = progress.unwrap_or_default();
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    Webhook {
        id: webhook.id.to_string(),
        url: webhook.draft.url.to_string(),
        events: webhook.draft.events.iter().filter_map(|name| EventType::of(name)).collect(),
        paused: webhook.draft.paused,
        disabled: progress.disabled,
        after,
        failing_since: text(progress.failing_since),
        next_try_at: text(progress.next_try_at),
        error: progress.error.map(Into::into),
        created_at: webhook.created_at.to_string(),
        created_by: webhook.created_by.to_string(),
    }
}

fn find(shared: &Shared, project: &Name, id: &str) -> Result<webhook::Webhook, Fault> {
    let found = WebhookId::parse(id).and_then(|id| shared.parts.registry.webhook(project, &id));
    found.ok_or_else(|| Fault::not_found("there is no such webhook"))
}

/// List webhooks
///
/// Those of the project, without their secrets.
#[utoipa::path(
    get,
    path = "/v1/webhooks",
    tag = "webhooks",
    params(PageQuery),
    responses((status = 200, body = Page<Webhook>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    wanted: Wanted,
) -> Outcome<Rows<Webhook>> {
    let after = wanted.cursor(WebhookId::parse)?;
    let rows = shared.parts.registry.webhooks(&project, after.as_ref(), wanted.looked_for());
    Ok(wanted.page(rows, |row| row.id.to_string(), |row| shown(&shared, &row)))
}

/// Make a webhook
///
/// It is sent what happens from now on, signed as Standard Webhooks says. The secret is shown this
/// once.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = "webhooks",
    request_body = WebhookRequest,
    responses((status = 201, body = NewWebhook), (status = 409, description = "there are too many"))
)]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    principal: Principal,
    Json(request): Json<WebhookRequest>,
) -> Outcome<Made<NewWebhook>> {
    let draft = draft(request)?;
    let (parts, now) = (&shared.parts, shared.parts.clock.now());
    let (by, chance) = (principal.actor(), parts.chance.as_ref());
    let made = parts.registry.create_webhook(&project, draft, by, now, chance).await?;
    let place = format!("/v1/webhooks/{}", made.id);
    let secret = seal::shown(&made.secret);
    Ok(Made(place, NewWebhook { secret, webhook: shown(&shared, &made) }))
}

/// Show a webhook
///
/// Without its secret; with how far it has come.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id", max_length = 32)),
    responses((status = 200, body = Webhook))
)]
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(id): Path<String>,
) -> Outcome<Answer<Webhook>> {
    let found = find(&shared, &project, &id)?;
    Ok(Answer(StatusCode::OK, shown(&shared, &found)))
}

/// Change a webhook
///
/// Another address, other events, or a pause. It goes on where it was, at once.
#[utoipa::path(
    put,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id", max_length = 32)),
    request_body = WebhookRequest,
    responses((status = 200, body = Webhook))
)]
pub(crate) async fn change(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(id): Path<String>,
    Json(request): Json<WebhookRequest>,
) -> Outcome<Answer<Webhook>> {
    let found = find(&shared, &project, &id)?;
    let draft = draft(request)?;
    let changed = shared.parts.registry.change_webhook(&project, &found.id, draft).await?;
    shared.parts.registry.rewind_webhook(&changed, None).await?;
    Ok(Answer(StatusCode::OK, shown(&shared, &changed)))
}

/// Remove a webhook
///
/// With what was set aside for it.
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{webhook}",
    tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id", max_length = 32)),
    responses((status = 204, description = "it is gone"))
)]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(id): Path<String>,
) -> Outcome<StatusCode> {
    let found = find(&shared, &project, &id)?;
    shared.parts.registry.remove_webhook(&project, &found.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook another secret
///
/// For a day the one before it signs, too: each event has a signature by either. The new one is
/// shown this once.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/secret",
    tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id", max_length = 32)),
    responses((status = 200, body = NewWebhook))
)]
pub(crate) async fn renew(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(id): Path<String>,
) -> Outcome<Answer<NewWebhook>> {
    let found = find(&shared, &project, &id)?;
    let (parts, now) = (&shared.parts, shared.parts.clock.now());
    let renewed = parts.registry.renew_secret(&project, &found.id, now, parts.chance.as_ref());
    let renewed = renewed.await?;
    let secret = seal::shown(&renewed.secret);
    let webhook = shown(&shared, &renewed);
    Ok(Answer(StatusCode::OK, NewWebhook { secret, webhook }))
}

/// Send events again
///
/// All behind this one, under the ids that they had.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/replay",
    tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id", max_length = 32)),
    request_body = ReplayRequest,
    responses((status = 204, description = "it goes on from there"))
)]
pub(crate) async fn replay(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(id): Path<String>,
    Json(request): Json<ReplayRequest>,
) -> Outcome<StatusCode> {
    let found = find(&shared, &project, &id)?;
    let wrong = || Fault::invalid_at("/after", "event", "it must be the id of an event");
    let after = EventId::parse(&request.after).ok_or_else(wrong)?;
    let place = (after.start.as_u64(), after.number);
    shared.parts.registry.rewind_webhook(&found, Some(place)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List what a webhook did not take
///
/// Events that were set aside after a day of tries.
#[utoipa::path(
    get,
    path = "/v1/webhooks/{webhook}/dead-letters",
    tag = "webhooks",
    params(PageQuery, ("webhook" = String, Path, description = "Its id", max_length = 32)),
    responses((status = 200, body = Page<DeadLetter>))
)]
pub(crate) async fn letters(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(id): Path<String>,
    wanted: Wanted,
) -> Outcome<Rows<DeadLetter>> {
    let found = find(&shared, &project, &id)?;
    let after = wanted.cursor(place)?;
    let rows = shared.parts.registry.dead_letters(&found, after, wanted.looked_for());
    Ok(wanted.page(rows, |row| named(row).to_string(), letter))
}

/// Send an event again that was set aside
///
/// Once; it leaves the list when it is taken.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{webhook}/dead-letters/{event}/replay",
    tag = "webhooks",
    params(
        ("webhook" = String, Path, description = "Its id", max_length = 32),
        ("event" = String, Path, description = "The event's id", max_length = 64)
    ),
    responses((status = 202, description = "it is tried"))
)]
pub(crate) async fn again(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path((id, event)): Path<(String, String)>,
) -> Outcome<StatusCode> {
    let found = find(&shared, &project, &id)?;
    let registry = &shared.parts.registry;
    let letter = place(&event).and_then(|place| registry.dead_letter(&found, place));
    let letter = letter.ok_or_else(|| Fault::not_found("it is not set aside"))?;
    registry.put_dead_letter(&found, &progress::DeadLetter { again: true, ..letter }).await?;
    Ok(StatusCode::ACCEPTED)
}

fn place(text: &str) -> Option<(u64, u32)> {
    let id = EventId::parse(text)?;
    id.number.map(|number| (id.start.as_u64(), number))
}

fn named(letter: &progress::DeadLetter) -> EventId {
    EventId::of(Cursor::from_u64(letter.place.0), letter.place.1)
}

fn letter(letter: progress::DeadLetter) -> DeadLetter {
    DeadLetter {
        id: named(&letter).to_string(),
        given_up_at: letter.given_up_at.to_string(),
        error: letter.error.into(),
        again: letter.again,
        event: serde_json::from_str(&letter.body).unwrap_or_default(),
    }
}
