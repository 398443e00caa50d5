//! `maily serve`: the daemon, from start to end, and what signals do to it.
//!
//! HUP reads the configuration anew; TERM and INT end in order, a second one at once.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

use maily_config::config::Config;
use maily_config::load;
use maily_config::load::{Loaded, Override};
use maily_core::clock::Clock;

use crate::exit::{Exit, Failure};
use crate::logging;
use crate::logging::Filter;
use crate::notify;
use crate::preflight;
use crate::pulse::Pulse;
use crate::wire::Daemon;

/// The configuration to use.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration file; files in conf.d beside it are added.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/maily/maily.toml")]
    pub(crate) config: PathBuf,
    /// Set a single key, such as retry.delay_min=1m; may be given more than once. The variable
    /// MAILY__RETRY__DELAY_MIN=1m of the environment does the same.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = set)]
    pub(crate) set: Vec<Override>,
}

fn set(text: &str) -> Result<Override, String> {
    Override::of_argument(text).ok_or_else(|| "write it as KEY=VALUE".to_owned())
}

/// Reads the configuration, with what the environment and the arguments set; and looks whether
/// what it names is there.
pub(crate) fn read(arguments: &Arguments) -> Result<Loaded, Failure> {
    let loaded = open(arguments)?;
    let problems = preflight::files(&loaded);
    if problems.is_empty() {
        return Ok(loaded);
    }
    Err(wrong(load::Errors(problems).to_string()))
}

/// Reads the configuration for a command that serves nothing: what it names need not be ours to
/// read.
pub(crate) fn read_only(arguments: &Arguments) -> Result<Config, Failure> {
    open(arguments).map(|loaded| loaded.config)
}

fn wrong(text: String) -> Failure {
    Failure::new(Exit::Config, anyhow!(text))
}

fn open(arguments: &Arguments) -> Result<Loaded, Failure> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Override::of_variable(name.to_str()?, value.to_str()?));
    let overrides: Vec<_> = variables.chain(arguments.set.iter().cloned()).collect();
    load::open(&arguments.config, &overrides).map_err(|errors| wrong(errors.to_string()))
}

fn catch(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("signals cannot be caught")
}

/// The signals that end the daemon.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn catch() -> anyhow::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: catch(terminate)?, interrupt: catch(interrupt)? })
    }

    /// Returns when somebody wants the daemon to end.
    async fn any(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "TERM",
            _ = self.interrupt.recv() => "INT",
        }
    }
}

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn serve(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let config = read(&arguments)?.config;
    let filter = logging::start(&config.log)?;
    let (mut ends, mut hangup) = (Ends::catch()?, catch(SignalKind::hangup())?);
    if rustix::process::geteuid().is_root() {
        tracing::warn!("running as root: better is a user of its own, as in maily.service");
    }
    let mut daemon = Daemon::start(&config, clock).await?;
    for address in &daemon.smtp {
        tracing::info!(%address, "listening for SMTP");
    }
    if let Some(address) = daemon.ops {
        tracing::info!(%address, "answering about health and metrics");
    }
    for (address, whom) in [(daemon.fronts.public, "recipients"), (daemon.fronts.api, "the API")] {
        if let Some(address) = address {
            tracing::info!(%address, whom, "answering HTTP");
        }
    }
    if let Some(path) = &daemon.fronts.admin {
        tracing::info!(path = %path.display(), whom = "operators", "answering HTTP");
    }
    notify::ready(&running(&daemon));
    let _dog = tokio::spawn(feed(daemon.pulse()));
    loop {
        tokio::select! {
            signal = ends.any() => {
                tracing::info!(signal, "ending: no new mail, what is under way may finish");
                break;
            }
            _ = hangup.recv() => reload(&arguments, &mut daemon, &filter),
            () = daemon.broken() => {
                return Err(anyhow!("a part of the daemon has ended by itself").into());
            }
        }
    }
    end(daemon, &mut ends).await
}

fn running(daemon: &Daemon) -> String {
    let addresses: Vec<_> = daemon.smtp.iter().map(ToString::to_string).collect();
    format!("taking mail on {}", addresses.join(", "))
}

/// Goes on with what the files say now; with what it has if they are wrong.
fn reload(arguments: &Arguments, daemon: &mut Daemon, filter: &Filter) {
    notify::reloading();
    let outcome = read(arguments).and_then(|loaded| {
        apply(loaded.config, daemon, filter).map_err(|error| Failure::new(Exit::Config, error))
    });
    match outcome {
        Ok(()) => notify::ready(&running(daemon)),
        Err(failure) => {
            let why = format!("{:#}", failure.error);
            tracing::error!(why, "the new configuration is wrong: nothing has changed");
            daemon.reload_failed(&why);
            notify::ready(&format!("reload failed, nothing has changed: {why}"));
        }
    }
}

fn apply(new: Config, daemon: &mut Daemon, filter: &Filter) -> anyhow::Result<()> {
    let wanted = new.log.filter.clone();
    logging::parse(&wanted)?;
    let changes = daemon.reload(new)?;
    filter.set(&wanted)?;
    for change in &changes {
        if change.needs_restart() {
            tracing::warn!(%change, "needs a restart: the old value holds until then");
        } else {
            tracing::info!(%change, "configured");
        }
    }
    tracing::info!(changes = changes.len(), "the configuration was read again");
    Ok(())
}

/// Tells the service manager that the delivery loop turns, as often as it wants to hear it.
async fn feed(pulse: Arc<Pulse>) {
    let Some(every) = notify::watchdog() else { return };
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        if pulse.is_alive() {
            notify::alive();
        } else {
            tracing::error!("the delivery loop stands still");
        }
    }
}

async fn end(daemon: Daemon, ends: &mut Ends) -> Result<Exit, Failure> {
    notify::stopping("ending");
    let bound = daemon.config().drain_timeout;
    let counters = Arc::clone(&daemon.counters);
    let waiting = async {
        let mut tick = tokio::time::interval(notify::EXTEND_EVERY);
        loop {
            tick.tick().await;
            let under_way = counters.in_flight();
            notify::extend(&format!("ending: {under_way} deliveries under way"));
        }
    };
    let hurry = async {
        let signal = ends.any().await;
        tracing::warn!(signal, "a second signal: ending at once");
    };
    let stopping = daemon.stop_unless(bound, hurry);
    tokio::select! {
        () = waiting => {}
        stopped = stopping => {
            stopped.map_err(|error| Failure::new(Exit::Io, error))?;
        }
    }
    tracing::info!("ended");
    Ok(Exit::Ok)
}
