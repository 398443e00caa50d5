//! The plugins of this daemon: where they are, what each is told, and what they remember.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};

use maily_config::config::Config;
use maily_core::clock::Clock;
use maily_plugins::kv::{Kv, MemoryKv};
use maily_plugins::set::{Options, Plugins, Reloaded};

use crate::exit::{Exit, Failure};

/// The most secrets, and the most octets of one.
const SECRETS_MAX: usize = 1_000;
const SECRET_OCTETS_MAX: u64 = 64 * 1024;

/// Loads the plugins that the configuration names.
pub fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Arc<Plugins>, Failure> {
    let options = options(config).map_err(|error| Failure::new(Exit::Config, error))?;
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::default());
    let opened = Plugins::open(options, kv, Arc::clone(clock));
    let (plugins, reloaded) = opened.map_err(|error| Failure::new(Exit::Io, error))?;
    tell(&reloaded);
    Ok(Arc::new(plugins))
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
    Ok(Options { folder, settings, secrets, disabled })
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
