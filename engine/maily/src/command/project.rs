//! `maily project`: whose mail it is.

use std::sync::Arc;

use hyper::Method;
use serde_json::json;

use maily_api::page::Page;
use maily_api::project::Project;
use maily_api::project::SenderDomains;
use maily_core::clock::Clock;

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::office::{Errand, Office};

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
            let body = Some(json!({ "name": name, "description": description }));
            let errand = Errand { method: Method::POST, path: "/v1/projects", project: None, body };
            let made: Project = office.run(errand).await?;
            println!("{}", made.name);
        }
        What::List => {
            let path = "/v1/projects?limit=1000";
            let errand = Errand { method: Method::GET, path, project: None, body: None };
            let page: Page<Project> = office.run(errand).await?;
            page.data.iter().for_each(|project| println!("{}", project.name));
        }
        What::Senders { project, domains } => {
            let path = &format!("/v1/projects/{project}/senders");
            if domains.is_empty() {
                let errand = Errand { method: Method::GET, path, project: None, body: None };
                let own: SenderDomains = office.run(errand).await?;
                own.domains.iter().for_each(|domain| println!("{domain}"));
                return Ok(Exit::Ok);
            }
            let body = Some(json!({ "domains": domains }));
            let errand = Errand { method: Method::PUT, path, project: None, body };
            office.run::<()>(errand).await?;
        }
    }
    Ok(Exit::Ok)
}
