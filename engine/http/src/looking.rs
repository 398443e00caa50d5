//! `/v1/views`: windows on what the daemon knows.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use hyper::StatusCode;

use maily_api::view::ViewInfo;
use maily_api::view::ViewQuery;
use maily_api::view::Window;
use maily_core::clock::Timestamp;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::survey::Messages;
use maily_core::queue::survey::Order;
use maily_core::queue::survey::Survey;
use maily_events::suppression::PAGE_MAX;
use maily_events::suppression::Subject;
use maily_events::suppression::Suppression;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::fault::Fault;
use crate::parts::Shared;
use crate::plugins;
use crate::principal::Principal;
use crate::rows;
use crate::specs;
use crate::specs::VIEWS;
use crate::staying::Staying;
use crate::views;
use crate::views::Row;
use crate::views::ViewSpec;
use crate::views::Wish;
use crate::vigil;
use crate::why;

/// Suppressions, and projects, that a view is drawn of.
const SUPPRESSIONS_ROWS: usize = 20_000;
const PROJECTS_MAX: usize = 1_000;
/// Entries of the audit log that are shown.
const AUDIT_ROWS: u64 = 1_000;
/// Tokens that are shown.
const TOKENS_MAX: usize = 10_000;
/// The most messages above those in sight, and in sight.
const MESSAGES_MAX: usize = 10_000;

/// List views
///
/// What there is to look at, and what columns it has.
#[utoipa::path(
    get,
    path = "/v1/views",
    tag = "views",
    responses((status = 200, body = Vec<ViewInfo>))
)]
pub(crate) async fn list() -> Answer<Vec<ViewInfo>> {
    Answer(StatusCode::OK, VIEWS.iter().map(ViewSpec::info).collect())
}

fn asked(
    name: &str,
    query: Result<Query<ViewQuery>, QueryRejection>,
) -> Result<(&'static ViewSpec, Wish), Fault> {
    let Query(query) = query.map_err(|error| Fault::malformed(error.body_text()))?;
    let spec = VIEWS.iter().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| Fault::not_found("there is no such view"))?;
    Ok((spec, views::wish(spec, &query)?))
}

/// Look at a view
///
/// The rows that the selector selects, sorted, and of these so many. Its work depends on the rows
/// of the view and not on how much mail waits.
#[utoipa::path(
    get,
    path = "/v1/views/{view}",
    tag = "views",
    params(("view" = String, Path, description = "Its name", max_length = 63), ViewQuery),
    responses(
        (status = 200, body = Window),
        (status = 422, description = "the selector cannot be read: the detail shows where")
    )
)]
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    query: Result<Query<ViewQuery>, QueryRejection>,
) -> Outcome<Answer<Window>> {
    let (spec, wish) = asked(&name, query)?;
    Ok(Answer(StatusCode::OK, draw(&shared, spec, &wish).await?))
}

/// Follow a view
///
/// First an event `window` with the whole, then an event `diff` each second in which something in
/// sight has changed.
#[utoipa::path(
    get,
    path = "/v1/views/{view}/stream",
    tag = "views",
    params(("view" = String, Path, description = "Its name", max_length = 63), ViewQuery),
    responses(
        (status = 200, description = "the stream", content_type = "text/event-stream"),
        (status = 422, description = "the selector cannot be read: the detail shows where")
    )
)]
pub(crate) async fn follow(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Path(name): Path<String>,
    query: Result<Query<ViewQuery>, QueryRejection>,
) -> Outcome<Response> {
    let (spec, wish) = asked(&name, query)?;
    let staying = Staying::new(&shared, &principal)?;
    Ok(vigil::each_second(staying, (spec, wish, None), changed))
}

type Followed = (&'static ViewSpec, Wish, Option<Window>);

async fn changed(shared: Arc<Shared>, state: Followed) -> Option<(Followed, Option<String>)> {
    let (spec, wish, before) = state;
    let window = draw(&shared, spec, &wish).await.ok()?;
    let text = match &before {
        None => Some(vigil::event("window", &window)),
        Some(before) => {
            let diff = before.diff(&window);
            let same = (before.total, before.selected) == (diff.total, diff.selected);
            let still = same && diff.order.is_none() && diff.rows.is_empty();
            (!still).then(|| vigil::event("diff", &diff))
        }
    };
    Some(((spec, wish, Some(window)), text))
}

/// Draws a window.
async fn draw(shared: &Arc<Shared>, spec: &ViewSpec, wish: &Wish) -> Result<Window, Fault> {
    if spec.name == specs::MESSAGES.name {
        return messages(shared, spec, wish).await;
    }
    let (at, rows) = rows_of(shared, spec).await?;
    Ok(views::window(spec, &rows, wish, at))
}

async fn rows_of(shared: &Arc<Shared>, spec: &ViewSpec) -> Result<(Timestamp, Vec<Row>), Fault> {
    let (now, registry) = (shared.parts.clock.now(), &shared.parts.registry);
    Ok(match spec.name {
        "plugins" => (now, rows::plugins(&plugins::rows(&shared.mail()?.plugins))),
        "bounces" => (now, rows::bounces(&shared.mail()?.sent.failures.read())),
        "sessions" => (now, rows::sessions(shared.mail()?.sessions.snapshot(), now)),
        "jobs" => (now, rows::jobs(registry.directives())),
        "tokens" => (now, rows::tokens(registry.tokens(None, None, TOKENS_MAX))),
        "audit" => (now, audit(shared).await?),
        "suppressions" => (now, suppressions(shared).await?),
        name => {
            let (at, survey) = surveyed(shared).await?;
            let rows = match name {
                "sites" => rows::sites(&survey, at),
                "streams" => rows::streams(&survey),
                "sources" => rows::sources(&survey),
                _ => rows::queues(&survey, at),
            };
            (at, rows)
        }
    })
}

/// The queue, as it was at most a moment ago; and when that was.
pub(crate) async fn surveyed(shared: &Shared) -> Result<(Timestamp, Arc<Survey>), Fault> {
    let (control, clock) = (&shared.mail()?.control, shared.parts.clock.as_ref());
    shared.last_survey.get(control, clock).await.map_err(|_| Fault::no_room("going down"))
}

async fn audit(shared: &Shared) -> Result<Vec<Row>, Fault> {
    let audit = shared.parts.audit.clone();
    let read = move || {
        let after = audit.head().number.saturating_sub(AUDIT_ROWS);
        audit.page(None, after, AUDIT_ROWS as usize)
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| Fault::ours(&error))?;
    Ok(rows::audit(read.map_err(|error| Fault::ours(&error))?.entries))
}

/// Those of everybody come first.
async fn suppressions(shared: &Shared) -> Result<Vec<Row>, Fault> {
    let (all, registry) = (shared.mail()?.suppressions.clone(), shared.parts.registry.clone());
    let read = move || {
        let projects = registry.projects(None, PROJECTS_MAX).into_iter().map(|one| one.name);
        let names = std::iter::once(String::new()).chain(projects.map(|name| name.to_string()));
        let mut found: Vec<(Subject, Suppression)> = Vec::new();
        for name in names {
            let mut after: Option<Subject> = None;
            loop {
                let some = all.list(&name, None, "", after.as_ref(), PAGE_MAX);
                if some.is_empty() || found.len() >= SUPPRESSIONS_ROWS {
                    break;
                }
                after = some.last().map(|(subject, _)| subject.clone());
                found.extend(some);
            }
        }
        found.truncate(SUPPRESSIONS_ROWS);
        rows::suppressions(&found)
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| Fault::ours(&error))
}

/// Messages are chosen where they are: there may be millions.
async fn messages(shared: &Shared, spec: &ViewSpec, wish: &Wish) -> Result<Window, Fault> {
    let selector = why::selector(&wish.text, "/filter")?;
    let order = match wish.sort.as_str() {
        "-age" | "id" => Order::Oldest,
        "age" | "-id" => Order::Newest,
        "-attempts" => Order::Attempts,
        "next" => Order::Next,
        _ => {
            let detail = "messages are sorted by -age, age, -attempts or next";
            return Err(Fault::malformed(detail));
        }
    };
    let (offset, limit) = (wish.offset, wish.limit);
    if offset + limit > MESSAGES_MAX {
        let detail = format!("the first {MESSAGES_MAX} are shown: say more of what you look for");
        return Err(Fault::malformed(detail));
    }
    let look =
        move |queue: &Scheduler, now| (now, queue.messages(now, &selector, order, offset, limit));
    let looked = shared.mail()?.control.look(look).await;
    let (now, found) = looked.map_err(|_| Fault::no_room("going down"))?;
    let Messages { total, selected, rows } = found;
    let rows = rows.iter().map(|row| views::written(&rows::message(row, now))).collect();
    Ok(views::shown(spec, wish, now, (total as u64, selected as u64), rows))
}
