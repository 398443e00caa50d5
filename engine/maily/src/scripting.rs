//! The plugins of this daemon: where they are, what each is told, and what they remember.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;

use maily_config::config::Config;
use maily_core::clock::{Clock, Timestamp};
use maily_delivery::asking::Asker;
use maily_egress::post::Poster;
use maily_http::mail::Mail;
use maily_http::scribe::Hits;
use maily_http::watching::Watcher;
use maily_plugins::gathering::{Options, Reloaded};
use maily_plugins::input::TimerInput;
use maily_plugins::kv::{Kv, MemoryKv};
use maily_plugins::kv_sled::{Opened, SledKv};
use maily_plugins::set::Plugins;

use crate::exit::{Exit, Failure};
use crate::sending;

/// The most secrets, and the most octets of one.
const SECRETS_MAX: usize = 1_000;
const SECRET_OCTETS_MAX: u64 = 64 * 1024;

/// How often what plugins remember is written down.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often what is too old is thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// How often it is looked which timers there are.
const TIMERS_LOOKED_AT: Duration = Duration::from_secs(1);

/// The plugins, and what goes with them.
pub struct Scripts {
    /// Who asks them.
    pub asker: Asker,
    /// What they remember, if it is on disk.
    store: Option<Arc<SledKv>>,
}

/// Loads the plugins that the configuration names.
pub fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Scripts, Failure> {
    let wrong = |error| Failure::new(Exit::Config, error);
    let options = options(config).map_err(wrong)?;
    let store = match &config.plugins.folder {
        Some(_) => Some(open_store(&config.plugins.state.join("kv"), clock.as_ref())?),
        // Nothing is written where there are no plugins.
        None => None,
    };
    let kv: Arc<dyn Kv> = match &store {
        Some(store) => Arc::<SledKv>::clone(store),
        None => Arc::new(MemoryKv::default()),
    };
    let opened = Plugins::open(options, kv, Arc::clone(clock));
    let (plugins, reloaded) = opened.map_err(|error| Failure::new(Exit::Io, error))?;
    tell(&reloaded);
    let asker = Asker::new(Arc::new(plugins), poster(config, clock).map_err(wrong)?);
    Ok(Scripts { asker, store })
}

fn open_store(folder: &Path, clock: &dyn Clock) -> Result<Arc<SledKv>, Failure> {
    let opened = std::fs::create_dir_all(folder).and_then(|()| SledKv::open(folder, clock.now()));
    let text = || format!("plugins.state: {} cannot be used", folder.display());
    let (store, how) = opened.with_context(text).map_err(|error| Failure::new(Exit::Io, error))?;
    if let Opened::SetAside(old) = how {
        tracing::warn!(old = %old.display(), "what plugins remembered was damaged: set aside");
    }
    Ok(Arc::new(store))
}

/// By what plugins ask other machines.
pub fn poster(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Poster> {
    let resolver = sending::resolver(config, clock)?;
    let allowed = config.plugins.allow_networks.clone();
    Ok(Poster::new(resolver, allowed, sending::verifying(config).ok()))
}

/// Writes down what plugins remember, and throws away what is too old.
async fn upkeep(store: Option<Arc<SledKv>>, clock: Arc<dyn Clock>) {
    let Some(store) = store else { return };
    let mut swept = clock.now();
    loop {
        tokio::time::sleep(SYNC_EVERY).await;
        let (store, now) = (Arc::clone(&store), clock.now());
        let sweeps = now.since(swept) >= SWEEP_EVERY;
        if sweeps {
            swept = now;
        }
        let kept = tokio::task::spawn_blocking(move || {
            if sweeps {
                store.sweep(now)?;
            }
            store.sync()
        });
        if let Ok(Err(error)) = kept.await {
            tracing::error!(%error, "what plugins remember could not be written");
        }
    }
}

/// Ends the trials of versions whose time is over.
async fn end_trials(plugins: &Arc<Plugins>) {
    if !plugins.choices().any_ends() {
        return;
    }
    let plugins = Arc::clone(plugins);
    let ended = tokio::task::spawn_blocking(move || plugins.end_trials()).await;
    match ended {
        Ok(Ok(ended)) if !ended.is_empty() => {
            tracing::info!(plugins = ended.join(", "), "the trial of a version is over");
        }
        Ok(Err(error)) => tracing::error!(%error, "the trial of a version could not be ended"),
        _ => {}
    }
}

/// Asks the plugins whose time has come, until the daemon ends.
async fn keep_time(asker: Asker, clock: Arc<dyn Clock>, mut draining: watch::Receiver<bool>) {
    let mut due: BTreeMap<String, Timestamp> = BTreeMap::new();
    let keeping = async {
        loop {
            end_trials(&asker.plugins).await;
            let now = clock.now();
            let timers: BTreeMap<_, _> = asker.plugins.timers().into_iter().collect();
            due.retain(|name, _| timers.contains_key(name));
            for (name, every) in timers {
                let at = due.entry(name.clone()).or_insert(now + every);
                if *at <= now {
                    *at = now + every;
                    let input = TimerInput { now: now.as_secs(), name };
                    let (asker, call) = (asker.clone(), asker.plugins.on_timer(input));
                    tokio::spawn(async move { asker.run(call).await });
                }
            }
            // Timers come and go with every reload.
            let next = due.values().min().map(|at| at.since(clock.now()));
            tokio::time::sleep(next.unwrap_or(TIMERS_LOOKED_AT).min(TIMERS_LOOKED_AT)).await;
        }
    };
    tokio::select! {
        () = keeping => {}
        _ = draining.wait_for(|draining| *draining) => {}
    }
}

impl Scripts {
    /// Starts what goes beside them.
    pub fn serve(
        &self,
        config: &Config,
        mail: &Mail,
        hits: Hits,
        clock: &Arc<dyn Clock>,
        tasks: &mut JoinSet<()>,
    ) {
        let draining = mail.draining.clone();
        tasks.spawn(upkeep(self.store.clone(), Arc::clone(clock)));
        tasks.spawn(keep_time(self.asker.clone(), Arc::clone(clock), draining.clone()));
        let watcher = Watcher {
            asker: self.asker.clone(),
            reader: mail.reader.clone(),
            scribe: mail.scribe.clone(),
            clock: Arc::clone(clock),
            place: config.plugins.state.join("place"),
            draining,
        };
        tasks.spawn(watcher.run());
        tasks.spawn(hits.run(self.asker.clone(), mail.reader.clone(), mail.draining.clone()));
    }
}

/// Loads them again. What cannot be loaded stays as it was.
pub fn reload(plugins: &Plugins, options: Options) {
    tell(&plugins.reload(Some(options)));
}

/// What the configuration says about plugins.
pub fn options(config: &Config) -> anyhow::Result<Options> {
    let mut settings = BTreeMap::new();
    let mut disabled = Vec::new();
    for plugin in &config.plugin {
        if settings.insert(plugin.name.clone(), plugin.settings.clone()).is_some() {
            bail!("there are two tables [[plugin]] with the name {:?}", plugin.name);
        }
        if !plugin.enabled {
            disabled.push(plugin.name.clone());
        }
    }
    let folder = config.plugins.folder.clone();
    if let Some(folder) = &folder
        && !folder.is_dir()
    {
        bail!("plugins.folder: {} is no folder", folder.display());
    }
    let secrets = config.plugins.secrets.as_deref().map(secrets).transpose()?.unwrap_or_default();
    let choices = folder.is_some().then(|| config.plugins.state.join("choices.json"));
    Ok(Options { folder, settings, secrets, disabled, choices, ..Options::default() })
}

/// A secret for each file.
fn secrets(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let what = || format!("plugins.secrets: {} cannot be read", folder.display());
    let mut secrets = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(what)? {
        let entry = entry.with_context(what)?;
        let (path, name) = (entry.path(), entry.file_name());
        let meta = std::fs::metadata(&path).with_context(what)?;
        let Some(name) = name.to_str().filter(|_| meta.is_file()) else { continue };
        if meta.len() > SECRET_OCTETS_MAX || secrets.len() >= SECRETS_MAX {
            bail!("plugins.secrets: {} is too large, or one too many", path.display());
        }
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("plugins.secrets: {}", path.display()))?;
        secrets.insert(name.to_owned(), text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(secrets)
}

fn tell(reloaded: &Reloaded) {
    for fault in &reloaded.refused {
        tracing::error!(%fault, "a plugin is not loaded");
    }
    for fault in &reloaded.warnings {
        tracing::warn!(%fault, "a plugin is odd");
    }
    if !reloaded.plugins.is_empty() {
        tracing::info!(plugins = reloaded.plugins.join(", "), "plugins are loaded");
    }
}
