//! `maily suspend`, `resume`, `hold`, `release`, `retry`, `bounce`, `drop`, `move`, `undo` and
//! `jobs`: what is done with mail that waits.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use maily_api::calls;
use maily_api::directive::{Directive, DirectiveRequest, DirectiveState, Verb};
use maily_config::value;
use maily_core::clock::Clock;

use crate::command::serve;
use crate::command::tracked::shown;
use crate::exit::{Exit, Failure};
use crate::office::Office;

/// It asks the running daemon by its admin socket (http.admin.listen). What is said is on disk
/// before it holds, and in the audit log.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    after_help = "Examples:\n  maily suspend domain=example.org --reason 'they asked' --for 2h\n  \
    maily bounce 'campaign=flash and tenant=shop' --reason 'wrong price' --dry-run\n  \
    maily retry 'site=mx.example.org and last~greylisted'\n  \
    maily move site=mx.example.org --pool second --reason 'first is listed'\n\n\
    Fields: domain, site, tenant, campaign, class, pool, source, last, cause, state, id, age,\n\
    attempts, next, expires. `all` is everything.\n\
    Exit codes: 1 nothing matched; 65 it cannot be, as the text says; 75 no daemon answers."
)]
pub struct Arguments {
    /// Which mail.
    selector: String,
    /// Why: it is told to whoever asks why the mail waits.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// After this time it ends by itself, such as 2h.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
    /// For this time it can be undone, 10m if not given; 0s does it at once.
    #[arg(long, value_name = "TIME", value_parser = time)]
    window: Option<Duration>,
    /// Also with mail that comes later, until it is undone.
    #[arg(long)]
    future: bool,
    /// To which pool, for move.
    #[arg(long, value_name = "NAME")]
    pool: Option<String>,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Refuse if there are by now over a tenth more messages than this.
    #[arg(long, value_name = "COUNT")]
    expected: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// Take a directive back: what it holds goes again, bit by bit.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Example:\n  maily undo d-118\n\n\
    Exit code 65: there is none of this name, or it is too late.")]
pub struct Undo {
    /// Its name, as it was printed and as `maily jobs` lists it.
    id: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

/// List what was said of waiting mail, the last first, with how far it has come.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Example:\n  maily jobs --json\n\nExit code 1: there is none.")]
pub struct Jobs {
    /// Print one JSON object a directive, each on a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

fn time(text: &str) -> Result<Duration, String> {
    if text == "0" || text == "0s" {
        return Ok(Duration::ZERO);
    }
    value::parse_duration(text).ok_or_else(|| "write it as 90s, 10m or 2h".to_owned())
}

fn seconds(time: Option<Duration>) -> Option<u32> {
    time.map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}

/// Does it.
pub async fn run(verb: Verb, arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let request = DirectiveRequest {
        verb,
        selector: arguments.selector,
        reason: arguments.reason,
        seconds: seconds(arguments.time),
        future: arguments.future,
        pool: arguments.pool,
        window_seconds: seconds(arguments.window),
        dry_run: arguments.dry_run,
        expected: arguments.expected,
    };
    let directive = Office::find(&config, &clock).await?.run(calls::direct(&request)).await?;
    print(&directive, arguments.json)?;
    // What is to hold for mail that comes later holds though there is none yet.
    let none = directive.matched == 0 && !directive.future;
    Ok(if none { Exit::Nothing } else { Exit::Ok })
}

/// Takes one back.
pub async fn undo(arguments: Undo, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let call = calls::undo_directive(&arguments.id);
    let directive = Office::find(&config, &clock).await?.run(call).await?;
    print(&directive, arguments.json)?;
    Ok(Exit::Ok)
}

/// Lists all.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub async fn jobs(arguments: Jobs, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = serve::read_only(&arguments.serve)?;
    let (mut after, mut found) = (None::<String>, false);
    loop {
        let office = Office::find(&config, &clock).await?;
        let page = office.run(calls::directives(after.as_deref())).await?;
        for directive in &page.data {
            found = true;
            if arguments.json {
                print(directive, true)?;
            } else {
                println!("{}", line(directive));
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(if found { Exit::Ok } else { Exit::Nothing });
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(directive: &Directive, json: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(directive).map_err(|error| anyhow!(error))?;
        println!("{text}");
    } else {
        print!("{}", text(directive));
    }
    Ok(())
}

/// A word of the contract, as JSON has it.
fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

fn line(directive: &Directive) -> String {
    let Directive { id, at, selector, reason, author, matched, done, .. } = directive;
    let (verb, state) = (word(directive.verb), word(directive.state));
    let until = directive.until.as_deref().map(|at| format!(" until {at}")).unwrap_or_default();
    shown(&format!(
        "{id} {at} {verb} {selector} [{state}{until}] {done}/{matched} by {author}: {reason}"
    ))
}

fn text(directive: &Directive) -> String {
    let mut text = match directive.state {
        DirectiveState::DryRun => {
            format!("{} {} would be about\n", word(directive.verb), shown(&directive.selector))
        }
        _ => format!("{}\n", line(directive)),
    };
    let (matched, in_flight) = (directive.matched, directive.in_flight);
    text.push_str(&format!("  {matched} waiting, {in_flight} under way\n"));
    for effect in &directive.effect {
        text.push_str(&format!("  - {}\n", shown(effect)));
    }
    for part in &directive.sites {
        text.push_str(&format!("  {:>9} {}\n", part.count, shown(&part.name)));
    }
    for sample in &directive.samples {
        let (message, domain) = (&sample.message, shown(&sample.domain));
        text.push_str(&format!("  e.g. {message} for {domain}, {} s old\n", sample.age_seconds));
    }
    if matches!(directive.state, DirectiveState::InForce | DirectiveState::Pending) {
        text.push_str(&format!("  undo: maily undo {}\n", directive.id));
    }
    text
}
