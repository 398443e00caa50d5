//! `maily dev`: runs world, daemon and mailing, and shows how it goes.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;

use maily_config::config::Config;
use maily_config::config::receiving::ListenerTls;
use maily_config::config::sending::Dkim;
use maily_core::clock::Clock;
use maily_core::mail::address::Domain;

use crate::dev::sample::Sample;
use crate::dev::summary;
use crate::dev::summary::Summary;
use crate::dev::world::SENDER_DOMAIN;
use crate::dev::world::World;
use crate::exit::{Exit, Failure};
use crate::wire::Daemon;

/// Run the whole daemon on this machine, with a made-up world to send to and a sample mailing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  maily dev                 send a sample mailing, then stay\n  \
    maily dev --drain --json  end when it is settled, print the sums"
)]
pub struct Arguments {
    /// Messages of the sample mailing.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    messages: usize,
    /// End when the mailing is settled; without it the daemon goes on until Ctrl-C.
    #[arg(long)]
    drain: bool,
    /// Print the sums as one JSON object at the end.
    #[arg(long)]
    json: bool,
    /// Where spool and events go; a new folder below the system's temporary one if not given.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Runs it.
pub async fn run(arguments: Arguments, clock: Arc<dyn Clock>) -> Result<Exit, Failure> {
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("maily-dev-{}", clock.now().as_micros())),
    };
    let world = World::start(Arc::clone(&clock)).await?;
    let config = config(&world, &folder)?;
    let mut daemon = Daemon::start(&config, Arc::clone(&clock)).await?;
    let address = *daemon.smtp.first().context("no listener")?;
    eprintln!("maily listens on {address} (SMTP), keeps its files in {}", folder.display());
    let begun = clock.now();
    let sample = Arc::new(Sample::default());
    let (handing, messages) = (Arc::clone(&sample), arguments.messages);
    let domains = Arc::new(world.domains.clone());
    let mut client = tokio::spawn(async move { handing.hand_in(address, messages, domains).await });
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut handed_in = false;
    loop {
        tokio::select! {
            ended = &mut client, if !handed_in => {
                ended.context("the client died")??;
                handed_in = true;
                tick.reset_after(Duration::from_millis(50));
            }
            _ = tick.tick() => {
                show(&daemon, &sample, &world, clock.now().since(begun));
                if !daemon.is_whole() {
                    return Err(anyhow::anyhow!("a part of the daemon has ended by itself").into());
                }
            }
            end = tokio::signal::ctrl_c() => {
                end.context("signals")?;
                break;
            }
        }
        if arguments.drain && handed_in && daemon.spool.stats().waiting == 0 {
            break;
        }
    }
    let seconds = clock.now().since(begun).as_secs_f64();
    let waiting = daemon.spool.stats().waiting;
    let written = daemon.counters.reported.load(Ordering::Relaxed);
    let in_doubt = daemon.counters.in_doubt.load(Ordering::Relaxed);
    daemon.stop(config.drain_timeout).await?;
    let ledger = &world.ledger;
    let acknowledged = sample.acknowledged();
    // Reports on their way wait too, but are none of the mailing's messages.
    let reports = world.home.messages.load(Ordering::Relaxed);
    let waiting = waiting.saturating_sub(written.saturating_sub(reports));
    let compared = summary::compare(&acknowledged, &ledger.taken(), &ledger.refused(), waiting);
    let sums = Summary { in_doubt, reports, seconds, ..compared };
    if arguments.folder.is_none() {
        std::fs::remove_dir_all(&folder).context("the temporary folder could not be removed")?;
    }
    print(&sums, arguments.json)?;
    Ok(if sums.lost == 0 { Exit::Ok } else { Exit::Software })
}

/// The embedded configuration: everything on loopback, retries in seconds, mail signed with a key
/// made on the spot.
fn config(world: &World, folder: &Path) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.spool.folder = folder.join("spool");
    config.spool.disk_reserve = 64 << 20;
    config.events.folder = folder.join("events");
    for listener in &mut config.listener {
        listener.address = SocketAddr::from(([127, 0, 0, 1], 0));
        listener.tls = ListenerTls::None;
    }
    config.dns.servers = vec![world.dns];
    config.egress.port = world.port;
    config.egress.allow_networks = config.smtp.relay_networks.clone();
    config.retry.delay_min = Duration::from_secs(1);
    config.retry.delay_max = Duration::from_secs(10);
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).context("a key for DKIM")?;
    let path = folder.join("dkim.pem");
    std::fs::create_dir_all(folder).context("the folder cannot be made")?;
    std::fs::write(&path, key.serialize_pem()).context("the key for DKIM cannot be written")?;
    let domain = Domain::parse(SENDER_DOMAIN)?;
    config.dkim.push(Dkim { domain, selector: "dev".to_owned(), key: path });
    Ok(config)
}

fn show(daemon: &Daemon, sample: &Sample, world: &World, passed: Duration) {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &daemon.counters;
    let accepted = sample.acknowledged().len();
    let reports = read(&world.home.messages);
    let delivered = read(&counters.delivered).saturating_sub(reports);
    let seconds = passed.as_secs_f64().max(0.001);
    eprintln!(
        "{seconds:6.1} s  accepted {accepted:6} ({:6.0}/s)  delivered {delivered:6} ({:6.0}/s)  \
         deferrals {:5}  bounced {:4}  reports {reports:4}  waiting {:6}",
        accepted as f64 / seconds,
        delivered as f64 / seconds,
        read(&counters.deferred),
        read(&counters.bounced),
        daemon.spool.stats().waiting,
    );
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(sums: &Summary, json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(sums)?;
    if json {
        println!("{value}");
    } else {
        for (name, number) in value.as_object().into_iter().flatten() {
            println!("{name:>13} {number}");
        }
    }
    Ok(())
}
