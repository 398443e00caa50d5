//! What the ops listener sees of the daemon: whether it lives, whether it can take mail, and its
//! numbers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_delivery::counters::Counters;
use maily_events::recorder::Recorder;
use maily_http::hit_counters::HitCounters;
use maily_http::hook_meters::HookMeters;
use maily_http::meters::Meters;
use maily_ingress::counters::Counters as Received;
use maily_ingress::gate::Gate;
use maily_ingress::seats::Seats;
use maily_plugins::set::Plugins;
use maily_spool::spool::Spool;

use crate::fronts::Fronts;
use crate::metrics::Exposition;
use crate::ops::{Check, Watched};
use crate::pulse::Pulse;
use crate::receiving::Receiving;
use crate::script_meters;
use crate::waiting::Waiting;

/// So long after its last failure the spool counts as sound again: the journal has gone on in
/// another segment.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// What became of asking for another configuration.
#[derive(Debug, Default)]
pub struct Reloads {
    /// How often it was taken.
    pub taken: AtomicU64,
    /// How often it was refused.
    pub refused: AtomicU64,
    /// Why, the last time, unless one was taken since.
    pub why: Mutex<Option<String>>,
}

impl Reloads {
    /// Another configuration holds.
    pub fn on_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        *self.why.lock() = None;
    }

    /// It was wrong.
    pub fn on_refused(&self, why: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        *self.why.lock() = Some(why.to_owned());
    }
}

/// What is watched.
pub struct Health {
    /// The delivery loop.
    pub pulse: Arc<Pulse>,
    /// Whether the daemon ends.
    draining: watch::Receiver<bool>,
    /// The configuration.
    pub reloads: Arc<Reloads>,
    /// What goes out.
    counters: Arc<Counters>,
    /// What comes in.
    received: Arc<Received>,
    /// Whether there is room.
    gate: Arc<Gate>,
    /// Accepted mail.
    spool: Spool,
    /// What happened.
    events: Recorder,
    /// How often each route of the API was asked, if there is one.
    meters: Option<Arc<Meters>>,
    /// What recipients did.
    hits: Option<Arc<HitCounters>>,
    /// What is counted of webhooks.
    hooks: Option<Arc<HookMeters>>,
    /// HTTP connections.
    seats: Option<Seats>,
    /// Plugins, if there may be any.
    plugins: Option<Arc<Plugins>>,
    /// Why mail waits.
    waiting: Arc<Waiting>,
    /// What the time is.
    clock: Arc<dyn Clock>,
    /// Failures of the spool when they were last seen to grow, and when that was.
    failed: Mutex<(u64, Option<Timestamp>)>,
}

impl Health {
    /// Why mail waits: somebody must look.
    pub fn waiting(&self) -> Arc<Waiting> {
        Arc::clone(&self.waiting)
    }

    /// Watches these.
    pub fn new(
        draining: watch::Receiver<bool>,
        counters: &Arc<Counters>,
        receiving: &Receiving,
        spool: &Spool,
        events: &Recorder,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            pulse: Arc::new(Pulse::new(Arc::clone(counters), Arc::clone(clock))),
            draining,
            reloads: Arc::default(),
            counters: Arc::clone(counters),
            received: Arc::clone(&receiving.door().counters),
            gate: receiving.gate(),
            spool: spool.clone(),
            events: events.clone(),
            meters: None,
            hits: None,
            hooks: None,
            seats: None,
            plugins: None,
            waiting: Arc::default(),
            clock: Arc::clone(clock),
            failed: Mutex::default(),
        }
    }

    /// Whether the spool has failed lately.
    fn spool(&self) -> Check {
        let (failures, now) = (self.spool.stats().failures, self.clock.now());
        let mut seen = self.failed.lock();
        if seen.0 != failures {
            *seen = (failures, Some(now));
        }
        let ok = seen.1.is_none_or(|at| now.since(at) >= SOUND_AFTER);
        Check { name: "spool", ok, reason: format!("{failures} writes or syncs have failed") }
    }

    fn incoming(&self, text: &mut Exposition) {
        let (received, read) = (&self.received, read);
        let sessions = read(&received.sessions);
        text.counter("maily_sessions_total", "SMTP sessions begun.", sessions);
        let tls = read(&received.sessions_tls);
        text.counter("maily_sessions_tls_total", "SMTP sessions under TLS.", tls);
        let messages = read(&received.messages);
        text.counter("maily_messages_accepted_total", "Messages answered with 250.", messages);
        let recipients = read(&received.recipients);
        let help = "Recipients of messages answered with 250.";
        text.counter("maily_recipients_accepted_total", help, recipients);
        let help = "Octets of messages answered with 250.";
        text.counter("maily_accepted_bytes_total", help, read(&received.octets));
        let help = "Sessions, logins and messages that were not let in.";
        text.counters("maily_refused_total", help, "reason", &received.refused());
        let help = "What hosts reported later, and complaints, that came by mail.";
        text.counters("maily_feedback_total", help, "kind", &received.feedback());
        let help = "Octets of messages that are being received.";
        text.gauge("maily_receiving_bytes", help, self.gate.receiving());
    }

    fn outgoing(&self, text: &mut Exposition) {
        let counters = &self.counters;
        let outcomes = [
            ("delivered", read(&counters.delivered)),
            ("deferred", read(&counters.deferred)),
            ("bounced", read(&counters.bounced)),
            ("expired", read(&counters.expired)),
            ("dropped", read(&counters.dropped)),
        ];
        let help = "What attempts came to, for each recipient.";
        text.counters("maily_recipients_total", help, "outcome", &outcomes);
        let help = "Attempts that failed, for each recipient, by what was said.";
        text.counters("maily_failures_total", help, "reason", &counters.failures.read());
        let help = "Recipients whose last reply was lost.";
        text.counter("maily_recipients_in_doubt_total", help, read(&counters.in_doubt));
        let attempts = read(&counters.attempts);
        text.counter("maily_attempts_total", "Attempts that reached a host.", attempts);
        let tls = read(&counters.attempts_tls);
        text.counter("maily_attempts_tls_total", "Attempts under TLS.", tls);
        let latency = &counters.latency;
        let help = "From our 250 to theirs, for each recipient.";
        let (buckets, above, sum) = (latency.buckets(), latency.above(), latency.seconds());
        text.histogram("maily_delivery_seconds", help, &buckets, above, sum);
        let reports = read(&counters.reported);
        text.counter("maily_reports_total", "Reports written to senders.", reports);
        let help = "Reports of a success that could not be stored.";
        text.counter("maily_reports_lost_total", help, read(&counters.reports_lost));
        let help = "Given up with nobody to tell.";
        text.counter("maily_double_bounces_total", help, read(&counters.double_bounced));
    }

    /// Watches the listeners for HTTP, too.
    #[must_use]
    pub fn with_http(self, fronts: &Fronts) -> Self {
        let meters = fronts.shared.as_ref().map(|shared| Arc::clone(&shared.meters));
        let hits = Some(Arc::clone(&fronts.hits));
        let hooks = fronts.shared.as_ref().map(|shared| Arc::clone(&shared.hooks));
        Self { meters, hits, hooks, seats: Some(fronts.seats.clone()), ..self }
    }

    /// Watches plugins, too.
    #[must_use]
    pub fn with_plugins(self, plugins: &Arc<Plugins>) -> Self {
        Self { plugins: Some(Arc::clone(plugins)), ..self }
    }

    fn http(&self, text: &mut Exposition) {
        if let Some(seats) = &self.seats {
            let help = "HTTP connections.";
            text.gauge("maily_http_connections", help, seats.taken());
        }
        if let Some(hits) = &self.hits {
            let help = "Pixels fetched, by who did it, probably.";
            text.counters("maily_opens_total", help, "verdict", &hits.opens.read());
            let help = "Links followed, by who did it, probably.";
            text.counters("maily_clicks_total", help, "verdict", &hits.clicks.read());
            let help = "Recipients who want no more of something.";
            text.counter("maily_unsubscribed_total", help, read(&hits.unsubscribed));
            let help = "Requests with a token that is none of ours.";
            text.counter("maily_unknown_links_total", help, read(&hits.unknown_links));
            let help = "Opens and clicks that plugins left out.";
            text.counter("maily_hits_discarded_total", help, read(&hits.discarded));
            let help = "Opens and clicks that were kept without the plugins that take them.";
            text.counter("maily_hits_unseen_total", help, read(&hits.unseen));
        }
        let Some(meters) = &self.meters else { return };
        let readings = meters.read();
        let (name, help) = ("maily_http_requests_total", "Requests by route and status.");
        text.family(name, "counter", help);
        for reading in &readings {
            for (class, count) in &reading.classes {
                let labels = [("route", reading.route.as_str()), ("status", class)];
                text.labelled(name, &labels, count);
            }
        }
        let (name, help) = ("maily_http_request_seconds", "How long an answer took, by route.");
        text.family(name, "histogram", help);
        for reading in &readings {
            let label = ("route", reading.route.as_str());
            let (buckets, above, sum) = (&reading.buckets, reading.above, reading.seconds);
            text.labelled_histogram(name, label, buckets, above, sum);
        }
    }

    fn hooks(&self, text: &mut Exposition) {
        let Some(hooks) = &self.hooks else { return };
        let posts = [("taken", read(&hooks.taken)), ("failed", read(&hooks.failed))];
        text.counters("maily_webhook_posts_total", "Events sent to webhooks.", "result", &posts);
        let help = "Events that a webhook did not take in all their time.";
        text.counter("maily_webhook_dead_letters_total", help, read(&hooks.aside));
        let lag = hooks.lag(self.clock.now());
        let lag: Vec<_> = lag.iter().map(|(id, seconds)| (id.as_str(), *seconds)).collect();
        let help = "How old the next event of a webhook is that has one.";
        text.gauges("maily_webhook_lag_seconds", help, "webhook", &lag);
    }

    fn queue(&self, text: &mut Exposition) {
        let queue = &self.counters.queue;
        let (all, flying, deferred) =
            (read(&queue.entries), read(&queue.in_flight), read(&queue.deferred));
        let states = [
            ("ready", all.saturating_sub(flying).saturating_sub(deferred)),
            ("in_flight", flying),
            ("deferred", deferred),
        ];
        let help = "Entries of the queue: a message for one domain each.";
        text.gauges("maily_queue_entries", help, "state", &states);
        self.waiting.write(text, self.clock.now());
        let help = "Domains that the queue knows.";
        text.gauge("maily_queue_destinations", help, read(&queue.destinations));
        text.gauge("maily_queue_sites", "Sites that the queue knows.", read(&queue.sites));
        text.gauge("maily_connections", "Outgoing connections.", read(&queue.connections));
        let help = "Turns of the delivery loop.";
        text.counter("maily_loop_turns_total", help, read(&self.counters.turns));
    }

    fn storage(&self, text: &mut Exposition) {
        let stats = self.spool.stats();
        let help = "Messages with a recipient that is not settled.";
        text.gauge("maily_spool_messages", help, stats.waiting);
        text.gauge("maily_spool_live_bytes", "Octets of their records.", stats.live_octets);
        text.gauge("maily_spool_segments", "Segments of the spool on disk.", stats.segments);
        text.gauge("maily_spool_quarantined", "Damaged pieces set aside.", stats.quarantined);
        text.counter("maily_spool_appends_total", "Records written.", stats.appends);
        text.counter("maily_spool_syncs_total", "Syncs of the spool.", stats.syncs);
        let help = "Writes and syncs of the spool that failed.";
        text.counter("maily_spool_failures_total", help, stats.failures);
        if let Ok(free) = self.spool.free_octets() {
            text.gauge("maily_spool_free_bytes", "Free disk where the spool is.", free);
        }
        let help = "Events that could not be written.";
        text.counter("maily_events_failures_total", help, self.events.failures());
        let reloads =
            [("taken", read(&self.reloads.taken)), ("refused", read(&self.reloads.refused))];
        let help = "Configurations read again.";
        text.counters("maily_reloads_total", help, "result", &reloads);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Watched for Health {
    fn alive(&self) -> bool {
        self.pulse.is_alive()
    }

    fn checks(&self) -> Vec<Check> {
        let low = self.gate.disk_is_low();
        let disk = if low { "less is free than spool.disk_reserve" } else { "there is room" };
        let draining = *self.draining.borrow();
        let ending = if draining { "the daemon ends" } else { "it goes on" };
        let alive = self.pulse.is_alive();
        let turns = if alive { "it turns" } else { "it stands still" };
        let why = self.reloads.why.lock().clone();
        vec![
            self.spool(),
            Check { name: "disk", ok: !low, reason: disk.to_owned() },
            Check { name: "delivery", ok: alive, reason: turns.to_owned() },
            Check { name: "draining", ok: !draining, reason: ending.to_owned() },
            // If the new one was wrong the old one still holds, so mail is taken all the same.
            Check {
                name: "configuration",
                ok: true,
                reason: why.map_or_else(|| "it holds".to_owned(), |why| format!("refused: {why}")),
            },
        ]
    }

    fn metrics(&self) -> String {
        let mut text = Exposition::default();
        self.incoming(&mut text);
        self.outgoing(&mut text);
        self.queue(&mut text);
        self.storage(&mut text);
        self.http(&mut text);
        self.hooks(&mut text);
        if let Some(plugins) = &self.plugins {
            script_meters::write(plugins, &mut text);
        }
        text.into_text()
    }
}
