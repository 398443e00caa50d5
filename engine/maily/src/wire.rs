//! Builds the rooms from the configuration and connects them. The only place that knows them all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use maily_config::config::Config;
use maily_config::config::sending::EgressTls;
use maily_config::value::RouteDomain;
use maily_core::clock::Clock;
use maily_core::queue::scheduler::Scheduler;
use maily_core::smtp::client::TlsPolicy;
use maily_delivery::control::Control;
use maily_delivery::counters::Counters;
use maily_delivery::dispatcher::{Dispatcher, Parts};
use maily_delivery::reports::Reporting;
use maily_delivery::signing::{Signed, Signing};
use maily_delivery::worker;
use maily_egress::connection::Settings;
use maily_egress::resolve::Resolver;
use maily_events::recorder::Recorder;
use maily_journal::journal::Options as JournalOptions;
use maily_spool::spool::{Options as SpoolOptions, Spool};

use crate::keys;
use crate::ops;
use crate::ops::{Check, Watched};
use crate::policy;
use crate::receiving::Receiving;
use crate::unbuilt;

/// Messages between the spool and the queue; more make clients wait.
const QUEUE_LENGTH: usize = 1_024;

/// A running daemon.
pub struct Daemon {
    /// Where it listens for SMTP, in the order of the configuration.
    pub smtp: Vec<SocketAddr>,
    /// What has become of the mail since the start.
    pub counters: Arc<Counters>,
    /// What tells the dispatcher what an operator wants.
    pub control: Control,
    /// The spool.
    pub spool: Spool,
    /// The event log.
    pub events: Recorder,
    /// Where it answers about its health, if it does.
    pub ops: Option<SocketAddr>,
    draining: watch::Sender<bool>,
    tasks: JoinSet<()>,
    /// Ended with the daemon, not waited for.
    watching: JoinSet<()>,
}

impl Daemon {
    /// Starts everything.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        unbuilt::check(config)?;
        let (queue, queued) = mpsc::channel(QUEUE_LENGTH);
        let spool = open_spool(config, queue)?;
        let events = Recorder::open(&config.events.folder, config.events.segment_size)
            .context("the event log could not be opened")?;
        let (drain, draining) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let mut tasks = JoinSet::new();
        let shared = Arc::new(sending(config, &clock)?);
        let seed = clock.now().as_micros();
        let scheduler = Scheduler::new(policy::policy(config)?, seed);
        let receiving = Receiving::new(config, &spool, &events, &clock)?;
        let reporting = Reporting {
            hostname: Arc::clone(&receiving.door().hostname),
            delay_notice_after: config.retry.delay_notice_after,
            expire_after: config.retry.expire_after,
            ids: Arc::clone(&receiving.door().ids),
        };
        let (control, commands) = Control::new();
        let parts = Parts {
            scheduler,
            spool: spool.clone(),
            events: events.clone(),
            shared,
            counters: Arc::clone(&counters),
            signing: signing(config, &clock)?,
            reporting,
            commands,
        };
        tasks.spawn(Dispatcher::run(parts, queued, draining.clone()));
        let mut smtp = Vec::new();
        let mut watching = JoinSet::new();
        watching.spawn(receiving.gate().watch());
        for settings in &config.listener {
            let (listener, bound) = receiving.listen(config, settings)?;
            smtp.push(bound.local_addr()?);
            tasks.spawn(listener.serve(bound, draining.clone()));
        }
        let mut ops = None;
        if let Some(address) = config.ops.listen {
            let watch = Watch { counters: Arc::clone(&counters), spool: spool.clone() };
            let (bound, serve) = ops::bind(address, Arc::new(watch))
                .await
                .with_context(|| format!("cannot listen on {address} for health and metrics"))?;
            watching.spawn(serve);
            ops = Some(bound);
        }
        Ok(Self { smtp, counters, control, spool, events, ops, draining: drain, tasks, watching })
    }

    /// Ends: no new mail, attempts under way may finish within the bound, all is written.
    pub async fn stop(mut self, bound: Duration) -> anyhow::Result<()> {
        self.draining.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(bound, all).await.is_err() {
            tracing::warn!("not all sessions ended in time: their mail is tried again");
        }
        self.tasks.shutdown().await;
        self.watching.shutdown().await;
        self.spool.flush().await.context("the spool could not be written at the end")
    }

    /// Whether a task of the daemon has ended by itself, which none should.
    pub fn is_whole(&mut self) -> bool {
        self.tasks.try_join_next().is_none()
    }
}

/// What the ops listener sees of the daemon.
struct Watch {
    counters: Arc<Counters>,
    spool: Spool,
}

impl Watched for Watch {
    fn alive(&self) -> bool {
        self.counters.turns.load(Ordering::Relaxed) > 0
    }

    fn checks(&self) -> Vec<Check> {
        let failures = self.spool.stats().failures;
        let reason = format!("{failures} writes or syncs have failed");
        vec![Check { name: "spool", ok: failures == 0, reason }]
    }

    fn metrics(&self) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (counters, stats) = (&self.counters, self.spool.stats());
        let numbers = [
            ("maily_recipients_delivered_total", "counter", read(&counters.delivered)),
            ("maily_attempts_deferred_total", "counter", read(&counters.deferred)),
            ("maily_recipients_bounced_total", "counter", read(&counters.bounced)),
            ("maily_recipients_expired_total", "counter", read(&counters.expired)),
            ("maily_attempts_in_doubt_total", "counter", read(&counters.in_doubt)),
            ("maily_reports_total", "counter", read(&counters.reported)),
            ("maily_reports_lost_total", "counter", read(&counters.reports_lost)),
            ("maily_double_bounces_total", "counter", read(&counters.double_bounced)),
            ("maily_waiting_messages", "gauge", stats.waiting),
            ("maily_spool_live_bytes", "gauge", stats.live_octets),
            ("maily_spool_segments", "gauge", stats.segments),
            ("maily_spool_quarantined", "gauge", stats.quarantined),
            ("maily_spool_syncs_total", "counter", stats.syncs),
            ("maily_spool_failures_total", "counter", stats.failures),
        ];
        numbers
            .iter()
            .map(|(name, kind, number)| format!("# TYPE {name} {kind}\n{name} {number}\n"))
            .collect()
    }
}

fn open_spool(
    config: &Config,
    queue: mpsc::Sender<maily_spool::submission::Spooled>,
) -> anyhow::Result<Spool> {
    let journal =
        JournalOptions { segment_octets: config.spool.segment_size, ..JournalOptions::default() };
    let hot_octets_max = usize::try_from(config.spool.hot_size)?;
    let options = SpoolOptions { journal, hot_octets_max };
    Spool::open(&config.spool.folder, &options, queue).map_err(|error| anyhow!(error))
}

fn sending(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<worker::Shared> {
    let egress = &config.egress;
    let everything = config.route.iter().find(|route| route.domain == RouteDomain::Any);
    let fixed =
        everything.map(|route| (route.host.as_str().into(), route.port.unwrap_or(egress.port)));
    let resolver = Resolver::new(&config.dns.servers, config.dns.timeout, egress.port, fixed)
        .map_err(|error| anyhow!("the resolver could not be made: {error}"))?;
    Ok(worker::Shared {
        resolver,
        sources: policy::sources(config),
        settings: Settings {
            allowed: egress.allow_networks.clone(),
            connect_timeout: egress.connect_timeout,
            reply_timeout: egress.reply_timeout,
            tls: match egress.tls {
                EgressTls::Off => TlsPolicy::Off,
                EgressTls::May => TlsPolicy::May,
                EgressTls::Require | EgressTls::Verify => TlsPolicy::Require,
            },
            tls_config: maily_egress::tls::opportunistic()?,
        },
        idle_timeout: egress.idle_timeout,
        clock: Arc::clone(clock),
    })
}

fn signing(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Signing, mpsc::UnboundedReceiver<Signed>)> {
    let keyring = keys::load(config).map_err(|faults| {
        let texts: Vec<_> = faults.into_iter().map(|fault| fault.text).collect();
        anyhow!(texts.join("; "))
    })?;
    let threads = match config.dkim_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    Signing::start(Arc::new(keyring), threads, clock).context("the signers could not be started")
}
