//! `/v1/why`.

use std::sync::Arc;

use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use hyper::StatusCode;

use maily_api::why::Cause;
use maily_api::why::Why;
use maily_api::why::WhyQuery;
use maily_core::clock::Timestamp;
use maily_core::queue::cause;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::selection::SCHEMA;
use maily_core::selector::Selector;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::fault::Fault;
use crate::parts::Shared;

/// Reads a selector of waiting mail.
pub(crate) fn selector(text: &str, pointer: &str) -> Result<Selector, Fault> {
    Selector::parse(text, &SCHEMA)
        .map_err(|error| Fault::invalid_at(pointer, "selector", error.shown(text)))
}

/// Say why mail waits
///
/// The counts of the causes add up to what waits.
#[utoipa::path(
    get,
    path = "/v1/why",
    tag = "queue",
    params(WhyQuery),
    responses(
        (status = 200, body = Why),
        (status = 422, description = "the selector cannot be read: the detail shows where")
    )
)]
pub(crate) async fn why(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<WhyQuery>, QueryRejection>,
) -> Outcome<Answer<Why>> {
    let Query(query) = query.map_err(|error| Fault::malformed(error.body_text()))?;
    let selector = selector(query.selector.as_deref().unwrap_or_default(), "/selector")?;
    let look = move |queue: &Scheduler, now| (now, queue.why(now, &selector));
    let looked = shared.mail()?.control.look(look).await;
    let (now, why) = looked.map_err(|_| Fault::no_room("going down"))?;
    Ok(Answer(StatusCode::OK, told(now, why)))
}

pub(crate) fn told(now: Timestamp, why: cause::Why) -> Why {
    let cause = |cause: cause::Cause| Cause {
        cause: cause.name.to_owned(),
        count: cause.count as u64,
        detail: cause.detail,
        since: cause.since.map(|at| at.to_string()),
        until: cause.until.map(|at| at.to_string()),
        place: cause.place,
        remedy: cause.remedy.to_owned(),
        selector: cause.selector,
    };
    Why {
        at: now.to_string(),
        waiting: why.waiting as u64,
        in_flight: why.in_flight as u64,
        causes: why.causes.into_iter().map(cause).collect(),
    }
}
