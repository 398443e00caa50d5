//! All plugins of a folder, and the hooks as the rest of the house sees them: one typed entry for
//! each, which asks the plugins that take it, in order of priority, and puts their answers
//! together.
//!
//! A reload reads, compiles and tests everything first and then puts it in place at once; calls
//! that are under way end with what they began with.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use maily_core::clock::Clock;
use parking_lot::Mutex;
use serde::Serialize;

use crate::answer::Answer;
use crate::breaker::State;
use crate::cases;
use crate::cases::Choice;
use crate::count::Counts;
use crate::fault::Code;
use crate::fault::Fault;
use crate::hook::HOOKS;
use crate::hook::Hook;
use crate::hook::Policy;
use crate::host::Effects;
use crate::host::Level;
use crate::http::Secrets;
use crate::input::Input;
use crate::kv::Kv;
use crate::kv::MemoryKv;
use crate::limits;
use crate::package;
use crate::package::Package;
use crate::plugin::Candidate;
use crate::plugin::Failure;
use crate::plugin::Plugin;
use crate::plugin::Round;
use crate::plugin::Shared;
use crate::program::Given;
use crate::program::Program;
use crate::tally::Tally;
use crate::watchdog::Watchdog;
use crate::worker::Base;

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
    /// Plugins of which another folder holds the version that is used, by name.
    pub pinned: BTreeMap<String, PathBuf>,
    /// Versions that are tried, by name.
    pub staged: BTreeMap<String, Stage>,
}

/// A version that is tried on a part of all, chosen by hash.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its folder.
    pub folder: PathBuf,
    /// For how many of a hundred.
    pub percent: u8,
}

/// All plugins. Cheap to ask when a hook has none.
#[derive(Debug)]
pub struct Plugins {
    /// One bit for each hook that somebody takes.
    taken: AtomicU16,
    current: ArcSwap<Loaded>,
    shared: Shared,
    /// One reload at a time.
    options: Mutex<Options>,
    tally: Tally,
}

/// What is in place.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By name.
    plugins: Vec<Arc<Plugin>>,
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

/// How a plugin fares in one hook.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Name and version.
    pub plugin: String,
    /// In which hook.
    pub hook: Hook,
    /// Who comes first.
    pub priority: i32,
    /// What failure means.
    pub on_error: Policy,
    /// For how many of a hundred it is asked, if it is a version that is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staged: Option<u8>,
    /// Its breaker.
    pub breaker: State,
    /// What was counted.
    pub counts: Counts,
}

impl Plugins {
    /// Loads the plugins of a folder. What cannot be loaded is left out and told of.
    pub fn open(
        options: Options,
        kv: Arc<dyn Kv>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Self, Reloaded)> {
        let base = Arc::new(Base::new(Watchdog::start(Arc::clone(&clock))?));
        let plugins = Self {
            taken: AtomicU16::new(0),
            current: ArcSwap::default(),
            shared: Shared { base, clock, kv },
            options: Mutex::new(options),
            tally: Tally::default(),
        };
        let reloaded = plugins.reload(None);
        Ok((plugins, reloaded))
    }

    /// No plugins, for rooms that are tested without.
    pub fn none(clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::open(Options::default(), Arc::new(MemoryKv::default()), clock).map(|(none, _)| none)
    }

    /// Whether any plugin takes a hook.
    #[inline]
    pub fn takes(&self, hook: Hook) -> bool {
        self.taken.load(Ordering::Relaxed) & hook.bit() != 0
    }

    /// What was counted and observed by plugins.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What all plugins share.
    pub const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How all plugins fare, by plugin and hook.
    pub fn standing(&self) -> Vec<Standing> {
        let loaded = self.current.load();
        let mut all = Vec::new();
        let staged = |plugin: &Arc<Plugin>| {
            let candidate = plugin.candidate()?;
            Some((Arc::clone(&candidate.plugin), Some(candidate.percent)))
        };
        let versions = loaded.plugins.iter().flat_map(|plugin| {
            [Some((Arc::clone(plugin), None)), staged(plugin)].into_iter().flatten()
        });
        for (plugin, percent) in versions {
            for hook in Hook::all() {
                let Some(seat) = plugin.seat(hook) else { continue };
                all.push(Standing {
                    plugin: plugin.program.label().to_owned(),
                    hook,
                    priority: seat.priority,
                    on_error: seat.policy,
                    staged: percent,
                    breaker: seat.state(),
                    counts: seat.count.read(),
                });
            }
        }
        all
    }

    /// What is in place now.
    pub(crate) fn loaded(&self) -> arc_swap::Guard<Arc<Loaded>> {
        self.current.load()
    }

    /// The plugins that take a hook, in order.
    pub fn order(&self, hook: Hook) -> Vec<Arc<Plugin>> {
        self.current.load().by_hook.get(hook.index()).cloned().unwrap_or_default()
    }

    /// Reads the folder again. What fails to load keeps its version from before.
    pub fn reload(&self, options: Option<Options>) -> Reloaded {
        let mut known = self.options.lock();
        if let Some(options) = options {
            *known = options;
        }
        let before = self.current.load_full();
        let (loaded, reloaded) = load(&self.shared, &known, &before);
        let taken = loaded.taken();
        self.current.store(Arc::new(loaded));
        self.taken.store(taken, Ordering::Relaxed);
        reloaded
    }

    /// Tries a version of a plugin on a part of all. It has counts of its own ([`Self::standing`]).
    pub fn stage(&self, name: &str, stage: Stage) -> Reloaded {
        let mut options = self.options.lock().clone();
        options.staged.insert(name.to_owned(), stage);
        self.reload(Some(options))
    }

    /// Uses the version that was tried for all. Where its folder is, is for the caller to keep.
    pub fn promote(&self, name: &str) -> Reloaded {
        let mut options = self.options.lock().clone();
        if let Some(stage) = options.staged.remove(name) {
            options.pinned.insert(name.to_owned(), stage.folder);
        }
        self.reload(Some(options))
    }

    /// Tries a version no longer; without one that is tried, goes back from a pinned one.
    pub fn roll_back(&self, name: &str) -> Reloaded {
        let mut options = self.options.lock().clone();
        if options.staged.remove(name).is_none() {
            options.pinned.remove(name);
        }
        self.reload(Some(options))
    }

    /// Asks one plugin, in a hook that does not wait for others, and does what it wants done.
    pub(crate) fn ask<I: Input, O: Answer>(
        &self,
        plugin: &Plugin,
        hook: Hook,
        input: &I,
    ) -> Result<O, Failure> {
        let plugin = plugin.chosen(input);
        match plugin.ask(&self.shared, hook, input, &mut Vec::new()) {
            Round::Done(Ok(ran)) => {
                self.tell_odd(plugin, hook, &ran.odd);
                self.apply(plugin, hook, &ran.effects);
                Ok(ran.answer)
            }
            Round::Done(Err(failure)) => {
                self.tell(plugin, hook, &failure);
                Err(failure)
            }
            Round::Wants(_) => {
                let label = plugin.program.label();
                let fault = Fault::new(Code::NotHere, label, "http is not for hot hooks");
                let policy = plugin.seat(hook).map_or(Policy::Open, |seat| seat.policy);
                let fault = Box::new(fault.within(hook));
                Err(Failure { policy, fault, effects: Effects::default() })
            }
        }
    }

    /// Does what a run wants done: its lines, its counts, its values.
    pub(crate) fn apply(&self, plugin: &Plugin, hook: Hook, effects: &Effects) {
        write_lines(plugin, hook, effects);
        let name = &plugin.program.package.manifest.name;
        for metric in &effects.metrics {
            self.tally.add(name, metric);
        }
        let Some(terms) = &plugin.program.profile.permissions.kv else { return };
        if effects.kv.is_empty() {
            return;
        }
        if let Err(error) = self.shared.kv.commit(terms, &effects.kv, self.shared.clock.now()) {
            let plugin = plugin.program.label();
            tracing::warn!(target: "plugin", plugin, %hook, %error, "values are not kept");
        }
    }

    /// Writes down a failure.
    pub(crate) fn tell(&self, plugin: &Plugin, hook: Hook, failure: &Failure) {
        write_lines(plugin, hook, &failure.effects);
        // A plugin that rests was told of when it began to.
        if failure.fault.code != Code::Resting {
            let (label, code) = (plugin.program.label(), failure.fault.code.as_str());
            let fault = failure.fault.as_ref();
            tracing::warn!(target: "plugin", plugin = label, %hook, code, "{fault}");
        }
    }

    pub(crate) fn tell_odd(&self, plugin: &Plugin, hook: Hook, odd: &[String]) {
        if !odd.is_empty() {
            let (plugin, keys) = (plugin.program.label(), odd.join(", "));
            let code = Code::UnknownKey.as_str();
            tracing::warn!(target: "plugin", plugin, %hook, code, keys, "keys that nobody reads");
        }
    }
}

fn write_lines(plugin: &Plugin, hook: Hook, effects: &Effects) {
    let plugin = plugin.program.label();
    for line in &effects.log {
        let text = &line.text;
        match line.level {
            Level::Debug => tracing::debug!(target: "plugin", plugin, %hook, "{text}"),
            Level::Info => tracing::info!(target: "plugin", plugin, %hook, "{text}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, %hook, "{text}"),
        }
    }
}

impl Loaded {
    /// The plugins that take a hook, in order.
    pub(crate) fn order(&self, hook: Hook) -> &[Arc<Plugin>] {
        self.by_hook.get(hook.index()).map_or(&[], Vec::as_slice)
    }

    fn new(mut plugins: Vec<Arc<Plugin>>) -> Self {
        plugins.sort_by(|a, b| name(a).cmp(name(b)));
        let mut by_hook: [Vec<Arc<Plugin>>; HOOKS] = Default::default();
        for (seats, hook) in by_hook.iter_mut().zip(Hook::all()) {
            seats.extend(plugins.iter().filter(|plugin| plugin.seat(hook).is_some()).cloned());
            seats.sort_by_key(|plugin| plugin.seat(hook).map(|seat| seat.priority));
        }
        Self { plugins, by_hook }
    }

    fn taken(&self) -> u16 {
        let taken = self.by_hook.iter().zip(Hook::all()).filter(|(seats, _)| !seats.is_empty());
        taken.fold(0, |bits, (_, hook)| bits | hook.bit())
    }
}

fn name(plugin: &Plugin) -> &str {
    &plugin.program.package.manifest.name
}

fn load(shared: &Shared, options: &Options, before: &Loaded) -> (Loaded, Reloaded) {
    let mut reloaded = Reloaded::default();
    let mut plugins: Vec<Arc<Plugin>> = Vec::new();
    for folder in folders(options, &mut reloaded) {
        let folder_name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if options.disabled.contains(&folder_name) {
            continue;
        }
        let folder = options.pinned.get(&folder_name).cloned().unwrap_or(folder);
        let plugin = read(shared, options, &folder).map(|plugin| {
            let stage = options.staged.get(name(&plugin));
            let candidate =
                stage.and_then(|stage| candidate(shared, options, stage, &mut reloaded));
            plugin.with_candidate(candidate)
        });
        match plugin {
            Ok(plugin) if plugins.iter().any(|other| name(other) == name(&plugin)) => {
                let message = "another folder holds a plugin of the same name";
                reloaded.refused.push(Fault::new(Code::Package, plugin.program.label(), message));
            }
            Ok(plugin) => {
                reloaded.warnings.extend(plugin.program.warnings.iter().cloned());
                plugins.push(Arc::new(plugin));
            }
            Err(fault) => {
                let same = |plugin: &&Arc<Plugin>| plugin.program.package.folder == folder;
                plugins.extend(before.plugins.iter().find(same).cloned());
                reloaded.refused.push(*fault);
            }
        }
    }
    let loaded = Loaded::new(plugins);
    let labels = loaded.plugins.iter().map(|plugin| plugin.program.label().to_owned());
    reloaded.plugins = labels.collect();
    (loaded, reloaded)
}

fn folders(options: &Options, reloaded: &mut Reloaded) -> Vec<PathBuf> {
    let Some(folder) = &options.folder else { return Vec::new() };
    match package::find(folder) {
        Ok(found) if found.len() > limits::PLUGINS_MAX => {
            let message = format!("there are more than {} plugins", limits::PLUGINS_MAX);
            reloaded.refused.push(Fault::new(Code::Package, "?", message));
            found.into_iter().take(limits::PLUGINS_MAX).collect()
        }
        Ok(found) => found,
        Err(error) => {
            let message = format!("{}: {error}", folder.display());
            reloaded.refused.push(Fault::new(Code::Package, "?", message));
            Vec::new()
        }
    }
}

/// A version that is tried; one that cannot be loaded is not tried.
fn candidate(
    shared: &Shared,
    options: &Options,
    stage: &Stage,
    reloaded: &mut Reloaded,
) -> Option<Candidate> {
    match read(shared, options, &stage.folder) {
        Ok(plugin) => Some(Candidate { plugin: Arc::new(plugin), percent: stage.percent.min(100) }),
        Err(fault) => {
            reloaded.refused.push(*fault);
            None
        }
    }
}

fn read(shared: &Shared, options: &Options, folder: &Path) -> Result<Plugin, Box<Fault>> {
    let package = Package::read(folder)?;
    let settings = options.settings.get(&package.manifest.name).cloned().unwrap_or_default();
    let wanted = &package.manifest.permissions.secrets;
    let own = options.secrets.iter().filter(|(name, _)| wanted.contains(name));
    let secrets = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let given = Given { settings, secrets: Secrets::new(secrets), unoptimized: false };
    let plugin = Program::load(&shared.base, package, &given).map(Plugin::new)?;
    if options.force {
        return Ok(plugin);
    }
    let package = &plugin.program.package;
    let report = cases::run(shared, package, Choice::default());
    match report.fault(package) {
        Some(fault) => Err(Box::new(fault.with_help("mend the case or the script, or use force"))),
        None => report.refused.map_or(Ok(plugin), Err),
    }
}
