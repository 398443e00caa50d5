//! `maily audit`: whether the log of who changed what is whole.

use anyhow::anyhow;

use maily_registry::audit_entry::Hash;
use maily_registry::audit_walk;
use maily_registry::audit_walk::{Head, Verdict};

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::fronts;

/// Look at the audit log.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Example:\n  maily audit verify")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Walk the log from its first entry on, and name the first that is broken.
    ///
    /// Each entry holds the hash of the one before it. Write down what is printed, NUMBER:HASH, in
    /// another place: with --known it is also seen if the end of the log, or all of it, was taken
    /// away or written anew.
    #[command(after_help = "Example:\n  maily audit verify --known 17:5f0c…\n\n\
        It reads the files beside a running daemon. Exit code 65: the log is broken.")]
    Verify {
        /// A number and hash that were printed earlier.
        #[arg(long, value_name = "NUMBER:HASH", value_parser = head)]
        known: Option<Head>,
    },
}

fn head(text: &str) -> Result<Head, String> {
    let read = || {
        let (number, hash) = text.split_once(':')?;
        Some(Head { number: number.parse().ok()?, hash: Hash::parse(hash)? })
    };
    read().ok_or_else(|| "write it as it was printed: NUMBER:HASH".to_owned())
}

/// Does it.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let folder = fronts::audit_folder(&config.registry.folder);
    let What::Verify { known } = arguments.what;
    let verdict = audit_walk::verify(&folder, known)
        .map_err(|error| Failure::new(Exit::Io, anyhow!(error)))?;
    match verdict {
        Verdict::Whole(head) => {
            println!("{}:{}", head.number, head.hash);
            Ok(Exit::Ok)
        }
        Verdict::Broken(broken) => {
            println!("broken at entry {}: {}", broken.number, broken.why);
            Ok(Exit::Data)
        }
    }
}
