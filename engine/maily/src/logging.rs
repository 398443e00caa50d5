//! The diagnostic log on standard error.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;

use maily_config::config::watching::Log;
use maily_config::config::watching::LogFormat;

/// Changes what is logged while the daemon runs.
pub struct Filter(Handle<EnvFilter, Registry>);

impl Filter {
    /// Logs what this filter lets through from now on.
    pub fn set(&self, filter: &str) -> anyhow::Result<()> {
        self.0.reload(parse(filter)?).context("the log's filter could not be changed")
    }
}

/// Reads a filter.
pub fn parse(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).with_context(|| format!("`{filter}` is not a filter"))
}

/// Starts the log, as text or as one JSON object a line.
pub fn start(settings: &Log) -> anyhow::Result<Filter> {
    let (filter, handle) = reload::Layer::new(parse(&settings.filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json()).try_init(),
    }
    .context("the log could not be started")?;
    Ok(Filter(handle))
}
