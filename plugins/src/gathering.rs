//! Gathers the plugins of a folder: reads, compiles and tests each, or takes over the one that is
//! in place if nothing about it changed, so that its counts, its breaker and its cache go on.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::cases;
use crate::cases::Choice;
use crate::choices;
use crate::choices::Choices;
use crate::choices::Trial;
use crate::fault::Code;
use crate::fault::Fault;
use crate::hook::HOOKS;
use crate::hook::Hook;
use crate::http::Secrets;
use crate::limits;
use crate::package;
use crate::package::Package;
use crate::plugin::Candidate;
use crate::plugin::Plugin;
use crate::plugin::Shared;
use crate::program::Given;
use crate::program::Program;

/// What a site says about its plugins.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder of plugins; none means that there are none.
    pub folder: Option<PathBuf>,
    /// Values of settings, by plugin.
    pub settings: BTreeMap<String, toml::Table>,
    /// Values of secrets, by name.
    pub secrets: BTreeMap<String, String>,
    /// Plugins that are not to be loaded.
    pub disabled: Vec<String>,
    /// Load plugins though their own cases fail.
    pub force: bool,
    /// The file in which choices are kept ([`crate::set::Plugins::choose`]); without one they are
    /// kept in memory.
    pub choices: Option<PathBuf>,
}

/// What is in place.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By name.
    pub(crate) plugins: Vec<Arc<Plugin>>,
    by_hook: [Vec<Arc<Plugin>>; HOOKS],
}

/// What a reload came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reloaded {
    /// Names and versions of what is in place now.
    pub plugins: Vec<String>,
    /// Plugins that were refused: the version that was there before stays.
    pub refused: Vec<Fault>,
    /// What is odd.
    pub warnings: Vec<Fault>,
}

/// By what plugins are gathered.
pub(crate) struct Gathering<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) options: &'a Options,
    pub(crate) choices: &'a Choices,
    pub(crate) before: &'a Loaded,
}

impl Loaded {
    /// The plugins that take a hook, in order.
    pub(crate) fn order(&self, hook: Hook) -> &[Arc<Plugin>] {
        self.by_hook.get(hook.index()).map_or(&[], Vec::as_slice)
    }

    /// One bit for each hook that somebody takes.
    pub(crate) fn taken(&self) -> u16 {
        let taken = self.by_hook.iter().zip(Hook::all()).filter(|(seats, _)| !seats.is_empty());
        taken.fold(0, |bits, (_, hook)| bits | hook.bit())
    }

    fn new(mut plugins: Vec<Arc<Plugin>>) -> Self {
        plugins.sort_by(|a, b| a.name().cmp(b.name()));
        let mut by_hook: [Vec<Arc<Plugin>>; HOOKS] = Default::default();
        for (seats, hook) in by_hook.iter_mut().zip(Hook::all()) {
            // A version that is tried may take hooks that its plugin does not.
            seats.extend(plugins.iter().filter(|plugin| plugin.sits(hook)).cloned());
            seats.sort_by_key(|plugin| plugin.priority(hook));
        }
        Self { plugins, by_hook }
    }
}

impl Gathering<'_> {
    /// All plugins of the folder.
    pub(crate) fn all(&self) -> (Loaded, Reloaded) {
        let mut reloaded = Reloaded::default();
        let mut plugins: Vec<Arc<Plugin>> = Vec::new();
        for folder in self.folders(&mut reloaded) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if self.options.disabled.contains(&name) || self.choices.disable(&name) {
                continue;
            }
            let folder = self.choices.folder(&folder, &name);
            match self.plugin(&folder) {
                Ok(plugin) if plugins.iter().any(|other| other.name() == plugin.name()) => {
                    let message = "another folder holds a plugin of the same name";
                    let fault = Fault::new(Code::Package, plugin.program.label(), message);
                    reloaded.refused.push(fault);
                }
                Ok(plugin) => {
                    reloaded.warnings.extend(plugin.program.warnings.iter().cloned());
                    plugins.push(plugin);
                }
                Err(fault) => {
                    let same = |plugin: &&Arc<Plugin>| plugin.program.package.folder == folder;
                    plugins.extend(self.before.plugins.iter().find(same).cloned());
                    reloaded.refused.push(*fault);
                }
            }
        }
        for plugin in &mut plugins {
            self.try_version(plugin, &mut reloaded);
        }
        let loaded = Loaded::new(plugins);
        let labels = loaded.plugins.iter().map(|plugin| plugin.program.label().to_owned());
        reloaded.plugins = labels.collect();
        (loaded, reloaded)
    }

    fn folders(&self, reloaded: &mut Reloaded) -> Vec<PathBuf> {
        let Some(folder) = &self.options.folder else { return Vec::new() };
        let mut found = match package::find(folder) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("{}: {error}", folder.display());
                reloaded.refused.push(Fault::new(Code::Package, "?", message));
                return Vec::new();
            }
        };
        found.retain(|folder| !choices::is_version(folder));
        if found.len() > limits::PLUGINS_MAX {
            let message = format!("there are more than {} plugins", limits::PLUGINS_MAX);
            reloaded.refused.push(Fault::new(Code::Package, "?", message));
            found.truncate(limits::PLUGINS_MAX);
        }
        found
    }

    /// Sets beside a plugin the version of it that is tried, if one is; one that cannot be loaded
    /// is not tried.
    fn try_version(&self, plugin: &mut Arc<Plugin>, reloaded: &mut Reloaded) {
        let trial = self.choices.trial(plugin.name());
        let candidate = trial.and_then(|trial| match self.candidate(plugin, trial) {
            Ok(candidate) => Some(candidate),
            Err(mut fault) => {
                // Whatever its manifest says that it is.
                fault.plugin = format!("{}@{}", plugin.name(), trial.version);
                reloaded.refused.push(*fault);
                None
            }
        });
        let same = match (&candidate, plugin.candidate()) {
            (None, None) => true,
            (Some(new), Some(old)) => {
                Arc::ptr_eq(&new.plugin, &old.plugin) && new.percent == old.percent
            }
            _ => false,
        };
        if !same {
            *plugin = Arc::new(plugin.beside(candidate));
        }
    }

    fn candidate(&self, plugin: &Plugin, trial: &Trial) -> Result<Candidate, Box<Fault>> {
        let own = self.options.folder.clone().unwrap_or_default().join(plugin.name());
        let folder = choices::version_folder(&own, &trial.version);
        let candidate = self.plugin(&folder)?;
        if candidate.name() != plugin.name() {
            let label = candidate.program.label();
            let message = format!("{} holds {label}: no version of it", folder.display());
            return Err(Box::new(Fault::new(Code::Package, plugin.name(), message)));
        }
        Ok(Candidate { plugin: candidate, percent: trial.percent })
    }

    /// The plugin of a folder: that of before if nothing about it changed.
    fn plugin(&self, folder: &Path) -> Result<Arc<Plugin>, Box<Fault>> {
        let package = Package::read(folder)?;
        let given = self.given(&package);
        let versions = self.before.plugins.iter().flat_map(|plugin| {
            let tried = plugin.candidate().map(|candidate| &candidate.plugin);
            [Some(plugin), tried].into_iter().flatten()
        });
        let same = |plugin: &&Arc<Plugin>| {
            plugin.program.package == package && plugin.program.given == given
        };
        if let Some(plugin) = versions.into_iter().find(same) {
            return Ok(Arc::clone(plugin));
        }
        let plugin = Program::load(&self.shared.base, package, &given).map(Plugin::new)?;
        if self.options.force {
            return Ok(Arc::new(plugin));
        }
        let package = &plugin.program.package;
        let report = cases::run(self.shared, package, Choice::default());
        match report.fault(package) {
            Some(fault) => {
                Err(Box::new(fault.with_help("mend the case or the script, or use force")))
            }
            None => report.refused.map_or_else(|| Ok(Arc::new(plugin)), Err),
        }
    }

    fn given(&self, package: &Package) -> Given {
        let options = self.options;
        let settings = options.settings.get(&package.manifest.name).cloned().unwrap_or_default();
        let wanted = &package.manifest.permissions.secrets;
        let own = options.secrets.iter().filter(|(name, _)| wanted.contains(name));
        let secrets = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        Given { settings, secrets: Secrets::new(secrets), unoptimized: false }
    }
}
