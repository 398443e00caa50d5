//! `maily trace` and `maily queue`: what happened to a message, and what waits. Both read the files
//! beside a running daemon and change nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::anyhow;

use maily_core::event::{Event, What};
use maily_core::mail::id::QueueId;
use maily_events::log;
use maily_spool::listing;

use crate::exit::{Exit, Failure};

/// Print the whole life of messages from the event log.
#[derive(Debug, clap::Args)]
pub struct TraceArguments {
    /// A queue id, a Message-ID (with or without angle brackets), or a recipient.
    what: String,
    /// The folder of the event log.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/maily/events")]
    events: PathBuf,
}

/// List the messages that wait.
#[derive(Debug, clap::Args)]
pub struct QueueArguments {
    /// The folder of the spool.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/maily/spool")]
    spool: PathBuf,
}

fn is_meant(event: &Event, wanted: &str) -> bool {
    let What::Accepted(accepted) = &event.what else { return false };
    *accepted.message_id == *wanted.trim_start_matches('<').trim_end_matches('>')
        || accepted.recipients.iter().any(|path| path.to_string().eq_ignore_ascii_case(wanted))
}

/// Prints the events of every message that is meant.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn trace(arguments: &TraceArguments) -> Result<Exit, Failure> {
    let failed = |error: String| Failure::new(Exit::Io, anyhow!(error));
    let mut ids: BTreeSet<QueueId> = arguments.what.parse().into_iter().collect();
    let mut found = false;
    let damaged = log::read(&arguments.events, |event| {
        if is_meant(&event, &arguments.what) {
            ids.insert(event.id);
        }
        if ids.contains(&event.id) {
            found = true;
            println!("{}", describe(&event));
        }
    })
    .map_err(failed)?;
    if damaged > 0 {
        eprintln!("{damaged} damaged pieces of the log were passed over");
    }
    Ok(if found { Exit::Ok } else { Exit::Nothing })
}

fn describe(event: &Event) -> String {
    let head = format!("{} {}", event.at, event.id);
    match &event.what {
        What::Accepted(accepted) => {
            let to: Vec<_> = accepted.recipients.iter().map(ToString::to_string).collect();
            format!(
                "{head} accepted from <{}> for {} ({} octets, Message-ID <{}>)",
                accepted.reverse_path,
                to.join(", "),
                accepted.octets,
                accepted.message_id
            )
        }
        What::Attempted(attempted) => {
            let mut text = format!("{head} attempt {} at {}", attempted.attempt, attempted.domain);
            if let Some(peer) = &attempted.peer {
                let tls = if peer.tls.is_empty() { "in clear" } else { &peer.tls };
                text += &format!(" by {} [{}] {tls}", peer.host, peer.address);
            }
            for each in &attempted.recipients {
                let number = each.recipient.0;
                text += &format!(
                    "\n    recipient {number}: {:?}: {}",
                    each.settlement,
                    each.outcome.diagnosis()
                );
            }
            text
        }
        What::Reported { report, kind, .. } => format!("{head} reported ({kind:?}) by {report}"),
        What::Removed { reason } => format!("{head} removed: {reason}"),
    }
}

/// Prints what waits, oldest first.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn queue(arguments: &QueueArguments) -> Result<Exit, Failure> {
    let listed =
        listing::read(&arguments.spool).map_err(|error| Failure::new(Exit::Io, anyhow!(error)))?;
    for message in &listed {
        println!("{} {} from <{}>", message.id, message.accepted_at, message.reverse_path);
        for recipient in &message.recipients {
            let why = recipient.diagnosis.as_ref().map(ToString::to_string).unwrap_or_default();
            println!(
                "    {} attempts {}, next {} {why}",
                recipient.forward_path, recipient.attempts, recipient.due
            );
        }
    }
    Ok(if listed.is_empty() { Exit::Nothing } else { Exit::Ok })
}
