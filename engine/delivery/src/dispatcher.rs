//! The loop that owns the scheduler: it asks what to do, has it done, and reports what came of it.
//!
//! ```text
//! poll -> Resolve  -> routes   -> on_resolved
//!      -> Attempt  -> loader   -> signing -> connections -> worker -> report -> reporter
//!      -> Expired, Unroutable  -> loader      ---------- > report -> reporter
//! ```
//!
//! It waits for channels and time only, never for a disk or a peer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::watch;

use maily_core::clock::Clock;
use maily_core::event::Peer;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Action;
use maily_core::queue::action::Attempt;
use maily_core::queue::action::Connection;
use maily_core::queue::action::NewEntry;
use maily_core::queue::scheduler::Hints;
use maily_core::queue::scheduler::Scheduler;
use maily_egress::resolve::ROUTE_LIFE;
use maily_spool::error::GetError;
use maily_spool::submission::Spooled;
use maily_spool::submission::Stored;

use crate::attempt;
use crate::attempt::Job;
use crate::cancel::Canceller;
use crate::connections::Connections;
use crate::counters::Counters;
use crate::loader::Loaded;
use crate::loader::Loader;
use crate::loader::Purpose;
use crate::placing::Placed;
use crate::placing::Placing;
use crate::reporter::Held;
use crate::reporter::Report;
use crate::reporter::Reporter;
use crate::routes::Found;
use crate::routes::Routes;
use crate::settings::Parts;
use crate::settings::Settings;
use crate::settings::Stage;
use crate::signing::Signed;
use crate::signing::Signing;
use crate::signing::Unmade;
use crate::worker::Told;

/// What is taken out of a channel at once.
const BATCH: usize = 256;
/// How long a failed look-up is believed.
const FAILURE_LIFE: Duration = Duration::from_secs(60);

/// The loop turns at least this often, so that who watches it sees that it lives.
const TURN_MAX: Duration = Duration::from_secs(1);
/// How long an attempt is put off when too many reports are owed already.
const HELD_FOR: Duration = Duration::from_secs(60);

/// How a try went, beside its outcomes.
#[derive(Debug, Default)]
struct Tried {
    peer: Option<Peer>,
    dsn: bool,
    micros: u64,
    /// What more is known.
    hints: Hints,
}

/// The loop's state.
pub struct Dispatcher {
    scheduler: Scheduler,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    loader: Loader,
    routes: Routes,
    signing: Signing,
    connections: Connections,
    reporter: Reporter,
    canceller: Canceller,
    placing: Placing,
    /// Entries that the scheduler has handed out.
    flying: usize,
}

impl Dispatcher {
    /// Runs until the daemon ends and every attempt under way has come back.
    pub async fn run(
        parts: Parts,
        mut queue: mpsc::Receiver<Spooled>,
        mut stages: watch::Receiver<Stage>,
    ) {
        let (found, mut finding) = mpsc::unbounded_channel();
        let (loaded, mut loading) = mpsc::unbounded_channel();
        let (told, mut telling) = mpsc::unbounded_channel();
        let (placed, mut placing) = mpsc::unbounded_channel();
        let Parts { scheduler, spool, events, mut settings, counters, .. } = parts;
        let Settings { shared, reporting, .. } = settings.borrow_and_update().clone();
        let (signing, mut signed_jobs) = parts.signing;
        let mut commands = parts.commands;
        let clock = Arc::clone(&shared.clock);
        let (timer, counting) = (Arc::clone(&clock), Arc::clone(&counters));
        let mut this = Self {
            scheduler,
            placing: Placing::new(Arc::clone(&parts.asker.plugins), spool.clone(), placed),
            loader: Loader::new(spool.clone(), parts.asker, loaded),
            routes: Routes::new(Arc::clone(&shared), found),
            signing,
            connections: Connections::new(shared, told),
            canceller: Canceller { spool: spool.clone(), events: events.clone() },
            reporter: Reporter::new(spool, events, timer, counting, reporting),
            clock,
            counters,
            flying: 0,
        };
        let (mut told, mut queued) = (Vec::new(), Vec::new());
        let (mut found, mut loaded, mut signed) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            this.counters.turns.fetch_add(1, Ordering::Relaxed);
            this.counters.show(this.scheduler.counts());
            let stage = *stages.borrow();
            if stage == Stage::Ending && this.flying == 0 {
                return this.finish(queue).await;
            }
            let wake = if stage == Stage::Running { this.act() } else { None };
            let sleep = wake.map_or(TURN_MAX, |wake| wake.min(TURN_MAX));
            tokio::select! {
                _ = telling.recv_many(&mut told, BATCH) => {
                    told.drain(..).for_each(|told| this.on_told(told));
                }
                _ = finding.recv_many(&mut found, BATCH) => {
                    found.drain(..).for_each(|found| this.on_found(found));
                }
                _ = loading.recv_many(&mut loaded, BATCH) => {
                    loaded.drain(..).for_each(|loaded| this.on_loaded(loaded));
                }
                _ = signed_jobs.recv_many(&mut signed, BATCH) => {
                    signed.drain(..).for_each(|signed| this.on_signed(signed));
                }
                count = queue.recv_many(&mut queued, BATCH), if this.placing.has_room() => {
                    if count == 0 {
                        return;
                    }
                    this.on_queued(queued.drain(..));
                }
                Some(batch) = placing.recv() => this.on_placed(&batch),
                Some(command) = commands.recv() => {
                    let now = this.clock.now();
                    let gone = command.carry_out(&mut this.scheduler, &this.canceller, now);
                    gone.into_iter().for_each(|id| this.signing.forget(id));
                }
                () = tokio::time::sleep(sleep) => {}
                Ok(()) = settings.changed() => {
                    let settings = settings.borrow_and_update().clone();
                    this.on_settings(settings);
                }
                Ok(()) = stages.changed() => {}
            }
        }
    }

    /// Waits until what senders are owed is written. Each report needs a place in the queue, so
    /// that is emptied meanwhile: all that comes out of it is on disk.
    async fn finish(self, mut queue: mpsc::Receiver<Spooled>) {
        let mut writing = self.reporter.finish();
        let mut queued = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                ended = &mut writing => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the task that writes reports has ended");
                    }
                    return;
                }
                _ = queue.recv_many(&mut queued, BATCH), if !queue.is_closed() => queued.clear(),
            }
        }
    }

    /// New mail goes by the new settings at once, attempts under way by those they began with.
    fn on_settings(&mut self, settings: Settings) {
        self.scheduler.set_policy(settings.policy);
        self.scheduler.forget_routes();
        self.signing.retool(settings.tools);
        self.reporter.reload(settings.reporting);
        self.routes.reload(Arc::clone(&settings.shared));
        self.connections.reload(settings.shared);
    }

    fn on_queued(&mut self, batch: impl Iterator<Item = Spooled>) {
        let pool = |tenant: &str| self.scheduler.pool_for(tenant);
        for placed in self.placing.place(batch, pool) {
            self.insert(&placed);
        }
    }

    fn on_placed(&mut self, batch: &[Placed]) {
        self.placing.on_placed();
        batch.iter().for_each(|placed| self.insert(placed));
    }

    fn insert(&mut self, placed: &Placed) {
        let (now, spooled) = (self.clock.now(), &placed.spooled);
        for (waiting, routed) in spooled.destinations.iter().zip(&placed.routed) {
            let first = waiting.attempts == 0;
            let later = routed.as_ref().and_then(|routed| routed.not_before).filter(|_| first);
            let new = NewEntry {
                id: spooled.id,
                domain: &waiting.domain,
                stream: routed.as_ref().map_or(&spooled.stream, |routed| &routed.stream),
                expires_at: spooled.expires_at,
                attempts: waiting.attempts,
                due: later.map_or(waiting.due, |later| later.max(waiting.due)),
                recipients: waiting.recipients,
            };
            let pool = routed.as_ref().and_then(|routed| routed.pool.as_deref());
            self.scheduler.insert_by(now, &new, pool);
        }
    }

    /// Does all that there is to do now; gives how long until there is more.
    fn act(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        while let Some(action) = self.scheduler.poll(now) {
            let purpose = match action {
                Action::Resolve(id, domain) => {
                    self.routes.look_up(id, domain);
                    continue;
                }
                Action::Close(lane) => {
                    self.connections.close(lane);
                    continue;
                }
                Action::Forgotten(domain) => {
                    self.routes.forget(&domain);
                    continue;
                }
                Action::Attempt(attempt) => Purpose::Attempt(attempt),
                Action::Unroutable(attempt, outcome) => Purpose::Unroutable(attempt, outcome),
                Action::Expired(ticket, id, domain) => Purpose::Expired(ticket, id, domain),
            };
            self.flying += 1;
            if let Some(loaded) = self.loader.load(purpose) {
                self.on_loaded(loaded);
            }
        }
        self.scheduler.poll_timeout().map(|at| at.since(now))
    }

    fn on_found(&mut self, found: Found) {
        let now = self.clock.now();
        if !self.routes.is_current(&found) {
            return self.routes.look_up(found.id, found.domain);
        }
        match found.route {
            Ok(route) => {
                self.scheduler.on_resolved(now, found.id, Ok(&route.site), ROUTE_LIFE);
                self.routes.learn(found.domain, route);
            }
            Err(outcome) => {
                self.scheduler.on_resolved(now, found.id, Err(outcome), FAILURE_LIFE);
            }
        }
    }

    fn on_loaded(&mut self, loaded: Loaded) {
        let stored = match loaded.stored {
            Ok(stored) => stored,
            Err(error) => {
                self.flying -= 1;
                return self.on_unreadable(&loaded.purpose, &error);
            }
        };
        match loaded.purpose {
            Purpose::Attempt(attempt) => self.start(attempt, stored, loaded.found),
            Purpose::Unroutable(attempt, outcome) => {
                self.flying -= 1;
                let recipients = attempt::recipients_at(&stored, &attempt.domain);
                let outcomes =
                    recipients.into_iter().map(|index| (index, outcome.clone())).collect();
                self.report(&attempt, &stored, outcomes, Tried::default());
            }
            Purpose::Expired(ticket, id, domain) => {
                self.flying -= 1;
                self.scheduler.forget(self.clock.now(), ticket);
                self.signing.forget(id);
                self.expire(id, domain, &stored);
            }
        }
    }

    fn on_unreadable(&mut self, purpose: &Purpose, error: &GetError) {
        let now = self.clock.now();
        if let Purpose::Attempt(attempt) = purpose {
            self.release(attempt);
        }
        match (purpose, error) {
            (
                Purpose::Attempt(attempt) | Purpose::Unroutable(attempt, _),
                GetError::Failed(why),
            ) => {
                tracing::error!(id = %attempt.id, why, "a message could not be read: tried later");
                let status = EnhancedStatus::new(4, 3, 0);
                let diagnosis = Diagnosis::ours(status, Blame::Us, why);
                let outcome = Outcome::Deferred { scope: Scope::Message, diagnosis };
                self.scheduler.report(now, attempt.ticket, [&outcome]);
            }
            // Settled in the meantime, or in quarantine.
            (Purpose::Attempt(attempt) | Purpose::Unroutable(attempt, _), _) => {
                self.scheduler.forget(now, attempt.ticket);
            }
            (Purpose::Expired(ticket, ..), _) => self.scheduler.forget(now, *ticket),
        }
    }

    fn start(&mut self, attempt: Attempt, stored: Arc<Stored>, found: Map<String, Value>) {
        let (ticket, released) = (attempt.ticket, attempt.clone());
        let Some(mut job) = attempt::prepare(attempt, stored) else {
            self.flying -= 1;
            self.release(&released);
            return self.scheduler.forget(self.clock.now(), ticket);
        };
        job.found = found;
        job.refuse(self.signing.veto());
        if job.delivery.recipients.is_empty() {
            self.flying -= 1;
            self.release(&released);
            return self.report(&released, &job.stored, job.refused, Tried::default());
        }
        if let Some(job) = self.signing.sign(job) {
            self.send(job);
        }
    }

    fn send(&mut self, job: Job) {
        let (ticket, now) = (job.attempt.ticket, self.clock.now());
        let Some(route) = self.routes.of(&job.attempt.domain) else {
            self.flying -= 1;
            self.release(&job.attempt);
            return self.scheduler.give_back(now, ticket);
        };
        // If the connection that was free has just ended, its worker says so by itself.
        if self.connections.give(route, job).is_some() {
            self.flying -= 1;
            self.scheduler.give_back(now, ticket);
        }
    }

    /// An attempt does not need the connection that it was given.
    fn release(&mut self, attempt: &Attempt) {
        match attempt.connection {
            Connection::Free => self.scheduler.on_free(attempt.lane),
            Connection::New => self.scheduler.on_closed(attempt.lane),
        }
    }

    fn on_signed(&mut self, signed: Signed) {
        for (job, result) in self.signing.on_signed(signed) {
            match result {
                Ok(()) => self.send(job),
                Err(unmade) => self.on_unmade(&job, unmade),
            }
        }
    }

    /// There is nothing to send: no message could be written, it was not signed (never sent
    /// without: receivers would take it for forged), or nobody wants it any more.
    fn on_unmade(&mut self, job: &Job, unmade: Unmade) {
        self.flying -= 1;
        self.release(&job.attempt);
        let all = job.delivery.recipients.iter();
        let hints = Hints { hold: matches!(unmade, Unmade::Held(_)), ..Hints::default() };
        match unmade {
            Unmade::Failed(outcome) | Unmade::Held(outcome) => {
                tracing::warn!(id = %job.attempt.id, why = outcome.diagnosis().text(), "not sent");
                let outcomes = all.map(|(index, _)| (*index, outcome.clone()));
                let outcomes = outcomes.chain(job.refused.iter().cloned()).collect();
                let tried = Tried { hints, ..Tried::default() };
                self.report(&job.attempt, &job.stored, outcomes, tried);
            }
            Unmade::Dropped(dropped) => {
                if job.refused.is_empty() {
                    self.scheduler.forget(self.clock.now(), job.attempt.ticket);
                } else {
                    let refused = job.refused.clone();
                    self.report(&job.attempt, &job.stored, refused, Tried::default());
                }
                let recipients: Vec<_> = all.map(|(index, _)| *index).collect();
                self.reporter.drop(job.attempt.id, &recipients, &dropped);
            }
        }
    }

    fn expire(&mut self, id: QueueId, domain: Domain, stored: &Arc<Stored>) {
        let status = EnhancedStatus::new(4, 4, 7);
        let diagnosis = Diagnosis::ours(status, Blame::Network, "too old to be tried again");
        let outcome = Outcome::Deferred { scope: Scope::Message, diagnosis };
        let recipients = attempt::recipients_at(stored, &domain);
        let attempt = &Attempt::none_of(id, domain);
        let each = |index: RecipientIndex| (index, outcome.clone(), Settlement::Expire);
        let recipients = recipients.into_iter().map(each).collect();
        let site = self.routes.site(&attempt.domain);
        let (peer, dsn, micros) = (None, false, 0);
        self.settle(Report { attempt, stored, site, peer, dsn, micros, recipients });
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Finished { job, outcomes, peer, dsn, micros, free, hints } => {
                self.flying -= 1;
                let tried = Tried { peer, dsn, micros, hints };
                let outcomes = [outcomes, job.refused].concat();
                self.report(&job.attempt, &job.stored, outcomes, tried);
                if let Some(free) = free {
                    self.connections.offer(job.attempt.lane, free);
                    self.scheduler.on_free(job.attempt.lane);
                }
            }
            Told::NotTried(job) => {
                self.flying -= 1;
                self.scheduler.give_back(self.clock.now(), job.attempt.ticket);
            }
            Told::Closed { lane, worker } => {
                if self.connections.on_closed(lane, worker) {
                    self.scheduler.on_lost(lane);
                }
                self.scheduler.on_closed(lane);
            }
        }
    }

    fn report(
        &mut self,
        attempt: &Attempt,
        stored: &Arc<Stored>,
        outcomes: Vec<(RecipientIndex, Outcome)>,
        tried: Tried,
    ) {
        let now = self.clock.now();
        let bare = outcomes.iter().map(|(_, outcome)| outcome);
        let verdict = self.scheduler.report_with(now, attempt.ticket, bare, tried.hints);
        let Some(verdict) = verdict else { return };
        let settled = |(index, outcome): (RecipientIndex, Outcome)| {
            let settlement = verdict.of(&outcome);
            (index, outcome, settlement)
        };
        let recipients: Vec<_> = outcomes.into_iter().map(settled).collect();
        let again = recipients.iter().any(|(_, _, what)| matches!(what, Settlement::Retry(_)));
        if !again && stored.unsettled.len() == recipients.len() {
            self.signing.forget(attempt.id);
        }
        let site = self.routes.site(&attempt.domain);
        let Tried { peer, dsn, micros, .. } = tried;
        self.settle(Report { attempt, stored, site, peer, dsn, micros, recipients });
    }

    fn settle(&mut self, report: Report<'_>) {
        let (domain, submission) = (report.attempt.domain.clone(), &report.stored.submission);
        let attempts = report.attempt.number;
        let mut recipients = report.recipients.iter();
        let stays = recipients.any(|(_, _, what)| matches!(what, Settlement::Retry(_)));
        // An entry that stays takes those along that are held: there must not be two.
        if self.reporter.report(report) == Held::TryAgain && !stays {
            let now = self.clock.now();
            let new = NewEntry {
                id: submission.id,
                domain: &domain,
                stream: &submission.stream,
                expires_at: submission.expires_at,
                attempts,
                due: now + HELD_FOR,
                recipients: 1,
            };
            self.scheduler.insert(now, &new);
        }
    }
}
