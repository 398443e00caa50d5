//! All plugins of a folder, and the hooks as the rest of the house sees them: one typed entry for
//! each, which asks the plugins that take it, in order of priority, and puts their answers
//! together.
//!
//! A reload reads, compiles and tests everything first and then puts it in place at once; calls
//! that are under way end with what they began with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use maily_core::clock::Clock;
use parking_lot::Mutex;
use serde::Serialize;

use crate::answer::Answer;
use crate::breaker::State;
use crate::choices::Action;
use crate::choices::Choices;
use crate::choices::Unchosen;
use crate::count::Counts;
use crate::fault::Code;
use crate::fault::Fault;
use crate::gathering::Gathering;
use crate::gathering::Loaded;
use crate::gathering::Options;
use crate::gathering::Reloaded;
use crate::hook::Hook;
use crate::hook::Policy;
use crate::host::Effects;
use crate::host::Level;
use crate::input::Input;
use crate::kv::Kv;
use crate::kv::MemoryKv;
use crate::plugin::Failure;
use crate::plugin::Plugin;
use crate::plugin::Round;
use crate::plugin::Shared;
use crate::tally::Tally;
use crate::watchdog::Watchdog;
use crate::worker::Base;

/// What plugins are loaded by.
#[derive(Debug)]
struct Known {
    options: Options,
    choices: Choices,
}

/// All plugins. Cheap to ask when a hook has none.
#[derive(Debug)]
pub struct Plugins {
    /// One bit for each hook that somebody takes.
    taken: AtomicU16,
    current: ArcSwap<Loaded>,
    shared: Shared,
    /// One reload at a time.
    known: Mutex<Known>,
    tally: Tally,
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
        let choices = options.choices.as_deref().map(Choices::read).transpose()?;
        let choices = choices.unwrap_or_default();
        let plugins = Self {
            taken: AtomicU16::new(0),
            current: ArcSwap::default(),
            shared: Shared { base, clock, kv },
            known: Mutex::new(Known { options, choices }),
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
        self.current.load().order(hook).to_vec()
    }

    /// Reads the folder again. What fails to load keeps its version from before.
    pub fn reload(&self, options: Option<Options>) -> Reloaded {
        let mut known = self.known.lock();
        if let Some(options) = options {
            known.options = options;
        }
        let (loaded, reloaded) = self.read(&known.options, &known.choices);
        self.put(loaded);
        reloaded
    }

    /// Does what an operator wants of a plugin. It is on disk before it is in place, and if it
    /// cannot be, everything stays as it was.
    pub fn choose(&self, name: &str, action: &Action) -> Result<Reloaded, Unchosen> {
        let mut known = self.known.lock();
        if known.options.disabled.iter().any(|disabled| disabled == name) {
            return Err(Unchosen::Configured);
        }
        let folder = known.options.folder.as_deref().ok_or(Unchosen::Unknown)?;
        let mut choices = known.choices.clone();
        choices.apply(folder, name, action)?;
        self.settle(&mut known, choices, Some(name))
    }

    /// Ends the trials whose time is over, and says of which plugins.
    pub fn end_trials(&self) -> Result<Vec<String>, Unchosen> {
        let mut known = self.known.lock();
        let mut choices = known.choices.clone();
        let ended = choices.end_trials(self.shared.clock.now());
        if !ended.is_empty() {
            self.settle(&mut known, choices, None)?;
        }
        Ok(ended)
    }

    /// What operators chose.
    pub fn choices(&self) -> Choices {
        self.known.lock().choices.clone()
    }

    fn settle(
        &self,
        known: &mut Known,
        choices: Choices,
        about: Option<&str>,
    ) -> Result<Reloaded, Unchosen> {
        let (loaded, reloaded) = self.read(&known.options, &choices);
        let ours = |fault: &&Fault| {
            // Name and version, or the folder's name if no manifest could be read.
            let of = fault.plugin.split('@').next();
            about.is_some() && of == about
        };
        if let Some(fault) = reloaded.refused.iter().find(ours) {
            return Err(Unchosen::Fault(Box::new(fault.clone())));
        }
        if let Some(path) = &known.options.choices {
            choices.write(path).map_err(Unchosen::Disk)?;
        }
        known.choices = choices;
        self.put(loaded);
        Ok(reloaded)
    }

    fn read(&self, options: &Options, choices: &Choices) -> (Loaded, Reloaded) {
        let before = self.current.load_full();
        Gathering { shared: &self.shared, options, choices, before: &before }.all()
    }

    fn put(&self, loaded: Loaded) {
        let taken = loaded.taken();
        self.current.store(Arc::new(loaded));
        self.taken.store(taken, Ordering::Relaxed);
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
                self.apply(plugin, hook, ran.effects.as_deref());
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
    pub(crate) fn apply(&self, plugin: &Plugin, hook: Hook, effects: Option<&Effects>) {
        let Some(effects) = effects else { return };
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
