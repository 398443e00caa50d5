//! `/v1/directives`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::directive;
use maily_api::directive::DIRECTIVE_SECS_MAX;
use maily_api::directive::DirectiveRequest;
use maily_api::directive::DirectiveState;
use maily_api::directive::REASON_OCTETS_MAX;
use maily_api::directive::Sample;
use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_core::clock::Timestamp;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::selection;
use maily_core::queue::survey::MessageRow;
use maily_core::queue::survey::Preview;
use maily_core::selector::Selector;
use maily_core::selector::limits::OCTETS_MAX;
use maily_registry::directive::Directive;
use maily_registry::directive::State as Stage;
use maily_registry::directive::Verb;
use maily_registry::directive::number;

use crate::answer::Answer;
use crate::answer::Made;
use crate::answer::Outcome;
use crate::body::Json;
use crate::fault::Fault;
use crate::orders::OrderError;
use crate::orders::Orders;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::Principal;
use crate::showing::shown;
use crate::why::selector;

/// For how long what is given up or removed can be undone, if the request does not say, in seconds.
const WINDOW_SECS: u32 = 600;
/// The longest such time.
const WINDOW_SECS_MAX: u32 = 86_400;
/// For how long mail is moved to another pool, if the request does not say, in seconds.
const MOVE_SECS: u32 = 7 * 86_400;
/// The most messages that are remembered one by one.
const ONLY_MAX: usize = 500_000;

impl From<OrderError> for Fault {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Ended => Self::no_room("going down"),
            OrderError::TooMany(why) => Self::new(StatusCode::CONFLICT, "too-many", why),
            OrderError::Registry(error) => error.into(),
        }
    }
}

/// List directives
///
/// What operators have said of waiting mail, the last first.
#[utoipa::path(
    get,
    path = "/v1/directives",
    tag = "queue",
    params(PageQuery),
    responses((status = 200, body = Page<directive::Directive>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    wanted: Wanted,
) -> Outcome<Rows<directive::Directive>> {
    let after = wanted.cursor(|text| text.parse::<u32>().ok())?;
    let mut rows = shared.parts.registry.directives();
    rows.reverse();
    rows.retain(|row| after.is_none_or(|after| row.number < after));
    rows.truncate(wanted.looked_for());
    Ok(wanted.page(rows, |row| row.number.to_string(), |row| shown(row, Vec::new())))
}

fn no_directive() -> Fault {
    Fault::not_found("there is no such directive")
}

/// Show a directive
#[utoipa::path(
    get,
    path = "/v1/directives/{directive}",
    tag = "queue",
    params(("directive" = String, Path, description = "Its name", max_length = 12)),
    responses((status = 200, body = directive::Directive))
)]
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Outcome<Answer<directive::Directive>> {
    let number = number(&name).ok_or_else(no_directive)?;
    let found = shared.parts.registry.directive(number).ok_or_else(no_directive)?;
    Ok(Answer(StatusCode::OK, shown(found, Vec::new())))
}

/// Take a directive back
///
/// What it holds is let go, bit by bit. What is done is not undone by it: mail that was given up or
/// removed is gone.
#[utoipa::path(
    delete,
    path = "/v1/directives/{directive}",
    tag = "queue",
    params(("directive" = String, Path, description = "Its name", max_length = 12)),
    responses(
        (status = 200, body = directive::Directive),
        (status = 409, description = "it has ended, or is being carried out")
    )
)]
pub(crate) async fn undo(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Outcome<Answer<directive::Directive>> {
    let number = number(&name).ok_or_else(no_directive)?;
    let found = shared.parts.registry.directive(number).ok_or_else(no_directive)?;
    let too_late = |why: &str| Err(Fault::new(StatusCode::CONFLICT, "too-late", why));
    match found.state {
        Stage::Done => return too_late("it is done, and cannot be undone"),
        Stage::Undone | Stage::Over => return too_late("it has ended already"),
        Stage::Working => return too_late("it is being carried out, and cannot be undone"),
        Stage::InForce | Stage::Pending => {}
    }
    let ended = orders(&shared)?.end(&found, Stage::Undone).await?;
    Ok(Answer(StatusCode::OK, shown(ended, Vec::new())))
}

fn orders(shared: &Shared) -> Result<Orders, Fault> {
    Ok(Orders {
        registry: shared.parts.registry.clone(),
        control: shared.mail()?.control.clone(),
        clock: Arc::clone(&shared.parts.clock),
    })
}

/// Do something with waiting mail
///
/// With `dry_run` it only says what would happen. It is on disk before it holds. What is given up
/// or removed is held first, so that it can be undone.
#[utoipa::path(
    post,
    path = "/v1/directives",
    tag = "queue",
    request_body = DirectiveRequest,
    responses(
        (status = 200, description = "what would happen", body = directive::Directive),
        (status = 201, body = directive::Directive),
        (status = 409, description = "there are many more messages than expected, or directives")
    )
)]
pub(crate) async fn give(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Json(request): Json<DirectiveRequest>,
) -> Result<Given, Fault> {
    let selector = selector(&request.selector, "/selector")?;
    let verb = verb_of(request.verb);
    check(&request, verb, &selector)?;
    let orders = orders(&shared)?;
    let (now, preview) = preview(&orders, &request, verb, &selector).await?;
    let mut draft = draft(&request, verb, &selector, now, &preview);
    draft.author = principal.actor();
    let samples = preview.samples.iter().map(|row| sample(now, row)).collect();
    if request.dry_run {
        let mut shown = shown(draft, samples);
        (shown.id, shown.state) = ("dry-run".to_owned(), DirectiveState::DryRun);
        return Ok(Given::Would(Box::new(shown)));
    }
    if let Some(expected) = request.expected
        && draft.matched > expected + expected.div_ceil(10)
    {
        let detail = format!("it was said to be {expected} messages: by now {}", draft.matched);
        return Err(Fault::new(StatusCode::CONFLICT, "grown", detail));
    }
    let lasting = selection::is_lasting(&selector);
    if matches!(verb, Verb::Hold | Verb::Bounce | Verb::Drop | Verb::Move) && !lasting {
        draft.only = Some(remembered(&orders, selector).await?);
    }
    let directive = carry_out(&orders, draft).await?;
    let place = format!("/v1/directives/{}", directive.name());
    Ok(Given::Made(Box::new(Made(place, shown(directive, samples)))))
}

/// What is answered to a directive.
pub(crate) enum Given {
    /// What would happen.
    Would(Box<directive::Directive>),
    /// What does.
    Made(Box<Made<directive::Directive>>),
}

impl axum::response::IntoResponse for Given {
    fn into_response(self) -> axum::response::Response {
        match self {
            Self::Would(shown) => Answer(StatusCode::OK, *shown).into_response(),
            Self::Made(made) => (*made).into_response(),
        }
    }
}

async fn carry_out(orders: &Orders, draft: Directive) -> Result<Directive, Fault> {
    let directive = orders.registry.add_directive(draft).await?;
    let number = directive.number;
    if matches!(directive.verb, Verb::Resume | Verb::Release | Verb::Retry) {
        let done = orders.once(&directive).await?;
        let note = |one: &mut Directive| (one.done, one.state) = (done, Stage::Done);
        return Ok(orders.registry.note_directive(number, note).await?);
    }
    if let Err(error) = orders.begin(&directive).await {
        let end = |one: &mut Directive| one.state = Stage::Undone;
        orders.registry.note_directive(number, end).await?;
        return Err(error.into());
    }
    if directive.state == Stage::Pending && directive.until == Some(directive.at) {
        orders.act(&directive, Stage::Working).await?;
    }
    orders.registry.directive(number).ok_or_else(no_directive)
}

async fn remembered(orders: &Orders, selector: Selector) -> Result<Vec<u64>, Fault> {
    let ids = orders.selected(selector).await?;
    if ids.len() > ONLY_MAX {
        let detail = format!(
            "what it says of messages does not last, and {} are too many to be remembered one by \
             one: at most {ONLY_MAX}; say it by site, domain, campaign or age",
            ids.len()
        );
        return Err(Fault::new(StatusCode::CONFLICT, "too-many", detail));
    }
    Ok(ids.into_iter().map(|id| id.as_u64()).collect())
}

/// What it would be about. A retry is about what waits for its time, a release about what is held.
async fn preview(
    orders: &Orders,
    request: &DirectiveRequest,
    verb: Verb,
    selector: &Selector,
) -> Result<(Timestamp, Preview), Fault> {
    let (pool, selector) = (request.pool.clone().unwrap_or_default(), selector.clone());
    let look = move |queue: &Scheduler, now: Timestamp| {
        (verb != Verb::Move || queue.has_pool(&pool)).then(|| (now, queue.preview(now, &selector)))
    };
    let looked = orders.control.look(look).await.map_err(|_| OrderError::Ended)?;
    looked.ok_or_else(|| Fault::invalid_at("/pool", "unknown", "there is no pool of this name"))
}

fn check(request: &DirectiveRequest, verb: Verb, selector: &Selector) -> Result<(), Fault> {
    let bad = |pointer: &str, code: &str, why: &str| Err(Fault::invalid_at(pointer, code, why));
    let reason = request.reason.trim();
    let wants_reason = !matches!(verb, Verb::Resume | Verb::Release | Verb::Retry);
    if reason.is_empty() && wants_reason && !request.dry_run {
        return bad("/reason", "missing", "say why: it is told to whoever asks");
    }
    if reason.len() > REASON_OCTETS_MAX || reason.chars().any(char::is_control) {
        let why = format!("it must be one line of at most {REASON_OCTETS_MAX} octets");
        return bad("/reason", "too_long", &why);
    }
    if request.seconds.is_some_and(|seconds| seconds == 0 || seconds > DIRECTIVE_SECS_MAX) {
        let why = format!("it must be from 1 to {DIRECTIVE_SECS_MAX}");
        return bad("/seconds", "out_of_range", &why);
    }
    if request.window_seconds.is_some_and(|seconds| seconds > WINDOW_SECS_MAX) {
        let why = format!("it must be at most {WINDOW_SECS_MAX}");
        return bad("/window_seconds", "out_of_range", &why);
    }
    let may_future = matches!(verb, Verb::Bounce | Verb::Drop | Verb::Move | Verb::Suspend);
    if request.future && !may_future {
        return bad("/future", "unfit", "only bounce, drop, move and suspend are for what comes");
    }
    let coming = request.future || verb == Verb::Suspend;
    if coming && !selection::is_of_future(selector) {
        let why = "what comes later is known by its domain, site, tenant, campaign, class, pool \
                   and source alone; to stop what waits now, hold it";
        return bad("/selector", "unfit", why);
    }
    if request.pool.is_some() != (verb == Verb::Move) {
        return bad("/pool", "unfit", "a pool is needed for move, and for nothing else");
    }
    Ok(())
}

fn draft(
    request: &DirectiveRequest,
    verb: Verb,
    selector: &Selector,
    now: Timestamp,
    preview: &Preview,
) -> Directive {
    let ends = match verb {
        Verb::Bounce | Verb::Drop => Some(request.window_seconds.unwrap_or(WINDOW_SECS)),
        Verb::Move => Some(request.seconds.unwrap_or(MOVE_SECS)),
        Verb::Suspend | Verb::Hold => request.seconds,
        Verb::Resume | Verb::Release | Verb::Retry => None,
    };
    let sites = preview.sites.iter();
    Directive {
        number: 0,
        verb,
        selector: written(selector, &request.selector),
        reason: request.reason.trim().into(),
        author: "".into(),
        at: now,
        until: ends.map(|seconds| now + Duration::from_secs(seconds.into())),
        state: match verb {
            Verb::Bounce | Verb::Drop => Stage::Pending,
            Verb::Suspend | Verb::Hold | Verb::Move => Stage::InForce,
            Verb::Resume | Verb::Release | Verb::Retry => Stage::Working,
        },
        future: request.future || verb == Verb::Suspend,
        pool: request.pool.as_deref().map(Into::into),
        matched: preview.waiting as u64,
        in_flight: preview.in_flight as u64,
        done: 0,
        sites: sites.map(|(name, count)| (name.as_str().into(), *count as u64)).collect(),
        only: None,
    }
}

/// A selector as it is kept: in one form for all who mean the same, unless that is too long to be
/// read again.
fn written(selector: &Selector, asked: &str) -> Box<str> {
    let written = selector.to_string();
    if written.len() <= OCTETS_MAX { written.into() } else { asked.into() }
}

fn sample(now: Timestamp, row: &MessageRow) -> Sample {
    Sample {
        message: row.id.to_string(),
        domain: row.domain.to_string(),
        campaign: row.stream.campaign.to_string(),
        age_seconds: now.since(row.id.made_at()).as_secs(),
    }
}

const fn verb_of(verb: directive::Verb) -> Verb {
    match verb {
        directive::Verb::Suspend => Verb::Suspend,
        directive::Verb::Resume => Verb::Resume,
        directive::Verb::Hold => Verb::Hold,
        directive::Verb::Release => Verb::Release,
        directive::Verb::Retry => Verb::Retry,
        directive::Verb::Bounce => Verb::Bounce,
        directive::Verb::Drop => Verb::Drop,
        directive::Verb::Move => Verb::Move,
    }
}
