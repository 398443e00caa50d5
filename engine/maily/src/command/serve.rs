//! `maily serve` and `maily check`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use maily_config::config::Config;
use maily_config::load;
use maily_core::clock::Clock;

use crate::exit::{Exit, Failure};
use crate::unbuilt;
use crate::wire::Daemon;

/// The configuration to use.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration file; files in conf.d beside it are added.
    #[arg(long, value_name = "FILE", default_value = "/etc/maily/maily.toml")]
    config: PathBuf,
}

fn read(arguments: &Arguments) -> Result<Config, Failure> {
    let config = load::load(&arguments.config)
        .map_err(|errors| Failure::new(Exit::Config, anyhow!("{errors}")))?;
    unbuilt::check(&config).map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(config)
}

/// Reads the configuration and says what is wrong with it.
pub fn check(arguments: &Arguments) -> Result<Exit, Failure> {
    read(arguments)?;
    eprintln!("{} is good", arguments.config.display());
    Ok(Exit::Ok)
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn serve(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = read(&arguments)?;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log.filter))
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let daemon = Daemon::start(&config, clock).await?;
    for address in &daemon.smtp {
        tracing::info!(%address, "listening for SMTP");
    }
    // Nobody may watch: outside systemd there is no socket to tell.
    let _unwatched = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending: no new mail, what is under way may finish");
    let _unwatched = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.stop(config.drain_timeout).await?;
    Ok(Exit::Ok)
}
