//! `maily project`: whose mail it is.

use std::sync::Arc;

use maily_api::calls;
use maily_api::project::ProjectRequest;
use maily_api::project::SenderDomains;
use maily_core::clock::Clock;

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// Make and list projects, and say as whom they may send.
///
/// It asks the running daemon by its admin socket (http.admin.listen); if none runs, it works on
/// the registry's folder itself. Either way the audit log has it.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Example:\n  maily project create shop --description 'The web shop'\n  \
    maily project senders shop shop.example\n\n\
    Exit codes: 65 it cannot be, as the text says; 75 try again; 77 not permitted.")]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a project.
    Create {
        /// Its name: a-z, 0-9, '.', '_' and '-'.
        name: String,
        /// What it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// List projects, a name a line.
    List,
    /// Say as which domains a project may send, or show them.
    ///
    /// Each stands for itself and for those below it. As long as nothing was said a project may
    /// send as any domain.
    Senders {
        /// The project's name.
        project: String,
        /// The domains; without any those of now are shown.
        domains: Vec<String>,
    },
}

/// Does it.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let office = Office::find(&config, &clock).await?;
    match arguments.what {
        What::Create { name, description } => {
            let made = office.run(calls::create_project(&ProjectRequest { name, description }));
            println!("{}", made.await?.name);
        }
        What::List => {
            let page = office.run(calls::projects(None)).await?;
            page.data.iter().for_each(|project| println!("{}", project.name));
        }
        What::Senders { project, domains } if domains.is_empty() => {
            let own = office.run(calls::senders(&project)).await?;
            own.domains.iter().for_each(|domain| println!("{domain}"));
        }
        What::Senders { project, domains } => {
            office.run(calls::set_senders(&project, &SenderDomains { domains })).await?;
        }
    }
    Ok(Exit::Ok)
}
