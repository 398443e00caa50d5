//! `maily trace`: the whole life of messages, read from the event log beside a running daemon or
//! from a stopped one's folder. It changes nothing.

use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::{Value, json};

use maily_core::event::{Accepted, Attempted, Event, Labels, Origin, Peer, ReportKind, What};
use maily_core::mail::outcome::{Blame, Outcome, Scope, Settlement};

use crate::command::life;
use crate::command::life::Life;
use crate::command::tracked;
use crate::command::tracked::shown;
use crate::exit::{Exit, Failure};

/// Print the whole life of messages from the event log.
///
/// Acceptance, each attempt with whom it was made and what was answered, and the reports that were
/// sent about it, with what became of these. Ends with 1 if nothing matches.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  maily trace bob@example.org\n  \
    maily trace 6h19jz8580000          the id after \"queued as\"\n  \
    maily trace '<a1b2@example.net>'   a Message-ID\n\n\
    It reads the files beside a running daemon. Exit code 1: nothing was found.")]
pub struct TraceArguments {
    /// A queue id, a Message-ID (with or without angle brackets), or a recipient.
    what: String,
    /// Print one JSON object a message, each on a line.
    #[arg(long)]
    json: bool,
    /// The folder of the event log.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/maily/events")]
    events: PathBuf,
}

/// Prints the events of every message that is meant.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn trace(arguments: &TraceArguments) -> Result<Exit, Failure> {
    let found = life::find(&arguments.events, &arguments.what)
        .map_err(|error| Failure::new(Exit::Io, anyhow!(error)))?;
    for life in &found.lives {
        if arguments.json {
            println!("{}", object(life));
        } else {
            print!("{}", text(life, ""));
        }
    }
    if found.damaged > 0 {
        eprintln!("{} damaged pieces of the log were passed over", found.damaged);
    }
    Ok(if found.lives.is_empty() { Exit::Nothing } else { Exit::Ok })
}

// === text ===

/// A life in lines, each behind `indent`; that of a report stands under the line that names it.
fn text(life: &Life, indent: &str) -> String {
    let mut out = String::new();
    for event in &life.events {
        let head = format!("{indent}{} {}", event.at, event.id);
        match &event.what {
            What::Accepted(accepted) => {
                out += &format!("{head} accepted {}\n", accepted_text(accepted));
            }
            What::Attempted(attempted) => {
                out += &format!("{head} {}\n", attempted_text(attempted));
                for each in &attempted.recipients {
                    let name = shown(&life.name(each.recipient));
                    let what = settlement_text(each.settlement);
                    let diagnosis = shown(&each.outcome.diagnosis().to_string());
                    out += &format!("{indent}    {name} {what}: {diagnosis}\n");
                }
            }
            What::Reported { report, kind, recipients } => {
                let names: Vec<_> = recipients.iter().map(|r| shown(&life.name(*r))).collect();
                let names = names.join(", ");
                out += &format!("{head} reported {} by {report}: {names}\n", kind_word(*kind));
                if let Some(life) = life.reports.iter().find(|life| life.id == *report) {
                    out += &text(life, &format!("{indent}    "));
                }
            }
            What::Removed { reason } => out += &format!("{head} removed: {}\n", shown(reason)),
            What::Opened(hit) => {
                out += &format!("{head} opened {}\n", tracked::hit_text(life, hit));
            }
            What::Clicked { hit, link, url } => {
                let how = tracked::hit_text(life, hit);
                out += &format!("{head} clicked link {link} {} {how}\n", shown(url));
            }
            What::Unsubscribed(told) => {
                out += &format!("{head} {}\n", tracked::unsubscribed_text(told));
            }
            What::Returned(told) => {
                out += &format!("{head} {}\n", tracked::returned_text(life, told))
            }
            What::Complained(told) => {
                out += &format!("{head} {}\n", tracked::complained_text(life, told));
            }
            What::Tagged(told) => out += &format!("{head} tagged {}\n", shown(&told.to_string())),
            What::Suppressed { recipient, reason } => {
                let name = shown(&life.name(*recipient));
                out += &format!("{head} suppressed {name}: {}\n", tracked::reason_word(*reason));
            }
        }
    }
    out
}

fn accepted_text(accepted: &Accepted) -> String {
    let to: Vec<_> = accepted.recipients.iter().map(ToString::to_string).collect();
    let by = match &accepted.origin {
        Origin::Smtp { client, helo, user, tls } => {
            let user = if user.is_empty() { String::new() } else { format!(" as {user}") };
            let tls = if *tls { "under TLS" } else { "in clear" };
            format!("by SMTP {tls} from {helo} [{client}]{user}")
        }
        Origin::Report(id) => format!("as a report about {id}"),
        Origin::Http { client, token, project }
        | Origin::HttpLabelled { client, token, project, .. } => {
            let client = client.map_or_else(|| "a local socket".into(), |ip| format!("[{ip}]"));
            format!("by HTTP from {client} with token {token} for project {project}")
        }
    };
    let by = accepted.origin.labels().map_or_else(|| by.clone(), |labels| label(&by, labels));
    shown(&format!(
        "from <{}> for {} {by} ({} octets, Message-ID <{}>)",
        accepted.reverse_path,
        to.join(", "),
        accepted.octets,
        accepted.message_id
    ))
}

fn attempted_text(attempted: &Attempted) -> String {
    let mut text = format!("attempt {} at {}", attempted.attempt, attempted.domain);
    if attempted.attempt == 0 {
        text = format!("no attempt at {}", attempted.domain);
    }
    if let Some(Peer { host, address, source, tls }) = &attempted.peer {
        let tls = if tls.is_empty() { "in clear" } else { tls };
        let millis = attempted.micros.div_ceil(1_000);
        text += &format!(" by {host} [{address}] from {source}, {tls}, {millis} ms");
    }
    shown(&text)
}

fn settlement_text(settlement: Settlement) -> String {
    match settlement {
        Settlement::Retry(at) => format!("deferred until {at}"),
        other => settlement_word(other).to_owned(),
    }
}

// === JSON ===

fn object(life: &Life) -> Value {
    let states = life.states();
    let recipients: Vec<_> = life
        .accepted()
        .into_iter()
        .flat_map(|accepted| &accepted.recipients)
        .zip(states)
        .map(|(path, state)| json!({ "address": path.to_string(), "state": state.word() }))
        .collect();
    let events: Vec<_> = life.events.iter().map(|event| event_object(life, event)).collect();
    json!({ "id": life.id.to_string(), "recipients": recipients, "events": events })
}

fn event_object(life: &Life, event: &Event) -> Value {
    let mut object = match &event.what {
        What::Accepted(accepted) => accepted_object(accepted),
        What::Attempted(attempted) => attempted_object(life, attempted),
        What::Reported { report, kind, recipients } => {
            let told: Vec<_> = recipients.iter().map(|recipient| life.name(*recipient)).collect();
            let of_report = life.reports.iter().find(|life| life.id == *report).map(object);
            json!({
                "what": "reported",
                "kind": kind_word(*kind),
                "recipients": told,
                "report": report.to_string(),
                "life": of_report,
            })
        }
        What::Removed { reason } => json!({ "what": "removed", "reason": reason }),
        What::Opened(hit) => tracked::hit_object("opened", life, hit),
        What::Clicked { hit, link, url } => {
            let mut object = tracked::hit_object("clicked", life, hit);
            if let Some(object) = object.as_object_mut() {
                object.extend([("link".into(), json!(link)), ("url".into(), json!(url))]);
            }
            object
        }
        What::Unsubscribed(told) => tracked::unsubscribed_object(told),
        What::Returned(told) => tracked::returned_object(life, told),
        What::Complained(told) => json!({
            "what": "complained",
            "recipient": life.name(told.recipient),
            "complaint": told.kind,
            "by": told.by,
        }),
        What::Tagged(told) => json!({
            "what": "tagged",
            "recipient": told.mailbox.to_string(),
            "about": told.about,
            "tags": told.tags,
            "suppress": told.suppress,
            "by": told.by,
        }),
        What::Suppressed { recipient, reason } => json!({
            "what": "suppressed",
            "recipient": life.name(*recipient),
            "reason": tracked::reason_word(*reason),
        }),
    };
    if let Some(object) = object.as_object_mut() {
        object.insert("at".to_owned(), json!(event.at.to_string()));
    }
    object
}

/// What whoever handed it in said beside it.
fn label(by: &str, labels: &Labels) -> String {
    let tags = labels.tags.iter().map(ToString::to_string);
    let meta = labels.meta.iter().map(|(name, value)| format!("{name}={value}"));
    format!("{by} with {}", tags.chain(meta).collect::<Vec<_>>().join(", "))
}

fn accepted_object(accepted: &Accepted) -> Value {
    let origin = match &accepted.origin {
        Origin::Smtp { client, helo, user, tls } => {
            json!({ "by": "smtp", "client": client, "helo": helo, "user": user, "tls": tls })
        }
        Origin::Report(id) => json!({ "by": "report", "about": id.to_string() }),
        Origin::Http { client, token, project }
        | Origin::HttpLabelled { client, token, project, .. } => {
            json!({ "by": "http", "client": client, "token": token, "project": project })
        }
    };
    json!({
        "what": "accepted",
        "reverse_path": accepted.reverse_path.to_string(),
        "message_id": accepted.message_id,
        "octets": accepted.octets,
        "class": format!("{:?}", accepted.stream.class).to_lowercase(),
        "tenant": accepted.stream.tenant,
        "tags": accepted.origin.labels().map(|labels| &labels.tags),
        "meta": accepted.origin.labels().map(|labels| &labels.meta),
        "campaign": accepted.stream.campaign,
        "origin": origin,
    })
}

fn attempted_object(life: &Life, attempted: &Attempted) -> Value {
    let each = attempted.recipients.iter().map(|each| {
        let diagnosis = each.outcome.diagnosis();
        let next = match each.settlement {
            Settlement::Retry(at) => Some(at.to_string()),
            _ => None,
        };
        json!({
            "address": life.name(each.recipient),
            "outcome": outcome_word(&each.outcome),
            "scope": each.outcome.scope().map(scope_word),
            "settlement": settlement_word(each.settlement),
            "next": next,
            "code": diagnosis.code,
            "status": diagnosis.status.to_string(),
            "text": diagnosis.text(),
            "blame": blame_word(diagnosis.blame),
        })
    });
    let peer = attempted.peer.as_ref().map(|peer| {
        let Peer { host, address, source, tls } = peer;
        json!({ "host": host, "address": address, "source": source, "tls": tls })
    });
    json!({
        "what": "attempted",
        "attempt": attempted.attempt,
        "domain": attempted.domain.as_str(),
        "site": attempted.site,
        "peer": peer,
        "micros": attempted.micros,
        "recipients": each.collect::<Vec<_>>(),
    })
}

// === words ===

const fn kind_word(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Failed => "failed",
        ReportKind::Delayed => "delayed",
        ReportKind::Relayed => "relayed",
    }
}

const fn settlement_word(settlement: Settlement) -> &'static str {
    match settlement {
        Settlement::Done => "delivered",
        Settlement::Retry(_) => "deferred",
        Settlement::Bounce => "bounced",
        Settlement::Expire => "expired",
    }
}

const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Bounced { .. } => "bounced",
        Outcome::InDoubt(_) => "in doubt",
    }
}

const fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Recipient => "recipient",
        Scope::Message => "message",
        Scope::Host => "host",
        Scope::Destination => "destination",
    }
}

const fn blame_word(blame: Blame) -> &'static str {
    match blame {
        Blame::Peer => "peer",
        Blame::Network => "network",
        Blame::Us => "us",
        Blame::Config => "config",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_does_nothing_to_a_terminal() {
        assert_eq!(shown("a\u{1b}]0;x\u{7}\r\nb\u{9b}c ü"), "a?]0;x???b?c ü");
    }
}
