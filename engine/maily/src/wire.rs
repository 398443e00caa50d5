//! Builds the rooms from the configuration and connects them. The only place that knows them all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use maily_config::change;
use maily_config::change::Change;
use maily_config::config::Config;
use maily_config::config::receiving::Listener as Listening;
use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::dkim::keyring::Keyring;
use maily_core::queue::scheduler::Scheduler;
use maily_delivery::asking::Asker;
use maily_delivery::control::Control;
use maily_delivery::counters::Counters;
use maily_delivery::dispatcher::Dispatcher;
use maily_delivery::reports::Reporting;
use maily_delivery::settings::{Parts, Settings as Deciding, Stage};
use maily_delivery::signing::{Signed, Signing, Tools};
use maily_delivery::worker;
use maily_events::feed::Feed;
use maily_events::recorder::Recorder;
use maily_http::mail::Mail;
use maily_http::orders;
use maily_http::orders::Orders;
use maily_http::reading::Reader;
use maily_http::scribe::{Hits, Scribe};
use maily_ingress::listener;
use maily_ingress::listener::Listener;
use maily_journal::journal::Options as JournalOptions;
use maily_live::sessions::Sessions;
use maily_spool::spool::{Options as SpoolOptions, Spool};

use crate::exit::{Exit, Failure};
use crate::fronts::{Fronts, Records};
use crate::health::{Health, Reloads};
use crate::keys;
use crate::late::Late;
use crate::ops;
use crate::policy;
use crate::pulse::Pulse;
use crate::receiving::Receiving;
use crate::scripting;
use crate::sending;
use crate::upkeep;

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
    /// Where it answers HTTP, if it does.
    pub fronts: Fronts,
    /// By what it runs now.
    config: Config,
    clock: Arc<dyn Clock>,
    receiving: Receiving,
    asker: Asker,
    pulse: Arc<Pulse>,
    reloads: Arc<Reloads>,
    settings: watch::Sender<Deciding>,
    retain: watch::Sender<Duration>,
    /// In the order of the configuration.
    listeners: Vec<Live>,
    draining: watch::Sender<bool>,
    stage: watch::Sender<Stage>,
    sessions: JoinSet<()>,
    tasks: JoinSet<()>,
    /// Ended with the daemon, not waited for.
    watching: JoinSet<()>,
}

impl Daemon {
    /// Starts everything.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let (queue, queued) = mpsc::channel(QUEUE_LENGTH);
        let spool = open_spool(config, queue)?;
        let (events, counters) = (open_events(config)?, Arc::new(Counters::default()));
        let (drain, draining) = watch::channel(false);
        let (stage, stages) = watch::channel(Stage::Running);
        let (mut sessions, mut watching) = (JoinSet::new(), JoinSet::new());
        let mut tasks = JoinSet::new();
        let scripts = scripting::open(config, &clock)?;
        let asker = scripts.asker.clone();
        let records = Records::open(config, &clock).await?;
        let receiving = Receiving::new(config, &spool, &events, &clock, &asker.plugins, &records);
        let receiving = receiving.map_err(wrong)?;
        let late = records.late(&clock, &asker.plugins);
        let first = settings(config, &clock, &receiving, &late).map_err(wrong)?;
        let signing = signing(config, first.tools.clone(), &clock)?;
        let scheduler = scheduler(&first, &records, clock.now());
        let (settings, deciding) = watch::channel(first);
        let (control, commands) = Control::new();
        let parts = Parts {
            scheduler,
            spool: spool.clone(),
            events: events.clone(),
            settings: deciding,
            counters: Arc::clone(&counters),
            signing,
            asker: asker.clone(),
            commands,
        };
        tasks.spawn(Dispatcher::run(parts, queued, stages));
        let (smtp, listeners) = receive(config, &receiving, &draining, &mut sessions)?;
        let delivery = Delivery { control: &control, counters: &counters };
        let of = (&events, &clock);
        let (mail, hits) = mail(config, &receiving, delivery, of, &records, &asker, &draining);
        scripts.serve(config, &mail, hits, &clock, &mut watching);
        watching.spawn(records.judge(config, &mail, &clock)?.run());
        carry_out(&records, &control, &clock, &mut watching);
        let mut fronts = Fronts::bind(config, &clock, &records, mail)?;
        fronts.serve(&mut sessions, &mut watching, &draining);
        watching.spawn(receiving.gate().watch());
        let retain = retain(config, &events, &clock, &mut watching);
        let health = Health::new(draining, &counters, &receiving, &spool, &events, &clock);
        let health = health.with_http(&fronts).with_plugins(&asker.plugins);
        watching.spawn(health.waiting().watch(control.clone(), Arc::clone(&clock)));
        let (pulse, reloads) = (Arc::clone(&health.pulse), Arc::clone(&health.reloads));
        let ops = answer(config.ops.listen, health, &mut watching).await?;
        Ok(Self {
            smtp,
            counters,
            control,
            spool,
            events,
            ops,
            fronts,
            config: config.clone(),
            clock,
            receiving,
            asker,
            pulse,
            reloads,
            settings,
            retain,
            listeners,
            draining: drain,
            stage,
            sessions,
            tasks,
            watching,
        })
    }

    /// By what it runs now.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Goes on with another configuration, all of it or, on an error, none. What needs a restart
    /// stays as it was; tells what has changed.
    pub fn reload(&mut self, mut new: Config) -> anyhow::Result<Vec<Change>> {
        let changes = change::changes(&self.config, &new);
        new.keep_open(&self.config);
        let records = self.fronts.renewed(&new)?;
        let receiving = self.receiving.again(&new, &records)?;
        let late = records.late(&self.clock, &self.asker.plugins);
        let scripts = scripting::options(&new)?;
        let poster = scripting::poster(&new, &self.clock)?;
        let settings = settings(&new, &self.clock, &receiving, &late)?;
        let listeners = new.listener.iter().map(|each| receiving.listener(&new, each));
        let listeners = listeners.collect::<anyhow::Result<Vec<_>>>()?;
        let rules = Arc::clone(&records.rules);
        let fronts = self.fronts.prepare(&new, records)?;
        // From here on nothing can fail.
        scripting::reload(&self.asker.plugins, scripts);
        self.asker.ask_by(poster);
        self.fronts.change(fronts);
        self.fronts.read_by(rules);
        self.settings.send_replace(settings);
        self.retain.send_replace(new.events.retention);
        for (live, listener) in self.listeners.iter().zip(listeners) {
            live.send_replace(Arc::new(listener));
        }
        receiving.limit();
        (self.receiving, self.config) = (receiving, new);
        self.reloads.on_taken();
        Ok(changes)
    }

    /// A reload was asked for, and changed nothing.
    pub fn reload_failed(&self, why: &str) {
        self.reloads.on_refused(why);
    }

    /// Whether the delivery loop turns.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// Ends: no new mail, what is under way may finish within the bound, all is written.
    pub async fn stop(self, bound: Duration) -> anyhow::Result<()> {
        self.stop_unless(bound, std::future::pending()).await
    }

    /// The same; what is under way is not waited for any longer when there is a hurry.
    pub async fn stop_unless(
        mut self,
        bound: Duration,
        hurry: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        self.draining.send_replace(true);
        self.stage.send_replace(Stage::Draining);
        let all = async {
            // The queue must be there for messages that are still being sent to us.
            while self.sessions.join_next().await.is_some() {}
            self.stage.send_replace(Stage::Ending);
            while self.tasks.join_next().await.is_some() {}
        };
        tokio::select! {
            () = all => {}
            () = hurry => {}
            () = tokio::time::sleep(bound) => {
                tracing::warn!("not all sessions ended in time: their mail is tried again");
            }
        }
        self.sessions.shutdown().await;
        self.tasks.shutdown().await;
        self.watching.shutdown().await;
        self.spool.flush().await.context("the spool could not be written at the end")?;
        let spool = self.spool.clone();
        let written = tokio::task::spawn_blocking(move || spool.checkpoint()).await?;
        if let Err(error) = written {
            tracing::warn!(%error, "no checkpoint could be written: the next start takes longer");
        }
        Ok(())
    }

    /// Returns when a part of the daemon has ended by itself, which none should.
    pub async fn broken(&mut self) {
        tokio::select! {
            Some(_) = self.tasks.join_next() => {}
            Some(_) = self.sessions.join_next() => {}
            else => std::future::pending::<()>().await,
        }
    }

    /// Whether no part of the daemon has ended by itself.
    pub fn is_whole(&mut self) -> bool {
        self.tasks.try_join_next().is_none() && self.sessions.try_join_next().is_none()
    }
}

/// Changes what a listener does.
type Live = watch::Sender<Arc<Listener>>;
/// What a listener is made of.
type Bound = (Live, watch::Receiver<Arc<Listener>>, TcpListener);

/// Binds all listeners.
fn listen(config: &Config, receiving: &Receiving) -> Result<Vec<Bound>, Failure> {
    let bind = |each: &Listening| {
        let listener = receiving.listener(config, each).map_err(wrong)?;
        let (live, listener) = watch::channel(Arc::new(listener));
        let bound = listener::bind(each.address)
            .map_err(|error| cannot_listen(each.address, "SMTP", error))?;
        Ok((live, listener, bound))
    };
    config.listener.iter().map(bind).collect()
}

/// Answers about health where the configuration says so.
async fn answer(
    address: Option<SocketAddr>,
    health: Health,
    watching: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let (bound, serve) = ops::bind(address, Arc::new(health))
        .await
        .map_err(|error| cannot_listen(address, "health and metrics", error))?;
    watching.spawn(serve);
    Ok(Some(bound))
}

fn wrong(error: anyhow::Error) -> Failure {
    Failure::new(Exit::Config, error)
}

fn cannot_listen(address: SocketAddr, what: &str, error: std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::Unavailable,
    };
    let text = format!("cannot listen on {address} for {what}");
    Failure::new(exit, anyhow::Error::from(error).context(text))
}

/// Starts to take mail; gives where, and how each listener is told what to do.
fn receive(
    config: &Config,
    receiving: &Receiving,
    draining: &watch::Receiver<bool>,
    sessions: &mut JoinSet<()>,
) -> Result<(Vec<SocketAddr>, Vec<Live>), Failure> {
    let (mut smtp, mut listeners) = (Vec::new(), Vec::new());
    for (live, listener, bound) in listen(config, receiving)? {
        smtp.push(bound.local_addr()?);
        listeners.push(live);
        sessions.spawn(Listener::serve(listener, bound, draining.clone()));
    }
    Ok((smtp, listeners))
}

/// Drops events that are too old; gives what says how old that is.
fn retain(
    config: &Config,
    events: &Recorder,
    clock: &Arc<dyn Clock>,
    watching: &mut JoinSet<()>,
) -> watch::Sender<Duration> {
    let (retain, retention) = watch::channel(config.events.retention);
    watching.spawn(upkeep::drop_old_events(events.clone(), Arc::clone(clock), retention));
    retain
}

/// An empty queue, in which all holds that operators said.
fn scheduler(first: &Deciding, records: &Records, now: Timestamp) -> Scheduler {
    let mut scheduler = Scheduler::new(first.policy.clone(), now.as_micros());
    if let Some((registry, _)) = &records.registry {
        orders::restore(registry, &mut scheduler, now);
    }
    scheduler
}

/// Has done at its time what operators said.
fn carry_out(
    records: &Records,
    control: &Control,
    clock: &Arc<dyn Clock>,
    watching: &mut JoinSet<()>,
) {
    if let Some((registry, _)) = &records.registry {
        let (registry, control) = (registry.clone(), control.clone());
        watching.spawn(Orders { registry, control, clock: Arc::clone(clock) }.keep());
    }
}

/// The way out, as others see it.
struct Delivery<'a> {
    control: &'a Control,
    counters: &'a Arc<Counters>,
}

/// The way of mail, as far as HTTP goes along it.
fn mail(
    config: &Config,
    receiving: &Receiving,
    delivery: Delivery<'_>,
    (events, clock): (&Recorder, &Arc<dyn Clock>),
    records: &Records,
    asker: &Asker,
    draining: &watch::Receiver<bool>,
) -> (Mail, Hits) {
    let (scribe, hits) = Scribe::new(events.clone(), Arc::clone(&asker.plugins), Arc::clone(clock));
    let mail = Mail {
        door: receiving.door().clone(),
        gate: receiving.gate(),
        control: delivery.control.clone(),
        reader: Reader::new(
            Feed::new(events),
            receiving.door().spool.clone(),
            Arc::clone(&records.rules),
        ),
        draining: draining.clone(),
        plugins: Arc::clone(&asker.plugins),
        scribe,
        sent: Arc::clone(delivery.counters),
        seats: receiving.seats(),
        folder: config.spool.folder.clone(),
        log: config.events.folder.clone(),
        suppressions: records.suppressions.clone(),
        sessions: receiving.sessions(),
    };
    (mail, hits)
}

fn open_events(config: &Config) -> Result<Recorder, Failure> {
    Recorder::open(&config.events.folder, config.events.segment_size)
        .context("the event log could not be opened")
        .map_err(|error| Failure::new(Exit::Io, error))
}

fn open_spool(
    config: &Config,
    queue: mpsc::Sender<maily_spool::submission::Spooled>,
) -> Result<Spool, Failure> {
    let journal =
        JournalOptions { segment_octets: config.spool.segment_size, ..JournalOptions::default() };
    let hot_octets_max = usize::try_from(config.spool.hot_size)?;
    let options = SpoolOptions { journal, hot_octets_max, ..SpoolOptions::default() };
    Spool::open(&config.spool.folder, &options, queue)
        .map_err(|error| Failure::new(Exit::Io, anyhow!(error)))
}

fn settings(
    config: &Config,
    clock: &Arc<dyn Clock>,
    receiving: &Receiving,
    late: &Late,
) -> anyhow::Result<Deciding> {
    let door = receiving.door();
    let reporting = Reporting {
        hostname: Arc::clone(&door.hostname),
        delay_notice_after: config.retry.delay_notice_after,
        expire_after: config.retry.expire_after,
        ids: Arc::clone(&door.ids),
        rules: Arc::clone(&late.rules),
    };
    let plugins = Arc::clone(&late.plugins);
    let shared = Arc::new(sending(config, clock, late, receiving.sessions())?);
    let tools = Tools { binder: late.binder(door), keyring: keyring(config)?, plugins };
    let policy = policy::policy(config)?;
    Ok(Deciding { policy, shared, tools, reporting })
}

fn sending(
    config: &Config,
    clock: &Arc<dyn Clock>,
    late: &Late,
    sessions: Arc<Sessions>,
) -> anyhow::Result<worker::Shared> {
    Ok(worker::Shared {
        resolver: sending::resolver(config, clock)?,
        sources: policy::sources(config),
        settings: sending::settings(config)?,
        idle_timeout: config.egress.idle_timeout,
        clock: Arc::clone(clock),
        rules: Arc::clone(&late.rules),
        plugins: Arc::clone(&late.plugins),
        sessions,
        retired: AtomicBool::new(false),
    })
}

fn keyring(config: &Config) -> anyhow::Result<Arc<Keyring>> {
    keys::load(config).map(Arc::new).map_err(|faults| {
        let texts: Vec<_> = faults.into_iter().map(|fault| fault.text).collect();
        anyhow!(texts.join("; "))
    })
}

fn signing(
    config: &Config,
    tools: Tools,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Signing, mpsc::UnboundedReceiver<Signed>)> {
    let threads = match config.dkim_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    Signing::start(tools, threads, clock).context("the signers could not be started")
}
