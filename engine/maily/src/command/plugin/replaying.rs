//! `maily plugin replay`: runs a new version and an old one over recorded inputs. It sends nothing.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use maily_core::clock::Clock;
use maily_plugins::hook::Hook;
use maily_plugins::package::Package;
use maily_plugins::plugin::Plugin;
use maily_plugins::plugin::Shared;
use maily_plugins::workshop;
use serde_json::Value;

use crate::command::plugin::testing;
use crate::exit::Exit;
use crate::exit::Failure;

/// What to compare.
#[derive(Debug, clap::Args)]
#[group(skip)]
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
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Compares two versions.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn replay(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let shared = testing::shared(clock)?;
    let new = load(&shared, &arguments.folder, arguments.hook)?;
    let old = load(&shared, &arguments.against, arguments.hook)?;
    let path = &arguments.inputs;
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Io, anyhow!("{}: {error}", path.display())))?;
    let mut inputs: Vec<Value> = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let input = serde_json::from_str(line).map_err(|error| {
            Failure::new(Exit::Data, anyhow!("{}:{}: {error}", path.display(), index + 1))
        })?;
        inputs.push(input);
    }
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
