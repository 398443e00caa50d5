//! `/v1/messages`: handing in mail, and taking it back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::extract::Path;
use axum::extract::State;
use axum::http::request::Parts as Head;
use hyper::HeaderMap;
use hyper::StatusCode;

use maily_api::message::Acceptance;
use maily_api::message::Cancelled;
use maily_api::message::Class;
use maily_api::message::IDEMPOTENCY_KEY_CHARACTERS_MAX;
use maily_api::message::InjectRequest;
use maily_api::message::InjectResponse;
use maily_api::message::InjectResult;
use maily_api::message::Recipient;
use maily_core::clock::Timestamp;
use maily_core::event::Labels;
use maily_core::event::Origin;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::queue::cancellation::Which;
use maily_core::render::mailing::Mailing;
use maily_ingress::inject::Injection;
use maily_ingress::inject::Known;
use maily_ingress::inject::Refusal;
use maily_registry::withdrawals::Withdrawal;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::asking;
use crate::asking::Fate;
use crate::body::Digested;
use crate::drafting;
use crate::drafting::Addressee;
use crate::fault::Fault;
use crate::limits::NAME_CHARACTERS_MAX;
use crate::parts::Shared;
use crate::presence::Presence;
use crate::principal::InProject;
use crate::principal::Principal;
use crate::principal::Proof;
use crate::suppressing;
use crate::times;

/// Mail may be put off for so long.
const SEND_AT_AHEAD_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The header field by which a request is known when it comes again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Hand in mail
///
/// A mail for each recipient. It is on disk when this is answered; what is wrong with one recipient
/// does not keep the others from theirs. With an `Idempotency-Key` the same request is taken once
/// within 24 hours, however often it comes, also after a crash.
#[utoipa::path(
    post,
    path = "/v1/messages",
    tag = "messages",
    request_body = InjectRequest,
    params((
        "Idempotency-Key" = Option<String>,
        Header,
        description = "By what the request is known when it comes again",
        min_length = 1,
        max_length = 256,
        pattern = "^[!-~]+$"
    )),
    responses(
        (status = 202, body = InjectResponse, description = "it is on disk"),
        (status = 409, description = "a request with this key is under way"),
        (status = 422, description = "nobody can be sent it, or the key came with another request"),
        (status = 503, description = "there is no room for now")
    )
)]
pub(crate) async fn inject(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    principal: Principal,
    head: Caller,
    Digested(mut request, digest): Digested<InjectRequest>,
) -> Outcome<Answer<InjectResponse>> {
    let mail = shared.mail()?;
    let now = shared.parts.clock.now();
    let not_before = request.send_at.as_deref().map(|text| send_at(text, now)).transpose()?;
    let addressees = drafting::addressees(&request)?;
    let list = request.list.clone().unwrap_or_default();
    let suppressed =
        |to: &Mailbox| mail.suppressions.is_suppressed(now, project.as_str(), &list, to);
    let mut claim = None;
    if let Some(key) = head.key {
        let key = key_of(&principal.actor(), project.as_str(), &key?);
        match mail.door.claim(key, digest).await.map_err(refused)? {
            Known::Complete(first) => {
                let ids = (0..).map(|number| first.after(number));
                return Ok(taken(request.recipients, addressees, ids, &suppressed));
            }
            Known::Open(claimed) => claim = Some(claimed),
        }
    }
    let begun = match &claim {
        Some(claimed) => mail.door.begun(claimed).await,
        None => None,
    };
    let begun = begun.and_then(|begun| Some((Mailing::decode(&begun.mailing).ok()?, begun.held)));
    let (mailing, fate) = match begun {
        Some((mailing, true)) => (mailing, Fate::Held),
        Some((mailing, false)) => (mailing, Fate::Sent),
        None => {
            let (registry, door) = (&shared.parts.registry, &mail.door);
            let unsubscribe = door.feedback.mailbox.as_ref();
            let mailing = drafting::draft(&mut request, &project, registry, unsubscribe)?;
            asking::look(mail, mailing, &addressees, head.client, &principal.actor()).await?
        }
    };
    let accepted = addressees.iter().flatten();
    let injection = Injection {
        mailing: mailing
            .encode()
            .map_err(|error| Fault::invalid_at("", "too_long", error.to_string()))?,
        envelope: Envelope {
            smtputf8: mailing.needs_smtputf8(),
            ..Envelope::plain(ReversePath::Mailbox(mailing.from.mailbox.clone()), Vec::new())
        },
        recipients: accepted
            .map(|(to, binding)| (envelope::Recipient::plain(to.clone()), binding.encode()))
            .collect(),
        stream: stream(&request, project.as_str()),
        not_before,
        expire_after: request.expire_after_secs.map(|secs| Duration::from_secs(secs.into())),
        origin: origin(&mailing, head.client, &principal),
        held: fate == Fate::Held,
        claim,
    };
    let ids = match fate {
        Fate::Discarded(reason) => mail.door.discard(injection, &reason),
        Fate::Sent | Fate::Held => {
            mail.door.inject(&mail.gate, injection).await.map_err(refused)?
        }
    };
    Ok(taken(request.recipients, addressees, ids.into_iter(), &suppressed))
}

/// By what door it came, with what whoever handed it in wants to find in all that is told of it.
fn origin(mailing: &Mailing, client: Option<IpAddr>, principal: &Principal) -> Origin {
    let (token, project) = (token_of(principal), mailing.project.clone());
    let labels = Labels { tags: mailing.tags.clone(), meta: mailing.meta.clone() };
    if labels.is_empty() {
        Origin::Http { client, token, project }
    } else {
        Origin::HttpLabelled { client, token, project, labels: Box::new(labels) }
    }
}

/// The answer to a request whose mail is on disk: an id for each recipient that it was taken for.
fn taken(
    recipients: Vec<Recipient>,
    addressees: Vec<Addressee>,
    mut ids: impl Iterator<Item = QueueId>,
    suppressed: &dyn Fn(&Mailbox) -> Option<SuppressionReason>,
) -> Answer<InjectResponse> {
    let results = recipients.into_iter().zip(addressees).map(|(recipient, addressee)| {
        let email = recipient.email;
        match addressee {
            Ok((to, _)) => {
                let id = ids.next().map(|id| id.to_string());
                let suppressed = suppressed(&to).map(suppressing::word);
                InjectResult { id, email, status: Acceptance::Accepted, error: None, suppressed }
            }
            Err(error) => {
                let (status, error) = (Acceptance::Refused, Some(error));
                InjectResult { id: None, email, status, error, suppressed: None }
            }
        }
    });
    Answer(StatusCode::ACCEPTED, InjectResponse { results: results.collect() })
}

/// Take back one mail
///
/// It is gone if it waits. What is under way to the next hop goes on, and is answered with 409.
#[utoipa::path(
    delete,
    path = "/v1/messages/{message}",
    tag = "messages",
    params(("message" = String, Path, description = "Its id", max_length = 32)),
    responses(
        (status = 204, description = "it is gone"),
        (status = 404, description = "it does not wait"),
        (status = 409, description = "it is under way")
    )
)]
pub(crate) async fn cancel(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    principal: Principal,
    Path(message): Path<String>,
) -> Outcome<StatusCode> {
    let mail = shared.mail()?;
    let none = || Fault::not_found("no such mail waits");
    let id: QueueId = message.parse().map_err(|_| none())?;
    if !mail.is_of(id, project.as_str()).await? {
        return Err(none());
    }
    let which = Which::Messages([id].into());
    let taken = mail.cancel(which, &principal.actor()).await?;
    match (taken.gone.is_empty(), taken.in_flight.is_empty()) {
        (false, _) => Ok(StatusCode::NO_CONTENT),
        (true, false) => Err(Fault::new(StatusCode::CONFLICT, "under-way", "it is being sent")),
        (true, true) => Err(none()),
    }
}

/// Take back the mail of a campaign
///
/// All of it that waits; what is under way goes on.
#[utoipa::path(
    delete,
    path = "/v1/campaigns/{campaign}/messages",
    tag = "messages",
    params(("campaign" = String, Path, description = "Its name", max_length = 63)),
    responses((status = 200, body = Cancelled))
)]
pub(crate) async fn cancel_campaign(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    principal: Principal,
    Path(campaign): Path<String>,
) -> Outcome<Answer<Cancelled>> {
    let mail = shared.mail()?;
    if campaign.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Fault::not_found("no campaign has such a long name"));
    }
    let which = Which::Campaign { tenant: project.as_str().into(), campaign: campaign.into() };
    let taken = mail.cancel(which, &principal.actor()).await?;
    let cancelled =
        Cancelled { cancelled: taken.gone.len() as u64, under_way: taken.in_flight.len() as u64 };
    Ok(Answer(StatusCode::OK, cancelled))
}

/// Take back the mail that has a tag
///
/// All of it that waits now is dropped when its turn comes, however much it is; what is under way
/// goes on, and is not tried again.
#[utoipa::path(
    delete,
    path = "/v1/tags/{tag}/messages",
    tag = "messages",
    params(("tag" = String, Path, description = "The tag", max_length = 63)),
    responses(
        (status = 202, description = "it is not sent any more"),
        (status = 409, description = "there are too many tags whose mail is taken back")
    )
)]
pub(crate) async fn withdraw(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    principal: Principal,
    Path(tag): Path<String>,
) -> Outcome<StatusCode> {
    if tag.chars().count() > NAME_CHARACTERS_MAX {
        return Err(Fault::not_found("no tag is so long"));
    }
    let withdrawal = Withdrawal { at: shared.parts.clock.now(), by: principal.actor() };
    shared.parts.registry.withdraw(&project, &tag, withdrawal).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The id of the token behind a request; empty for a process of this machine.
fn token_of(principal: &Principal) -> Box<str> {
    match &principal.proof {
        Proof::Token(id) | Proof::Jwt(id) => id.to_string().into(),
        Proof::Peer(_) => Box::default(),
    }
}

/// What the head of a request says about it.
pub(crate) struct Caller {
    client: Option<IpAddr>,
    key: Option<Result<String, Fault>>,
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(head: &mut Head, _: &S) -> Result<Self, Fault> {
        let client = match head.extensions.get::<Presence>() {
            Some(Presence::Remote(address)) => Some(*address),
            Some(Presence::Local { .. }) | None => None,
        };
        Ok(Self { client, key: key_field(&head.headers) })
    }
}

fn key_field(headers: &HeaderMap) -> Option<Result<String, Fault>> {
    let value = headers.get(IDEMPOTENCY_KEY)?;
    let text = value.to_str().unwrap_or_default().trim();
    let visible = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
    Some(if visible && text.len() <= IDEMPOTENCY_KEY_CHARACTERS_MAX {
        Ok(text.to_owned())
    } else {
        let most = IDEMPOTENCY_KEY_CHARACTERS_MAX;
        let detail = format!("Idempotency-Key has 1 to {most} visible ASCII characters");
        Err(Fault::malformed(detail))
    })
}

/// The key of one caller is not that of another.
fn key_of(actor: &str, project: &str, key: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [actor, project, "POST /v1/messages", key] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

fn send_at(text: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    let wrong = |detail: &str| Fault::invalid_at("/send_at", "time", detail);
    let at = times::parse(text)
        .ok_or_else(|| wrong("this is no time of RFC 3339, such as 2026-11-26T09:00:00+01:00"))?;
    if at.since(now) > SEND_AT_AHEAD_MAX {
        return Err(wrong("mail is put off for a year at most"));
    }
    Ok(at)
}

fn stream(request: &InjectRequest, project: &str) -> Stream {
    let campaign = request.campaign.as_deref().unwrap_or_default();
    let mailing = !campaign.is_empty() || request.list.is_some();
    let class = match request.class {
        Some(Class::Transactional) => envelope::Class::Transactional,
        Some(Class::Bulk) => envelope::Class::Bulk,
        None if mailing => envelope::Class::Bulk,
        None => envelope::Class::Transactional,
    };
    Stream { class, tenant: project.into(), campaign: campaign.into() }
}

fn refused(refusal: Refusal) -> Fault {
    match &refusal {
        Refusal::NoRoom(why) => Fault::no_room(why),
        Refusal::InProgress => {
            Fault::new(StatusCode::CONFLICT, "in-progress", refusal.to_string()).again_in(1)
        }
        Refusal::OtherRequest => Fault::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            refusal.to_string(),
        ),
        Refusal::NotStored(_) => Fault::no_room("it could not be written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_any_zone_is_read_and_one_too_far_ahead_is_refused() {
        let now = Timestamp::from_secs(1_795_392_378);
        let read = |text: &str| send_at(text, now).map(|at| at.to_string()).map_err(|_| ());
        assert_eq!(read("2026-11-26T09:00:00+01:00").unwrap(), "2026-11-26T08:00:00.000Z");
        assert_eq!(read("2026-11-26T09:00:00.5Z").unwrap(), "2026-11-26T09:00:00.500Z");
        assert!(read("1969-01-01T00:00:00Z").is_ok(), "the past is at once");
        for bad in ["", "tomorrow", "2026-11-26", "2026-13-26T09:00:00Z", "2028-01-01T00:00:00Z"] {
            assert_eq!(read(bad), Err(()), "{bad}");
        }
    }

    #[test]
    fn a_key_is_its_callers_and_has_its_limits() {
        assert_ne!(key_of("token:a", "p", "k"), key_of("token:b", "p", "k"));
        assert_ne!(key_of("token:a", "pk", ""), key_of("token:a", "p", "k"));
        let field = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IDEMPOTENCY_KEY, text.parse().unwrap());
            key_field(&headers).unwrap().is_ok()
        };
        assert!(field(&"k".repeat(256)));
        assert!(!field(&"k".repeat(257)) && !field("") && !field("a b"));
        assert!(key_field(&HeaderMap::new()).is_none());
    }
}
