//! A folder of plugins for a test, and a clock.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_plugins::gathering::Options;
use maily_plugins::gathering::Reloaded;
use maily_plugins::kv::MemoryKv;
use maily_plugins::set::Plugins;

/// The clock on the wall, which a test may set forward.
#[derive(Debug, Default)]
pub(crate) struct Wall {
    ahead: AtomicU64,
}

impl Wall {
    pub(crate) fn forward(&self, secs: u64) {
        self.ahead.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let micros = u64::try_from(since.as_micros()).unwrap();
        Timestamp::from_micros(micros + self.ahead.load(Ordering::SeqCst))
    }
}

/// A folder of plugins.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<Wall>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(Wall::default()) }
    }

    /// Writes a plugin: its hooks as in a manifest, what else the manifest says, its script.
    pub(crate) fn plugin(&self, name: &str, hooks: &str, rest: &str, script: &str) -> &Self {
        let manifest = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\napi = \"1\"\n[hooks]\n{hooks}\n{rest}\n"
        );
        self.write(&format!("{name}/plugin.toml"), &manifest);
        self.write(&format!("{name}/main.rhai"), script)
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn options(&self) -> Options {
        let folder = Some(self.folder.path().to_path_buf());
        Options { folder, ..Options::default() }
    }

    pub(crate) fn try_open(&self, options: Options) -> (Plugins, Reloaded) {
        Plugins::open(options, Arc::new(MemoryKv::default()), self.clock.clone()).unwrap()
    }

    /// Opens, and nothing may have been refused.
    pub(crate) fn open(&self) -> Plugins {
        let (plugins, reloaded) = self.try_open(self.options());
        assert!(reloaded.refused.is_empty(), "{}", faults(&reloaded));
        plugins
    }

    /// Opens a single plugin that is refused, and says why.
    pub(crate) fn refusal(&self) -> String {
        let (_, reloaded) = self.try_open(self.options());
        faults(&reloaded)
    }
}

pub(crate) fn faults(reloaded: &Reloaded) -> String {
    reloaded.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(crate) fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A fault without what differs from run to run.
pub(crate) fn steady(text: &str) -> String {
    text.lines().filter(|line| !line.contains("operations")).collect::<Vec<_>>().join("\n")
}

pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
