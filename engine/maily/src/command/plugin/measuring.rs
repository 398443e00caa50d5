//! `maily plugin bench`: how long hooks take on one core, and how that compares with last time.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use maily_core::clock::Clock;
use maily_plugins::hook::Hook;
use maily_plugins::package::Package;
use maily_plugins::plugin::Plugin;
use maily_plugins::plugin::Shared;
use maily_plugins::workshop;
use serde_json::json;

use crate::command::plugin::testing;
use crate::exit::Exit;
use crate::exit::Failure;

/// Calls of one round.
const CALLS: u64 = 500;
/// Rounds, of which the fastest counts: the others were disturbed.
const ROUNDS: u64 = 9;

/// What to measure.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// A plugin, or a folder of plugins.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// A file of figures to compare with; it is made if it is not there.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Measures plugins.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn bench(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let shared = testing::shared(clock)?;
    let known: Option<BTreeMap<String, u64>> = match &arguments.baseline {
        Some(path) => {
            fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok())
        }
        None => None,
    };
    let mut figures = BTreeMap::new();
    let mut failed = false;
    for folder in testing::folders(&arguments.folder)? {
        let wrong = |fault| Failure::new(Exit::Data, anyhow!("{fault}"));
        let package = Package::read(&folder).map_err(wrong)?;
        let plugin = workshop::load(&shared, package).map_err(wrong)?;
        let hooks: Vec<_> = plugin.program.package.manifest.hooks.keys().copied().collect();
        for hook in hooks {
            let name = format!("{} {hook}", plugin.program.package.manifest.name);
            let Some((nanos, operations)) = one(&shared, &plugin, hook) else {
                eprintln!("{name}: it fails with the sample");
                failed = true;
                continue;
            };
            let before = known.as_ref().and_then(|known| known.get(&name)).copied();
            if arguments.json {
                let row = json!({
                    "plugin": plugin.program.label(), "hook": hook, "nanoseconds": nanos,
                    "operations": operations, "before": before,
                });
                println!("{row}");
            } else {
                let rate = 1_000_000_000_u64.checked_div(nanos).unwrap_or(0);
                let before = before.map_or_else(String::new, |before| format!(", was {before}"));
                println!("{name:40} {nanos:>8} ns, {operations:>5} operations, {rate}/s{before}");
            }
            figures.insert(name, nanos);
        }
    }
    if let (Some(path), None) = (&arguments.baseline, known) {
        fs::write(path, serde_json::to_string_pretty(&figures)?)
            .map_err(|error| Failure::new(Exit::Io, anyhow!("{}: {error}", path.display())))?;
    }
    Ok(if failed { Exit::Partial } else { Exit::Ok })
}

/// Nanoseconds and operations of one call.
fn one(shared: &Shared, plugin: &Plugin, hook: Hook) -> Option<(u64, u64)> {
    let input = workshop::sample(hook);
    let mut best = u64::MAX;
    let mut operations = 0;
    for _ in 0..ROUNDS {
        let begin = shared.clock.now();
        for _ in 0..CALLS {
            let tried = workshop::try_hook(shared, plugin, hook, &input);
            if tried.fault.is_some() {
                return None;
            }
            operations = tried.operations;
        }
        let micros = shared.clock.now().since(begin).as_micros();
        let nanos = u64::try_from(micros * 1_000).unwrap_or(u64::MAX) / CALLS;
        best = best.min(nanos);
    }
    Some((best, operations))
}
