//! `maily plugin run`: calls a hook once, within its budget. Other machines are not asked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use maily_core::clock::Clock;
use maily_plugins::hook::Hook;
use maily_plugins::package::Package;
use maily_plugins::workshop;
use serde_json::Value;

use crate::command::plugin::testing;
use crate::exit::Exit;
use crate::exit::Failure;

/// What to run.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// The plugin.
    folder: PathBuf,
    /// The hook.
    hook: Hook,
    /// A file with what it is given, as JSON; without it, a sample.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print all there is to know about the call, as JSON.
    #[arg(long)]
    json: bool,
}

/// Calls a hook.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn run(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let input: Value = match &arguments.input {
        None => workshop::sample(arguments.hook),
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|error| Failure::new(Exit::Io, anyhow!("{}: {error}", path.display())))?;
            serde_json::from_str(&text).map_err(|error| Failure::new(Exit::Data, error))?
        }
    };
    let shared = testing::shared(clock)?;
    let wrong = |fault| Failure::new(Exit::Data, anyhow!("{fault}"));
    let package = Package::read(&arguments.folder).map_err(wrong)?;
    let plugin = workshop::load(&shared, package).map_err(wrong)?;
    if plugin.seat(arguments.hook).is_none() {
        let label = plugin.program.label();
        return Err(Failure::new(Exit::Data, anyhow!("{label} does not take {}", arguments.hook)));
    }
    let tried = workshop::try_hook(&shared, &plugin, arguments.hook, &input);
    if arguments.json {
        println!("{}", serde_json::to_string(&tried)?);
    } else {
        println!("{}", serde_json::to_string_pretty(&tried.answer)?);
        for line in &tried.effects.log {
            eprintln!("{}: {}", line.level.name(), line.text);
        }
        for request in &tried.asked {
            eprintln!("it asks {request}; there was no answer");
        }
        if let Some(fault) = &tried.fault {
            eprintln!("{fault}");
        }
        eprintln!("{}, {} operations", testing::millis(tried.micros), tried.operations);
    }
    Ok(if tried.fault.is_some() { Exit::Partial } else { Exit::Ok })
}
