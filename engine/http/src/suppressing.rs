//! `/v1/suppressions`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::StatusCode;
use hyper::http::request::Parts as Head;

use maily_api::page::Page;
use maily_api::suppression;
use maily_api::suppression::LiftQuery;
use maily_api::suppression::RECIPIENTS_MAX;
use maily_api::suppression::SuppressRequest;
use maily_api::suppression::SuppressedCount;
use maily_api::suppression::SuppressionsQuery;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;
use maily_events::suppression::SuppressError;
use maily_events::suppression::Suppression;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::body::Json;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::MaybeProject;
use crate::times;

/// The most characters of a list's name.
const LIST_CHARACTERS_MAX: usize = 63;

/// The most characters of a mailbox (RFC 5321 4.5.3.1).
const MAILBOX_CHARACTERS_MAX: usize = 320;

/// Which rows are wanted.
pub(crate) struct OfSome {
    rows: Wanted,
    list: Option<String>,
    recipient: String,
}

impl<S: Send + Sync> FromRequestParts<S> for OfSome {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Fault> {
        let Query(query) = Query::<SuppressionsQuery>::from_request_parts(head, state)
            .await
            .map_err(|error| Fault::malformed(error.body_text()))?;
        let mut rows = Wanted::new(head.uri.path(), query.limit, query.after)?;
        for (name, value) in [("list", &query.list), ("recipient", &query.recipient)] {
            let written = value.as_deref().map(in_query).unwrap_or_default();
            rows.also(name, &written);
        }
        let recipient = query.recipient.unwrap_or_default();
        if recipient.chars().count() > MAILBOX_CHARACTERS_MAX {
            let why = format!("recipient has at most {MAILBOX_CHARACTERS_MAX} characters");
            return Err(Fault::malformed(why));
        }
        if query.list.as_deref().is_some_and(|list| list_of(Some(list), "").is_err()) {
            let why = format!("list has from 1 to {LIST_CHARACTERS_MAX} characters");
            return Err(Fault::malformed(why));
        }
        // Rows stand by list and then by mailbox.
        let list = query.list.or_else(|| (!recipient.is_empty()).then(String::new));
        Ok(Self { rows, list, recipient })
    }
}

/// A text as it stands in a query (RFC 3986 2.1).
fn in_query(text: &str) -> String {
    let octets = text.bytes().map(|octet| match octet {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(octet).to_string()
        }
        other => format!("%{other:02X}"),
    });
    octets.collect()
}

/// List who is not written to
///
/// By list and mailbox; those of the project's whole mail come first. Without a project, those to
/// whom no project writes.
#[utoipa::path(
    get,
    path = "/v1/suppressions",
    tag = "suppressions",
    params(SuppressionsQuery),
    responses((status = 200, body = Page<suppression::Suppression>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    wanted: OfSome,
) -> Outcome<Rows<suppression::Suppression>> {
    let suppressions = &shared.mail()?.suppressions;
    let project = project.as_ref().map_or("", |project| project.as_str());
    let OfSome { rows, list, recipient } = wanted;
    let after = rows.cursor(|text| {
        let key = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        Subject::of_cursor(project, &key)
    })?;
    let (list, limit) = (list.as_deref(), rows.looked_for());
    let found = suppressions.list(project, list, &recipient, after.as_ref(), limit);
    let cursor = |(subject, _): &(Subject, _)| BASE64_URL_SAFE_NO_PAD.encode(subject.cursor());
    Ok(rows.page(found, cursor, shown))
}

fn shown((subject, known): (Subject, Suppression)) -> suppression::Suppression {
    suppression::Suppression {
        recipient: subject.mailbox.into(),
        list: Some(subject.list.into()).filter(|list: &String| !list.is_empty()),
        reason: word(known.reason),
        message: known.message.map(|id| id.to_string()),
        first_at: known.first.to_string(),
        last_at: known.last.to_string(),
        until: known.until.map(|until| until.to_string()),
    }
}

/// A reason in the words of the contract.
pub(crate) const fn word(reason: SuppressionReason) -> suppression::SuppressionReason {
    match reason {
        SuppressionReason::Unsubscribed => suppression::SuppressionReason::Unsubscribed,
        SuppressionReason::Complained => suppression::SuppressionReason::Complained,
        SuppressionReason::Bounced => suppression::SuppressionReason::Bounced,
        SuppressionReason::Operator => suppression::SuppressionReason::Operator,
    }
}

const fn meant(reason: suppression::SuppressionReason) -> SuppressionReason {
    match reason {
        suppression::SuppressionReason::Unsubscribed => SuppressionReason::Unsubscribed,
        suppression::SuppressionReason::Complained => SuppressionReason::Complained,
        suppression::SuppressionReason::Bounced => SuppressionReason::Bounced,
        suppression::SuppressionReason::Operator => SuppressionReason::Operator,
    }
}

/// Do not write to somebody
///
/// To any number of mailboxes up to 10,000, all of them or none if one is wrong. It holds at once,
/// also for mail that waits. Without a project it holds for all projects.
#[utoipa::path(
    post,
    path = "/v1/suppressions",
    tag = "suppressions",
    request_body = SuppressRequest,
    responses((status = 200, body = SuppressedCount, description = "they are on disk"))
)]
pub(crate) async fn add(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    Json(request): Json<SuppressRequest>,
) -> Outcome<Answer<SuppressedCount>> {
    let suppressions = &shared.mail()?.suppressions;
    let count = request.recipients.len();
    if count == 0 || count > RECIPIENTS_MAX {
        let detail = format!("from 1 to {RECIPIENTS_MAX} of them");
        return Err(Fault::invalid_at("/recipients", "out_of_range", detail));
    }
    let project = project.as_ref().map_or("", |project| project.as_str());
    let list = list_of(request.list.as_deref(), "/list")?;
    let until = request.until.as_deref().map(|text| {
        let wrong = || Fault::invalid_at("/until", "time", "this is no time of RFC 3339");
        times::parse(text).ok_or_else(wrong)
    });
    let (at, until) = (shared.parts.clock.now(), until.transpose()?);
    let said = Said { at, reason: meant(request.reason), message: None, until };
    let mut subjects = Vec::with_capacity(count);
    for (number, recipient) in request.recipients.iter().enumerate() {
        let mailbox = Mailbox::parse(recipient).map_err(|error| {
            Fault::invalid_at(&format!("/recipients/{number}"), "address", error.to_string())
        })?;
        subjects.push(Subject::new(project, list, &mailbox));
    }
    suppressions.suppress_all(&subjects, said).await.map_err(not_written)?;
    let suppressed = u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Answer(StatusCode::OK, SuppressedCount { suppressed }))
}

/// Write to somebody again
///
/// What was said of all mail of the project and what was said of a list are lifted one by one.
#[utoipa::path(
    delete,
    path = "/v1/suppressions/{recipient}",
    tag = "suppressions",
    params(
        ("recipient" = String, Path, description = "The mailbox", max_length = 320),
        LiftQuery
    ),
    responses(
        (status = 204, description = "it is lifted"),
        (status = 404, description = "nothing was said of them")
    )
)]
pub(crate) async fn lift(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    Path(recipient): Path<String>,
    query: Result<Query<LiftQuery>, axum::extract::rejection::QueryRejection>,
) -> Outcome<StatusCode> {
    let suppressions = &shared.mail()?.suppressions;
    let Query(query) = query.map_err(|error| Fault::malformed(error.body_text()))?;
    let none = || Fault::not_found("nothing was said of this mailbox here");
    let mailbox = Mailbox::parse(&recipient).map_err(|_| none())?;
    let project = project.as_ref().map_or("", |project| project.as_str());
    let list = list_of(query.list.as_deref(), "").map_err(|_| none())?;
    let subject = Subject::new(project, list, &mailbox);
    if suppressions.release(&subject).await.map_err(not_written)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(none())
    }
}

fn list_of<'a>(list: Option<&'a str>, pointer: &str) -> Result<&'a str, Fault> {
    let Some(list) = list else { return Ok("") };
    if list.is_empty() || list.chars().count() > LIST_CHARACTERS_MAX {
        let detail = format!("a list has a name of 1 to {LIST_CHARACTERS_MAX} characters");
        return Err(Fault::invalid_at(pointer, "out_of_range", detail));
    }
    Ok(list)
}

fn not_written(error: SuppressError) -> Fault {
    Fault::ours(&error)
}
