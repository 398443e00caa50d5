//! `/v1/sessions` and `/v1/transcripts`: the SMTP sessions that go on, and what was said in them
//! and in the last ones that are over.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use hyper::StatusCode;
use hyper::http::request::Parts as Head;

use maily_api::live;
use maily_api::live::Session;
use maily_api::live::SessionsQuery;
use maily_api::live::TRANSCRIPTS_MAX;
use maily_api::live::Transcript;
use maily_api::live::TranscriptsQuery;
use maily_api::page::Page;
use maily_core::live::Direction;
use maily_core::live::Phase;
use maily_core::live::lines::Line;
use maily_core::live::lines::Speaker;
use maily_live::sessions;
use maily_live::talk;
use maily_live::talk::SessionId;
use maily_live::talk::SessionRow;
use maily_live::talk::Talk;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;

/// The most octets of texts of one answer with transcripts; those that have no more room are left
/// out, the oldest first.
const TEXT_OCTETS_MAX: usize = 2 << 20;
/// The most characters of the name of a site.
const SITE_CHARACTERS_MAX: usize = 255;
/// The most characters of the name of an egress source.
const SOURCE_CHARACTERS_MAX: usize = 63;

/// Which sessions are wanted.
pub(crate) struct OfSome {
    rows: Wanted,
    direction: Option<live::Direction>,
}

impl<S: Send + Sync> FromRequestParts<S> for OfSome {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Fault> {
        let Query(query) = Query::<SessionsQuery>::from_request_parts(head, state)
            .await
            .map_err(|error| Fault::malformed(error.body_text()))?;
        let mut rows = Wanted::new(head.uri.path(), query.limit, query.after)?;
        rows.also("direction", query.direction.map_or("", live::Direction::word));
        Ok(Self { rows, direction: query.direction })
    }
}

/// Which transcripts are wanted.
pub(crate) struct Over(TranscriptsQuery);

impl<S: Send + Sync> FromRequestParts<S> for Over {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, state: &S) -> Result<Self, Fault> {
        let Query(query) = Query::<TranscriptsQuery>::from_request_parts(head, state)
            .await
            .map_err(|error| Fault::malformed(error.body_text()))?;
        for (name, text, most) in [
            ("site", &query.site, SITE_CHARACTERS_MAX),
            ("source", &query.source, SOURCE_CHARACTERS_MAX),
        ] {
            if text.as_ref().is_some_and(|text| text.chars().count() > most) {
                return Err(Fault::malformed(format!("{name} has at most {most} characters")));
            }
        }
        Ok(Self(query))
    }
}

const fn direction_of(direction: live::Direction) -> Direction {
    match direction {
        live::Direction::In => Direction::In,
        live::Direction::Out => Direction::Out,
    }
}

const fn direction(direction: Direction) -> live::Direction {
    match direction {
        Direction::In => live::Direction::In,
        Direction::Out => live::Direction::Out,
    }
}

const fn phase(phase: Phase) -> live::Phase {
    match phase {
        Phase::Connecting => live::Phase::Connecting,
        Phase::Greeting => live::Phase::Greeting,
        Phase::Tls => live::Phase::Tls,
        Phase::Login => live::Phase::Login,
        Phase::Idle => live::Phase::Idle,
        Phase::Envelope => live::Phase::Envelope,
        Phase::Data => live::Phase::Data,
        Phase::Reply => live::Phase::Reply,
        Phase::Closing => live::Phase::Closing,
    }
}

/// A session as the contract has it.
pub(crate) fn session(row: SessionRow) -> Session {
    let given = |text: String| (!text.is_empty()).then_some(text);
    Session {
        session: row.about.id.to_string(),
        direction: direction(row.about.direction),
        peer: row.peer,
        site: row.about.site.into(),
        source: row.about.source.into(),
        phase: phase(row.phase),
        since: row.since.to_string(),
        began_at: row.about.began.to_string(),
        tls: given(row.tls),
        user: given(row.user),
        messages: row.messages,
        octets: row.octets,
        command: row.command,
        reply: row.reply,
        message: row.message.map(|id| id.to_string()),
        domain: given(row.domain),
        failed: row.failed,
    }
}

/// A line as the contract has it.
pub(crate) fn line(line: Line) -> live::Line {
    let by = match line.by {
        Speaker::Client => live::Speaker::Client,
        Speaker::Server => live::Speaker::Server,
        Speaker::Note => live::Speaker::Note,
    };
    live::Line { at: line.at.to_string(), by, text: line.text }
}

fn transcript_of(told: talk::Transcript) -> Transcript {
    let row = told.session;
    Transcript {
        session: row.about.id.to_string(),
        direction: direction(row.about.direction),
        peer: row.peer,
        site: row.about.site.into(),
        source: row.about.source.into(),
        began_at: row.about.began.to_string(),
        message: row.message.map(|id| id.to_string()),
        over: row.over.is_some(),
        failed: row.failed,
        cut: told.cut,
        lines: told.lines.into_iter().map(line).collect(),
    }
}

fn nowhere() -> Fault {
    Fault::not_found("there is no such session, or it is not kept any more")
}

/// The session of this name.
pub(crate) fn found(shared: &Shared, name: &str) -> Outcome<Arc<Talk>> {
    let sessions = &shared.mail()?.sessions;
    SessionId::parse(name).and_then(|id| sessions.find(id)).ok_or_else(nowhere)
}

/// List the SMTP sessions that go on
///
/// In and out, the oldest first: how far each is, since when, and what was said last.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "sessions",
    params(SessionsQuery),
    responses((status = 200, body = Page<Session>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    OfSome { rows: wanted, direction }: OfSome,
) -> Outcome<Rows<Session>> {
    let after = wanted.cursor(SessionId::parse)?;
    let mut rows = shared.mail()?.sessions.snapshot();
    rows.retain(|row| {
        after.is_none_or(|after| row.about.id > after)
            && direction.is_none_or(|one| direction_of(one) == row.about.direction)
    });
    rows.truncate(wanted.looked_for());
    Ok(wanted.page(rows, |row| row.about.id.to_string(), session))
}

/// End a session
///
/// One in is told 421 at its next turn, in the middle of a message too. One out ends when the
/// message under way is off its hands, so that no mail comes to harm.
#[utoipa::path(
    delete,
    path = "/v1/sessions/{session}",
    tag = "sessions",
    params(("session" = String, Path, description = "Its name", max_length = 64)),
    responses(
        (status = 202, description = "it was told so"),
        (status = 404, description = "there is no such session, or it is over")
    )
)]
pub(crate) async fn close(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Outcome<StatusCode> {
    let sessions = &shared.mail()?.sessions;
    let asked = SessionId::parse(&name).and_then(|id| sessions.ask_to_leave(id));
    asked.map(|_| StatusCode::ACCEPTED).ok_or_else(nowhere)
}

/// Read what was said in a session
///
/// The last lines, of one that goes on or of one of the last that are over. Messages and secrets
/// are left out, and said to be.
#[utoipa::path(
    get,
    path = "/v1/sessions/{session}/transcript",
    tag = "sessions",
    params(("session" = String, Path, description = "Its name", max_length = 64)),
    responses(
        (status = 200, body = Transcript),
        (status = 404, description = "there is no such session, or it is not kept any more")
    )
)]
pub(crate) async fn transcript(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Outcome<Answer<Transcript>> {
    let talk = found(&shared, &name)?;
    Ok(Answer(StatusCode::OK, transcript_of(talk.transcript(0))))
}

/// Read what was said in the last sessions that are over
///
/// The last first. Some are kept of each site and egress source, some that came in, and more of
/// what failed, also in sessions that go on.
#[utoipa::path(
    get,
    path = "/v1/transcripts",
    tag = "sessions",
    params(TranscriptsQuery),
    responses((status = 200, body = Vec<Transcript>))
)]
pub(crate) async fn transcripts(
    State(shared): State<Arc<Shared>>,
    Over(query): Over,
) -> Outcome<Answer<Vec<Transcript>>> {
    let wanted = sessions::Wanted {
        direction: query.direction.map(direction_of),
        site: query.site.as_deref(),
        source: query.source.as_deref(),
        failed: query.failed,
    };
    let mut room = TEXT_OCTETS_MAX;
    let mut all = Vec::new();
    for talk in shared.mail()?.sessions.over(&wanted).into_iter().take(TRANSCRIPTS_MAX) {
        let told = transcript_of(talk.transcript(0));
        let octets = told.lines.iter().map(|line| line.text.len()).sum::<usize>();
        let Some(left) = room.checked_sub(octets) else { break };
        room = left;
        all.push(told);
    }
    Ok(Answer(StatusCode::OK, all))
}

#[cfg(test)]
mod tests {
    use maily_core::live::lines;

    use super::*;

    #[test]
    fn the_contract_names_the_limits_that_there_are() {
        assert_eq!(live::LINES_MAX, lines::LINES_MAX);
        assert_eq!(live::LINE_OCTETS_MAX, lines::LINE_OCTETS_MAX);
    }

    #[tokio::test]
    async fn one_character_above_the_limit_is_refused() {
        let asked = async |query: String| {
            let request = hyper::Request::get(format!("/v1/transcripts?{query}")).body(()).unwrap();
            let (mut head, ()) = request.into_parts();
            let read = Over::from_request_parts(&mut head, &()).await;
            read.map(|_| ()).map_err(|fault| fault.status())
        };
        for (name, most) in [("site", SITE_CHARACTERS_MAX), ("source", SOURCE_CHARACTERS_MAX)] {
            assert_eq!(asked(format!("{name}={}", "x".repeat(most))).await, Ok(()));
            assert_eq!(asked(format!("{name}={}", "x".repeat(most + 1))).await, Err(400));
        }
        assert_eq!(asked("direction=in&failed=true".into()).await, Ok(()));
        for bad in ["direction=up", "failed=maybe", "project=a"] {
            assert_eq!(asked(bad.into()).await, Err(400), "{bad}");
        }
    }
}
