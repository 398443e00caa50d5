//! `maily queue`: what waits, read beside a running daemon or from a stopped one's folder.

use std::path::PathBuf;

use anyhow::anyhow;

use maily_spool::listing;

use crate::exit::{Exit, Failure};

/// List the messages that wait, with attempts, next time and last reply.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  maily queue --spool /var/lib/maily/spool\n\n\
    It reads the files beside a running daemon. Exit code 1: nothing waits.")]
pub struct QueueArguments {
    /// The folder of the spool.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/maily/spool")]
    spool: PathBuf,
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
