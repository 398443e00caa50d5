//! `maily why`: what holds the mail that waits.

use std::sync::Arc;

use maily_api::calls;
use maily_api::why::{Cause, Why};
use maily_core::clock::Clock;

use crate::command::serve;
use crate::command::tracked::shown;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// Say why mail waits: each cause with how many messages it holds and what to do about it.
///
/// It asks the running daemon by its admin socket (http.admin.listen).
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  maily why\n  maily why 'site=mx.example.org and age>1h'\n  \
    maily why --json 'campaign=spring-26'\n\n\
    Fields: domain, site, tenant, campaign, class, pool, source, last, cause, state, id, age,\n\
    attempts, next, expires. Words: and, or, not, ( ), = != < <= > >= ~ (contains) !~.\n\
    Exit codes: 1 nothing waits; 65 the selector is wrong; 75 no daemon answers.")]
pub struct Arguments {
    /// Which mail; all of it without.
    #[arg(default_value = "")]
    selector: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// Prints it.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let office = Office::find(&config, &clock).await?;
    let why = office.run(calls::why(Some(&arguments.selector))).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&why).map_err(anyhow::Error::from)?);
    } else {
        print!("{}", text(&why));
    }
    Ok(if why.waiting == 0 { Exit::Nothing } else { Exit::Ok })
}

fn text(why: &Why) -> String {
    let mut text = format!("{} waiting, {} under way\n", why.waiting, why.in_flight);
    for cause in &why.causes {
        text.push_str(&line(cause, why.waiting));
    }
    text
}

fn line(cause: &Cause, all: u64) -> String {
    let percent = cause.count as f64 * 100.0 / all.max(1) as f64;
    let mut text = format!("{:>9} {percent:>4.0} %  {}", cause.count, cause.cause);
    text.push_str(&format!("  {}\n", shown(&cause.detail)));
    let mut more = Vec::new();
    more.extend((!cause.place.is_empty()).then(|| shown(&cause.place)));
    more.extend(cause.since.as_ref().map(|since| format!("since {since}")));
    more.extend(cause.until.as_ref().map(|until| format!("until {until}")));
    if !more.is_empty() {
        text.push_str(&format!("{:17} {}\n", "", more.join(", ")));
    }
    if !cause.remedy.is_empty() {
        text.push_str(&format!("{:17} -> {}\n", "", cause.remedy));
    }
    text
}
