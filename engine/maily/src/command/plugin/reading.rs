//! `maily plugin new`, `doc` and `list`.

use std::path::Path;

use anyhow::anyhow;
use maily_plugins::hook::Hook;
use maily_plugins::package::Package;
use maily_plugins::reference;
use maily_plugins::surface::Surface;
use maily_plugins::workshop;
use serde_json::json;

use crate::command::plugin::testing;
use crate::exit::Exit;
use crate::exit::Failure;

/// Begins a plugin.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn begin(parent: &Path, name: &str, hook: Hook) -> Result<Exit, Failure> {
    let folder = workshop::begin(parent, name, hook)
        .map_err(|error| Failure::new(Exit::Io, anyhow!("{name}: {error}")))?;
    if let Err(fault) = Package::read(&folder) {
        return Err(Failure::new(Exit::Data, anyhow!("{fault}")));
    }
    println!("{} is begun; maily plugin test {}", folder.display(), folder.display());
    Ok(Exit::Ok)
}

/// Says what there is to know.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn doc(folder: Option<&Path>, definitions: bool) -> Result<Exit, Failure> {
    let text = match folder {
        _ if definitions => reference::definitions(&Surface::new()),
        None => reference::hooks(),
        Some(folder) => workshop::document(&read(folder)?),
    };
    println!("{}", text.trim_end());
    Ok(Exit::Ok)
}

/// Lists plugins by hook, in order.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(super) fn list(folder: &Path, as_json: bool) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    for folder in testing::folders(folder)? {
        let package = read(&folder)?;
        for (hook, setting) in &package.manifest.hooks {
            let policy = package.manifest.policy(*hook).name();
            rows.push((*hook, setting.priority, package.manifest.label(), policy));
        }
    }
    rows.sort();
    for (hook, priority, label, policy) in &rows {
        if as_json {
            let row = json!({
                "hook": hook, "priority": priority, "plugin": label, "on_error": policy,
            });
            println!("{row}");
        } else {
            println!("{hook:16} {priority:>4}  {label:32} {policy}");
        }
    }
    Ok(if rows.is_empty() { Exit::Nothing } else { Exit::Ok })
}

fn read(folder: &Path) -> Result<Package, Failure> {
    Package::read(folder).map_err(|fault| Failure::new(Exit::Data, anyhow!("{fault}")))
}
