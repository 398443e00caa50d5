//! `maily plugin check`: what is wrong with plugins, for people or for tools.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use maily_core::clock::Clock;
use maily_plugins::cases;
use maily_plugins::cases::Choice;
use maily_plugins::fault::Fault;
use maily_plugins::package::Package;
use maily_plugins::plugin::Shared;
use maily_plugins::workshop;
use serde_json::json;

use crate::command::plugin::testing;
use crate::exit::Exit;
use crate::exit::Failure;

/// What to check.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// A plugin, or a folder of plugins.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// For people, or for tools.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// As a compiler tells it.
    Text,
    /// A JSON object for each fault, and one for all as the last line.
    Json,
    /// SARIF 2.1.0.
    Sarif,
}

/// A fault, and whether it is only odd.
struct Found {
    folder: PathBuf,
    fault: Fault,
    odd: bool,
}

/// Checks plugins.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn check(arguments: &Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let shared = testing::shared(clock)?;
    let mut found = Vec::new();
    let folders = testing::folders(&arguments.folder)?;
    for folder in &folders {
        one(&shared, folder, &mut found);
    }
    let wrong = found.iter().filter(|found| !found.odd).count();
    match arguments.format {
        Format::Text => {
            for found in &found {
                let text = found.fault.to_string();
                let text = if found.odd { text.replacen("error", "warning", 1) } else { text };
                println!("{text}\n");
            }
            println!("{} plugins: {wrong} faults, {} odd", folders.len(), found.len() - wrong);
        }
        Format::Json => {
            for found in &found {
                println!("{}", json!({ "odd": found.odd, "fault": found.fault }));
            }
            let odd = found.len() - wrong;
            println!("{}", json!({ "plugins": folders.len(), "faults": wrong, "odd": odd }));
        }
        Format::Sarif => {
            let faults = found.iter().filter(|found| !found.odd);
            let faults: Vec<_> =
                faults.map(|found| (found.folder.as_path(), &found.fault)).collect();
            println!("{}", workshop::sarif(&faults));
        }
    }
    Ok(if wrong > 0 { Exit::Partial } else { Exit::Ok })
}

fn one(shared: &Shared, folder: &Path, found: &mut Vec<Found>) {
    let mut add = |fault: Fault, odd: bool| {
        found.push(Found { folder: folder.to_path_buf(), fault, odd });
    };
    let package = match Package::read(folder) {
        Ok(package) => package,
        Err(fault) => return add(*fault, false),
    };
    let plugin = match workshop::load(shared, package) {
        Ok(plugin) => plugin,
        Err(fault) => return add(*fault, false),
    };
    for warning in &plugin.program.warnings {
        add(warning.clone(), true);
    }
    let package = &plugin.program.package;
    let report = cases::run(shared, package, Choice::default());
    let failed = report.fault(package);
    for fault in report.refused.map(|fault| *fault).into_iter().chain(failed) {
        add(fault, false);
    }
    if package.cases.is_empty() {
        let label = package.manifest.label();
        let fault = Fault::new(maily_plugins::fault::Code::Case, &label, "there are no cases");
        add(fault.with_help("maily plugin new begins with one"), true);
    }
}
