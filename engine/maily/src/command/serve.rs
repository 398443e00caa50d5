//! `maily serve` and `maily check`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use maily_config::config::Config;
use maily_config::config::watching::{Log, LogFormat};
use maily_config::load;
use maily_core::clock::Clock;

use crate::exit::{Exit, Failure};
use crate::keys;
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
    let unusable = |config: &Config| keys::load(config).err().unwrap_or_default();
    let config = load::load_and(&arguments.config, unusable)
        .map_err(|errors| Failure::new(Exit::Config, anyhow!("{errors}")))?;
    unbuilt::check(&config).map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(config)
}

/// Reads the configuration and says what is wrong with it, or which DNS records its keys need.
pub fn check(arguments: &Arguments) -> Result<Exit, Failure> {
    let config = read(arguments)?;
    // They were read a moment ago, so there are none that cannot be used.
    for signer in keys::load(&config).unwrap_or_default().signers() {
        let record = signer.key().record().context("a key has no public part")?;
        eprintln!("DKIM needs this TXT record at {signer}:\n{record}");
    }
    eprintln!("{} is good", arguments.config.display());
    Ok(Exit::Ok)
}

/// Diagnostic messages go to standard error, as text or as one JSON object a line.
fn log(settings: &Log) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&settings.filter))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn serve(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = read(&arguments)?;
    log(&config.log);
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("signals")?;
    let daemon = Daemon::start(&config, clock).await?;
    for address in &daemon.smtp {
        tracing::info!(%address, "listening for SMTP");
    }
    // Nobody may watch: outside systemd there is no socket to tell.
    let _unwatched = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Unhandled, it would end the process.
            _ = hangup.recv() => tracing::warn!("no reload yet: restart to read the configuration"),
        }
    }
    tracing::info!("ending: no new mail, what is under way may finish");
    let _unwatched = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    daemon.stop(config.drain_timeout).await?;
    Ok(Exit::Ok)
}
