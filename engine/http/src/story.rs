//! `/v1/messages/{message}/story`: the life of a message, from the event log and the queue.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::story::Step;
use maily_api::story::Story;
use maily_api::story::Waiting;
use maily_core::clock::Timestamp;
use maily_core::event::Accepted;
use maily_core::event::Attempted;
use maily_core::event::Event;
use maily_core::event::Hit;
use maily_core::event::What;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::selection::SCHEMA;
use maily_core::queue::survey::MessageRow;
use maily_core::queue::survey::Order;
use maily_core::selector::Selector;
use maily_events::log;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::fault::Fault;
use crate::parts::Shared;

/// Domains of a message that are told of while they wait.
const WAITING_MAX: usize = 100;
/// Steps that are told, the last ones.
const STEPS_MAX: usize = 1_000;
/// A clock that was set back by more hides what happened meanwhile.
const CLOCK_SET_BACK_MAX: Duration = Duration::from_secs(2 * 86_400);

/// Tell the life of a message
///
/// As far as the event log goes back: its acceptance, each attempt with whom it was made and what
/// was answered, reports, what recipients did; and what of it waits now, and why.
#[utoipa::path(
    get,
    path = "/v1/messages/{message}/story",
    tag = "queue",
    params(("message" = String, Path, description = "Its id", max_length = 13)),
    responses((status = 200, body = Story))
)]
pub(crate) async fn tell(
    State(shared): State<Arc<Shared>>,
    Path(message): Path<String>,
) -> Outcome<Answer<Story>> {
    let nowhere = || Fault::not_found("nothing is known of such a message");
    let id: QueueId = message.parse().map_err(|_| nowhere())?;
    let mail = shared.mail()?;
    let folder = mail.log.clone();
    let since = id.made_at() - CLOCK_SET_BACK_MAX;
    let read = move || {
        let mut events = Vec::new();
        log::search(&folder, since, |about| about.id == id, |event| events.push(event))?;
        events.sort_by_key(|event| event.at);
        Ok::<_, String>(events)
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| Fault::ours(&error))?;
    let events = read.map_err(|error| Fault::ours(&error))?;
    let selector = Selector::parse(&format!("id={id}"), &SCHEMA);
    let selector = selector.map_err(|error| Fault::ours(&error))?;
    let look = move |queue: &Scheduler, now| {
        (now, queue.messages(now, &selector, Order::Oldest, 0, WAITING_MAX))
    };
    let looked = mail.control.look(look).await;
    let (now, waiting) = looked.map_err(|_| Fault::no_room("going down"))?;
    if events.is_empty() && waiting.rows.is_empty() {
        return Err(nowhere());
    }
    let waiting = waiting.rows.iter().map(|row| waits(row, now)).collect();
    Ok(Answer(StatusCode::OK, story(id, &events, waiting)))
}

fn story(id: QueueId, events: &[Event], waiting: Vec<Waiting>) -> Story {
    let accepted = events.iter().find_map(|event| match &event.what {
        What::Accepted(accepted) => Some(accepted),
        _ => None,
    });
    let recipients: Vec<String> = accepted
        .map(|accepted| accepted.recipients.iter().map(ToString::to_string).collect())
        .unwrap_or_default();
    let reverse_path = accepted.map(|accepted| accepted.reverse_path.to_string());
    let first = events.len().saturating_sub(STEPS_MAX);
    Story {
        message: id.to_string(),
        reverse_path: reverse_path.unwrap_or_default(),
        steps: events.iter().skip(first).map(|event| step(event, &recipients)).collect(),
        recipients,
        waiting,
    }
}

fn waits(row: &MessageRow, now: Timestamp) -> Waiting {
    let why = match (row.in_flight, row.said.is_empty()) {
        (true, _) => "it is under way".to_owned(),
        (false, true) => row.cause.to_owned(),
        (false, false) => format!("{}: {}", row.cause, row.said),
    };
    Waiting {
        domain: row.domain.to_string(),
        attempts: row.attempts,
        next: row.next.filter(|next| *next > now).map(|next| next.to_string()),
        expires: row.expires_at.to_string(),
        why,
    }
}

fn step(event: &Event, recipients: &[String]) -> Step {
    let name = |index: RecipientIndex| {
        recipients.get(index.0 as usize).cloned().unwrap_or_else(|| format!("#{}", index.0))
    };
    let hit =
        |hit: &Hit| format!("for {} by {:?}", name(hit.recipient), hit.verdict).to_lowercase();
    let (kind, text, lines) = match &event.what {
        What::Accepted(accepted) => ("accepted", accepted_text(accepted), Vec::new()),
        What::Attempted(attempted) => {
            let said = attempted.recipients.iter().map(|each| {
                let what = settled(each.settlement);
                format!("{} {what}: {}", name(each.recipient), each.outcome.diagnosis())
            });
            ("attempt", attempted_text(attempted), said.collect())
        }
        What::Reported { report, kind, recipients } => {
            let names: Vec<_> = recipients.iter().map(|index| name(*index)).collect();
            let kind = format!("{kind:?}").to_lowercase();
            ("reported", format!("{kind} by {report}: {}", names.join(", ")), Vec::new())
        }
        What::Removed { reason } => ("removed", reason.to_string(), Vec::new()),
        What::Opened(opened) => ("opened", hit(opened), Vec::new()),
        What::Clicked { hit: clicked, link, url } => {
            ("clicked", format!("link {link} {url} {}", hit(clicked)), Vec::new())
        }
        What::Unsubscribed(told) => ("unsubscribed", told.mailbox.to_string(), Vec::new()),
        What::Suppressed { recipient, reason } => {
            let reason = format!("{reason:?}").to_lowercase();
            ("suppressed", format!("{}: {reason}", name(*recipient)), Vec::new())
        }
        What::Returned(told) => (
            "returned",
            format!("{}: {}", name(told.recipient), told.reason),
            vec![told.text.to_string()],
        ),
        What::Complained(told) => ("complained", name(told.recipient), Vec::new()),
        What::Tagged(told) => ("tagged", told.to_string(), Vec::new()),
    };
    Step {
        at: event.at.to_string(),
        kind: kind.to_owned(),
        text,
        lines,
        event: serde_json::Value::Null,
    }
}

fn accepted_text(accepted: &Accepted) -> String {
    format!(
        "{} octets, Message-ID <{}>, tenant {:?}, campaign {:?}",
        accepted.octets, accepted.message_id, accepted.stream.tenant, accepted.stream.campaign
    )
}

fn attempted_text(attempted: &Attempted) -> String {
    let mut text = format!("{} at {}", attempted.attempt, attempted.domain);
    if let Some(peer) = &attempted.peer {
        let tls = if peer.tls.is_empty() { "in clear" } else { &*peer.tls };
        text.push_str(&format!(" from {} to {} [{}] {tls}", peer.source, peer.host, peer.address));
    }
    text
}

fn settled(settlement: Settlement) -> String {
    match settlement {
        Settlement::Done => "delivered".to_owned(),
        Settlement::Retry(at) => format!("put off until {at}"),
        Settlement::Bounce => "given up".to_owned(),
        Settlement::Expire => "too old".to_owned(),
    }
}
