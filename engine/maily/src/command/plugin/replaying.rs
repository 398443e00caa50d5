//! `maily plugin replay`: runs a new version and an old one over recorded inputs. It sends nothing.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use maily_api::calls;
use maily_config::value;
use maily_core::clock::Clock;
use maily_http::inputs;
use maily_plugins::hook::Hook;
use maily_plugins::package::Package;
use maily_plugins::plugin::Plugin;
use maily_plugins::plugin::Shared;
use maily_plugins::workshop;
use serde_json::Value;

use crate::command::plugin::testing;
use crate::command::serve;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::office::Office;

/// What to compare.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(after_help = "Examples:\n  \
    maily plugin replay promo@next --against promo --hook on_bounce --events --since 7d\n  \
    maily plugin replay promo@next --against promo --hook on_accept --inputs inputs.jsonl\n\n\
    It sends nothing and keeps nothing. The event log knows what on_event, on_bounce,\n\
    on_complaint, on_unsubscribe, on_track and on_response were given. Exit codes: 0 both answer\n\
    the same, 2 they differ, 65 the log does not know the hook's input.")]
pub(super) struct Arguments {
    /// The new version.
    folder: PathBuf,
    /// The old version.
    #[arg(long, value_name = "FOLDER")]
    against: PathBuf,
    /// The hook.
    #[arg(long)]
    hook: Hook,
    /// A file with one input on each line, as JSON.
    #[arg(long, value_name = "FILE", required_unless_present = "events")]
    inputs: Option<PathBuf>,
    /// What happened, as the event log says.
    #[arg(long, conflicts_with = "inputs")]
    events: bool,
    /// How far back, such as 24h or 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    since: Duration,
    /// At most so many inputs, the newest.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000)]
    last: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: serve::Arguments,
}

fn time(text: &str) -> Result<Duration, String> {
    value::parse_duration(text).ok_or_else(|| "write it as 24h or 7d".to_owned())
}

/// The inputs in a file.
fn from_file(path: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Io, anyhow!("{}: {error}", path.display())))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let input = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            Failure::new(Exit::Data, anyhow!("{}:{}: {error}", path.display(), index + 1))
        })
    };
    lines.map(input).collect()
}

/// The inputs that the hook had, or would have had, of late.
async fn from_log(arguments: &Arguments, clock: &Arc<dyn Clock>) -> Result<Vec<Value>, Failure> {
    let hook = arguments.hook;
    if inputs::types(hook).is_empty() {
        let known = inputs::HOOKS.map(Hook::name).join(", ");
        let text = format!("the event log knows inputs of {known}, not of {hook}: use --inputs");
        return Err(Failure::new(Exit::Data, anyhow!(text)));
    }
    let from = (clock.now() - arguments.since).to_string();
    let types = inputs::types(hook).iter().map(|kind| kind.name());
    let types =
        if hook == Hook::OnEvent { String::new() } else { types.collect::<Vec<_>>().join(",") };
    let config = serve::read_only(&arguments.serve)?;
    let mut found = VecDeque::new();
    let mut after: Option<String> = None;
    loop {
        let office = Office::find(&config, clock).await?;
        let page = office.run(calls::events(after.as_deref(), &types)).await?;
        let wanted = page.data.iter().filter(|event| event.time >= from);
        for input in wanted.filter_map(|event| inputs::of(hook, event)) {
            if found.len() >= arguments.last {
                found.pop_front();
            }
            found.push_back(input);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(found.into()),
        }
    }
}

/// Compares two versions.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) async fn replay(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let inputs = match &arguments.inputs {
        Some(path) => from_file(path)?,
        None => from_log(arguments, &clock).await?,
    };
    let shared = testing::shared(clock)?;
    let new = load(&shared, &arguments.folder, arguments.hook)?;
    let old = load(&shared, &arguments.against, arguments.hook)?;
    let all = workshop::replay(&shared, (&new, &old), arguments.hook, inputs.into_iter());
    if arguments.json {
        println!("{}", serde_json::to_string(&all)?);
    } else {
        for difference in &all.differences {
            println!(
                "input {}\n  now    {}\n  before {}",
                difference.input, difference.now, difference.before
            );
        }
        println!(
            "{} inputs: {} the same; {} failed, before {}; {}, before {}",
            all.inputs,
            all.same,
            all.failed,
            all.failed_before,
            testing::millis(all.micros),
            testing::millis(all.micros_before)
        );
    }
    Ok(if all.same == all.inputs { Exit::Ok } else { Exit::Partial })
}

fn load(shared: &Shared, folder: &Path, hook: Hook) -> Result<Plugin, Failure> {
    let wrong = |fault| Failure::new(Exit::Data, anyhow!("{fault}"));
    let package = Package::read(folder).map_err(wrong)?;
    let plugin = workshop::load(shared, package).map_err(wrong)?;
    if plugin.seat(hook).is_none() {
        let label = plugin.program.label();
        return Err(Failure::new(Exit::Data, anyhow!("{label} does not take {hook}")));
    }
    Ok(plugin)
}
