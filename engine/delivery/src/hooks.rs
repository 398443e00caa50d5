//! Asks plugins along the way of a message: by which pool it goes, what its recipient reads,
//! whether it is sent as it is, and what a reply means.
//!
//! All of it is bounded by the plugins room; none of it is asked if nobody takes the hook.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Map;
use serde_json::Value;

use maily_core::clock::Timestamp;
use maily_core::event::Labels;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Class;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::envelope::Stream;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::mail::shown::Shown;
use maily_core::render::binding::Binding;
use maily_core::render::edit;
use maily_plugins::answer::ResponseAnswer;
use maily_plugins::fields::HeaderEdits;
use maily_plugins::hook::Hook;
use maily_plugins::hooks::Fate;
use maily_plugins::hooks::SendFate;
use maily_plugins::input::Contact;
use maily_plugins::input::Facts;
use maily_plugins::input::PersonalizeInput;
use maily_plugins::input::ResponseInput;
use maily_plugins::input::RouteInput;
use maily_plugins::input::SegmentInput;
use maily_plugins::input::SendInput;
use maily_plugins::set::Plugins;
use maily_spool::body::Body;
use maily_spool::submission::Spooled;
use maily_spool::submission::Stored;

use crate::attempt::Job;
use crate::dropping::Addressed;
use crate::dropping::Dropped;
use crate::dropping::Unbound;
use crate::labels::LabelCache;

/// A time to wait that a plugin asks for is never longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);

/// How a message is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Whose it is, with the class that it has now.
    pub stream: Stream,
    /// By which pool; its tenant's if none is said.
    pub pool: Option<String>,
    /// Not before this time.
    pub not_before: Option<Timestamp>,
}

/// How a message is to go, for each of its destinations.
pub fn route(
    plugins: &Plugins,
    stored: &Stored,
    labels: &Labels,
    spooled: &Spooled,
    pool: &str,
) -> Vec<Option<Routed>> {
    let stream = &spooled.stream;
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let mut input = RouteInput {
        queue_id: spooled.id.to_string(),
        reverse_path: match &stored.submission.envelope.reverse_path {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        },
        domain: String::new(),
        class: class_name(stream.class).to_owned(),
        campaign: named(&stream.campaign),
        tenant: named(&stream.tenant),
        pool: pool.to_owned(),
        meta: meta(labels),
    };
    let each = spooled.destinations.iter().map(|waiting| {
        input.domain = waiting.domain.as_str().to_owned();
        let answer = plugins.on_route(&input);
        let class = match answer.priority.as_deref() {
            Some("transactional") => Class::Transactional,
            Some("bulk") => Class::Bulk,
            _ => stream.class,
        };
        Some(Routed {
            stream: Stream { class, ..stream.clone() },
            pool: answer.pool,
            not_before: answer.not_before.map(Timestamp::from_secs),
        })
    });
    each.collect()
}

/// Names and values that whoever handed it in said beside it.
fn meta(labels: &Labels) -> Facts {
    let fields = labels.meta.iter().map(|(name, value)| (name.to_string(), (**value).into()));
    Facts::new("meta", &fields.collect())
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Transactional => "transactional",
        Class::Bulk => "bulk",
    }
}

/// Whom a message that is bound late is for; none if it is not, or what came with it cannot be
/// read.
pub fn contact(stored: &Stored) -> Option<Contact> {
    let Body::Template { variables, .. } = &stored.submission.body else { return None };
    let to = &stored.submission.envelope.recipients.first()?.forward_path.0;
    let binding = Binding::decode(variables).ok()?;
    Some(contact_of(to, &binding, variables_of(&binding)?))
}

/// The variables that came with a mail.
fn variables_of(binding: &Binding) -> Option<Map<String, Value>> {
    if binding.variables().is_empty() {
        return Some(Map::new());
    }
    serde_json::from_slice(binding.variables()).ok()
}

/// A contact is what is known of a recipient: so far, what came with the mail.
fn contact_of(to: &Mailbox, binding: &Binding, mut fields: Map<String, Value>) -> Contact {
    if !binding.name().is_empty() {
        fields.entry("name").or_insert_with(|| binding.name().into());
    }
    Contact::new(&to.to_string(), fields)
}

/// Whether a recipient is in the segment that a mailing is for, as plugins say.
///
/// # Errors
/// They are not, so they are not sent it; or nobody can say so now.
pub fn segment(
    plugins: &Plugins,
    addressed: Addressed<'_>,
    binding: &Binding,
    found: &Map<String, Value>,
) -> Result<(), Unbound> {
    let segment = &*addressed.mailing.segment;
    if segment.is_empty() {
        return Ok(());
    }
    let fields = merged(binding, found)?;
    let contact = contact_of(addressed.to, binding, fields);
    match plugins.on_segment(&SegmentInput { segment: segment.to_owned(), contact }) {
        Ok(Some(answer)) if answer.member => Ok(()),
        Ok(Some(_)) => {
            let why = format!("not in the segment {segment}");
            Err(Unbound::Dropped(Dropped::Cancelled(why.into())))
        }
        // A plugin may come that knows it.
        Ok(None) => Err(unbound(4, 3, 0, &format!("no plugin knows the segment {segment}"))),
        Err(aborted) => Err(unbound(4, 3, 0, &format!("the segment {segment}: {aborted}"))),
    }
}

/// The variables that came with a mail, and what was found out beside them.
fn merged(binding: &Binding, found: &Map<String, Value>) -> Result<Map<String, Value>, Unbound> {
    let vars = variables_of(binding);
    let mut vars = vars.ok_or_else(|| unbound(5, 6, 0, "the variables are no JSON object"))?;
    for (name, value) in found {
        // What came with the mail is known better.
        vars.entry(name).or_insert_with(|| value.clone());
    }
    Ok(vars)
}

/// What one recipient reads: their part of the mailing, and changes of the header.
///
/// # Errors
/// They are not sent it, or not now.
pub fn personalize(
    plugins: &Plugins,
    addressed: Addressed<'_>,
    binding: Binding,
    found: &Map<String, Value>,
) -> Result<(Binding, HeaderEdits), Unbound> {
    let asks = plugins.takes(Hook::OnPersonalize);
    if !asks && found.is_empty() {
        return Ok((binding, HeaderEdits::default()));
    }
    let vars = merged(&binding, found)?;
    if !asks {
        return Ok((bound(binding.name(), &vars)?, HeaderEdits::default()));
    }
    let campaign = &addressed.mailing.campaign;
    let personal = plugins.on_personalize(PersonalizeInput {
        contact: contact_of(addressed.to, &binding, vars.clone()),
        campaign: (!campaign.is_empty()).then(|| campaign.to_string()),
        vars,
        message_id: addressed.stored.submission.id.to_string(),
    });
    match personal.fate {
        Fate::Go => {}
        Fate::Skip { why, by } => {
            let why = format!("skipped by the plugin {by}: {why}");
            return Err(Unbound::Dropped(Dropped::Cancelled(why.into())));
        }
        Fate::Pause { fault } => {
            return Err(unbound(4, 3, 0, &format!("a plugin stops the campaign: {fault}")));
        }
    }
    let mut edits = personal.headers;
    if let Some(subject) = personal.subject {
        edits.insert("Subject".to_owned(), Some(subject));
    }
    Ok((bound(binding.name(), &personal.vars)?, edits))
}

fn bound(name: &str, vars: &Map<String, Value>) -> Result<Binding, Unbound> {
    let variables = serde_json::to_vec(vars).unwrap_or_default();
    Binding::new(name, variables.into())
        .map_err(|fault| unbound(4, 3, 0, &format!("variables of a plugin: {}", fault.detail)))
}

/// A message with the changes that plugins make of its header.
///
/// # Errors
/// They would break it.
pub fn edited(message: &Bytes, edits: &HeaderEdits) -> Result<Bytes, Unbound> {
    let edits = edits.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    let text = "a plugin writes a header field with a line end or another control character";
    edit::apply(message, edits).map_err(|_| unbound(4, 3, 0, text))
}

/// The last look at a message before it is signed; changes its header.
///
/// # Errors
/// It is not sent, or not now.
pub fn last_look(plugins: &Plugins, labels: &LabelCache, job: &mut Job) -> Result<(), Unbound> {
    if !plugins.takes(Hook::OnSend) {
        return Ok(());
    }
    let message = &job.delivery.content.message;
    let shown = Shown::whole(message);
    let to = job.delivery.recipients.first();
    let verdict = plugins.on_send(&SendInput {
        queue_id: job.attempt.id.to_string(),
        recipient: to.map(|(_, to)| to.forward_path.to_string()).unwrap_or_default(),
        headers: shown.headers,
        subject: shown.subject,
        html: shown.html,
        text: shown.text,
        meta: meta(&labels.of(&job.stored)),
    });
    let by = verdict.by.unwrap_or_default();
    match verdict.fate {
        // Somebody has looked at it, and let it go.
        SendFate::Hold(_) if job.released => {
            job.delivery.content.message = edited(message, &verdict.headers)?;
            Ok(())
        }
        SendFate::Go => {
            job.delivery.content.message = edited(message, &verdict.headers)?;
            Ok(())
        }
        SendFate::Hold(why) => {
            let (status, text) = (EnhancedStatus::new(4, 7, 0), format!("held by {by}: {why}"));
            let diagnosis = Diagnosis::ours(status, Blame::Config, &text);
            Err(Unbound::Held(Outcome::Deferred { scope: Scope::Message, diagnosis }))
        }
        SendFate::Skip(why) => {
            let why = format!("not sent by the plugin {by}: {why}");
            Err(Unbound::Dropped(Dropped::Cancelled(why.into())))
        }
        SendFate::Defer(fault) => Err(unbound(4, 3, 0, &format!("the plugin {by} fails: {fault}"))),
    }
}

/// RFC 3463: whatever stops it is in what the operator has set up.
fn unbound(class: u8, subject: u16, detail: u16, text: &str) -> Unbound {
    let status = EnhancedStatus::new(class, subject, detail);
    let diagnosis = Diagnosis::ours(status, Blame::Config, text);
    let scope = Scope::Message;
    Unbound::Failed(match class {
        5 => Outcome::Bounced { scope, diagnosis },
        _ => Outcome::Deferred { scope, diagnosis },
    })
}

/// What replies of a next hop mean; gives how long to wait before the next try, if that is said.
/// Each reply is asked about once, however many recipients got it.
pub fn reclassify(
    plugins: &Plugins,
    job: &Job,
    site: &str,
    now: Timestamp,
    outcomes: &mut [(RecipientIndex, Outcome)],
) -> Option<Duration> {
    if !plugins.takes(Hook::OnResponse) {
        return None;
    }
    let mut known: Vec<(Diagnosis, ResponseAnswer)> = Vec::new();
    let mut after: Option<Duration> = None;
    for (_, outcome) in outcomes {
        let refused = matches!(outcome, Outcome::Deferred { .. } | Outcome::Bounced { .. });
        let diagnosis = outcome.diagnosis().clone();
        let (true, Some(code)) = (refused, diagnosis.code) else { continue };
        let place = known.iter().position(|(other, _)| *other == diagnosis).unwrap_or_else(|| {
            let answer = plugins.on_response(&ResponseInput {
                code: code.into(),
                status: Some(diagnosis.status.to_string()),
                text: diagnosis.text().to_owned(),
                site: site.to_owned(),
                domain: job.attempt.domain.as_str().to_owned(),
                attempt: u64::from(job.attempt.number),
                age: now.since(job.stored.submission.accepted_at).as_secs(),
            });
            known.push((diagnosis.clone(), answer));
            known.len() - 1
        });
        let Some((_, answer)) = known.get(place) else { continue };
        *outcome = meant(outcome, answer);
        let wait = answer.retry_after.map(Duration::from_secs);
        after = after.max(wait.map(|wait| wait.min(RETRY_AFTER_MAX)));
    }
    after
}

/// What a plugin takes a reply for. Who limits us or blocks us does so to the host that we speak
/// with, unless the plugin says how far it reaches.
fn meant(outcome: &Outcome, answer: &ResponseAnswer) -> Outcome {
    let diagnosis = outcome.diagnosis().clone();
    let said = match answer.scope.as_deref() {
        Some("recipient") => Some(Scope::Recipient),
        Some("message") => Some(Scope::Message),
        Some("host") => Some(Scope::Host),
        Some("destination") => Some(Scope::Destination),
        _ => None,
    };
    let scope = said.or_else(|| outcome.scope()).unwrap_or(Scope::Recipient);
    match answer.class.as_deref() {
        Some("permanent") => Outcome::Bounced { scope, diagnosis },
        Some("transient") => Outcome::Deferred { scope, diagnosis },
        Some("throttled" | "blocked") => {
            Outcome::Deferred { scope: said.unwrap_or(Scope::Host), diagnosis }
        }
        _ => match outcome {
            Outcome::Bounced { .. } => Outcome::Bounced { scope, diagnosis },
            Outcome::Deferred { .. } => Outcome::Deferred { scope, diagnosis },
            other => other.clone(),
        },
    }
}
