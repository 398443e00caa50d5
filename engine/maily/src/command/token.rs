//! `maily token`: who may do what by HTTP.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use maily_api::calls;
use maily_api::page::Page;
use maily_api::token::{Role, Scope, Token, TokenRequest};
use maily_config::value;
use maily_core::clock::Clock;

use crate::command::serve;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// Make, list and revoke tokens.
///
/// It asks the running daemon by its admin socket (http.admin.listen); if none runs, it works on
/// the registry's folder itself. Either way the audit log has it.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    after_help = "Examples:\n  maily token create --project shop --role api --expires 90d\n  \
    maily token revoke 4fQ0aBcD9xY\n\n\
    The secret is printed once, alone on standard output, and kept nowhere.\n\
    Exit codes: 65 it cannot be, as the text says; 75 try again; 77 not permitted."
)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token.
    Create(Create),
    /// List tokens, without their secrets: id, project, role, last use, label.
    List {
        /// Only those of this project.
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
    },
    /// Revoke a token: it opens nothing from then on, and its JWTs neither.
    Revoke {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The project that it is for; it is good for every one without.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// What it may do at most: owner, admin, editor, viewer or api.
    #[arg(long, value_name = "ROLE", value_parser = word::<Role>)]
    role: Role,
    /// Only this part of it: send, read, templates, suppressions, webhooks, admin. May be given
    /// more than once.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = word::<Scope>)]
    scopes: Vec<Scope>,
    /// How long it is good, such as 30d; for ever if not given.
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<Duration>,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
}

fn time(text: &str) -> Result<Duration, String> {
    value::parse_duration(text).ok_or_else(|| "write it as 12h or 30d".to_owned())
}

/// Does it.
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let office = Office::find(&config, &clock).await?;
    match arguments.what {
        What::Create(create) => make(office, create).await?,
        What::List { project } => {
            let call = calls::tokens(None).in_project(project.as_deref());
            list(&office.run(call).await?);
        }
        What::Revoke { id } => {
            office.run(calls::revoke_token(&id)).await?;
        }
    }
    Ok(Exit::Ok)
}

/// A word of the contract, such as the name of a role.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
async fn make(office: Office, create: Create) -> Result<(), Failure> {
    let request = TokenRequest {
        role: create.role,
        scopes: create.scopes,
        label: create.label,
        expires_in_secs: create.expires.map(|time| time.as_secs().try_into().unwrap_or(u32::MAX)),
    };
    let call = calls::create_token(&request).in_project(create.project.as_deref());
    let made = office.run(call).await?;
    eprintln!("token {}; its secret is shown this once:", made.token.id);
    println!("{}", made.secret);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn list(page: &Page<Token>) {
    for token in &page.data {
        let project = token.project.as_deref().unwrap_or("-");
        let used = token.last_used_at.as_deref().unwrap_or("-");
        let role = format!("{:?}", token.role).to_lowercase();
        println!("{} {project} {role} {used} {}", token.id, token.label.as_deref().unwrap_or("-"));
    }
}
