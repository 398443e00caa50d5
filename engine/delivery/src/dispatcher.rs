//! The loop that owns the scheduler: it asks what to do, has it done, and reports what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch;

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
use maily_core::queue::action::DestinationId;
use maily_core::queue::action::NewEntry;
use maily_core::queue::action::SiteId;
use maily_core::queue::action::Ticket;
use maily_core::queue::scheduler::Scheduler;
use maily_egress::resolve::ROUTE_LIFE;
use maily_egress::resolve::Route;
use maily_events::recorder::Recorder;
use maily_spool::error::GetError;
use maily_spool::spool::Spool;
use maily_spool::submission::Spooled;
use maily_spool::submission::Stored;

use crate::attempt;
use crate::attempt::Job;
use crate::settle;
use crate::settle::Settled;
use crate::worker;
use crate::worker::Shared;
use crate::worker::Told;

/// Messages taken from the spool at once.
const BATCH: usize = 256;
/// How long a failed look-up is believed.
const FAILURE_LIFE: Duration = Duration::from_secs(60);

/// What became of recipients, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Next hops took them.
    pub delivered: AtomicU64,
    /// They will be tried again.
    pub deferred: AtomicU64,
    /// They were refused for good.
    pub bounced: AtomicU64,
    /// They were too old to be tried again.
    pub expired: AtomicU64,
    /// The reply to the final dot was lost.
    pub in_doubt: AtomicU64,
    /// Turns of the loop: it moves as long as this does.
    pub turns: AtomicU64,
}

/// Answers to what the dispatcher asked for.
enum Answer {
    Route(DestinationId, Result<Route, Outcome>),
    Loaded(Attempt, Result<Arc<Stored>, GetError>),
    Expired(Ticket, QueueId, Domain, Result<Arc<Stored>, GetError>),
}

/// The loop's state.
pub struct Dispatcher {
    scheduler: Scheduler,
    spool: Spool,
    events: Recorder,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    /// By site: where its mail goes now.
    routes: HashMap<Box<str>, Route>,
    by_domain: HashMap<Domain, Box<str>>,
    free: HashMap<SiteId, Vec<mpsc::Sender<Job>>>,
    answers: mpsc::UnboundedSender<Answer>,
    told: mpsc::UnboundedSender<Told>,
    flying: usize,
}

impl Dispatcher {
    /// Runs until the daemon wants to end and every attempt under way has come back.
    pub async fn run(
        scheduler: Scheduler,
        spool: Spool,
        events: Recorder,
        shared: Arc<Shared>,
        counters: Arc<Counters>,
        mut queue: mpsc::Receiver<Spooled>,
        mut draining: watch::Receiver<bool>,
    ) {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let (told, mut telling) = mpsc::unbounded_channel();
        let mut this = Self {
            scheduler,
            spool,
            events,
            shared,
            counters,
            routes: HashMap::new(),
            by_domain: HashMap::new(),
            free: HashMap::new(),
            answers,
            told,
            flying: 0,
        };
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            this.counters.turns.fetch_add(1, Ordering::Relaxed);
            let ending = *draining.borrow();
            if ending && this.flying == 0 {
                return;
            }
            let wake = if ending { None } else { this.act() };
            let sleep = wake.unwrap_or(Duration::from_secs(1));
            tokio::select! {
                Some(told) = telling.recv() => this.on_told(told),
                Some(answer) = answered.recv() => this.on_answer(answer),
                count = queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    batch.drain(..).for_each(|spooled| this.insert(&spooled));
                }
                () = tokio::time::sleep(sleep) => {}
                Ok(()) = draining.changed(), if !ending => {}
            }
        }
    }

    fn insert(&mut self, spooled: &Spooled) {
        let now = self.shared.clock.now();
        for waiting in &spooled.destinations {
            let new = NewEntry {
                id: spooled.id,
                domain: &waiting.domain,
                stream: &spooled.stream,
                expires_at: spooled.expires_at,
                attempts: waiting.attempts,
                due: waiting.due,
            };
            self.scheduler.insert(now, &new);
        }
    }

    /// Does all that there is to do now; gives how long until there is more.
    fn act(&mut self) -> Option<Duration> {
        let now = self.shared.clock.now();
        while let Some(action) = self.scheduler.poll(now) {
            match action {
                Action::Resolve(id, domain) => self.resolve(id, domain),
                Action::Attempt(attempt) => self.load(attempt),
                Action::Unroutable(attempt, outcome) => self.unroutable(attempt, &outcome),
                Action::Expired(ticket, id, domain) => {
                    self.flying += 1;
                    let (spool, answers) = (self.spool.clone(), self.answers.clone());
                    tokio::task::spawn_blocking(move || {
                        let _gone =
                            answers.send(Answer::Expired(ticket, id, domain, spool.get(id)));
                    });
                }
            }
        }
        self.scheduler.poll_timeout().map(|at| at.since(now))
    }

    fn resolve(&self, id: DestinationId, domain: Domain) {
        let (shared, answers) = (Arc::clone(&self.shared), self.answers.clone());
        tokio::spawn(async move {
            let route = shared.resolver.route(&domain).await;
            let _gone = answers.send(Answer::Route(id, route));
        });
    }

    /// Gets the message: from memory if it has just come, else from disk, beside the loop.
    fn load(&mut self, attempt: Attempt) {
        self.flying += 1;
        if let Some(stored) = self.spool.hot(attempt.id) {
            return self.start(attempt, stored);
        }
        let (spool, answers) = (self.spool.clone(), self.answers.clone());
        tokio::task::spawn_blocking(move || {
            let stored = spool.get(attempt.id);
            let _gone = answers.send(Answer::Loaded(attempt, stored));
        });
    }

    fn start(&mut self, attempt: Attempt, stored: Arc<Stored>) {
        let (ticket, site) = (attempt.ticket, attempt.site);
        let now = self.shared.clock.now();
        let Some(route) = self.route(&attempt.domain) else {
            self.flying -= 1;
            return self.scheduler.give_back(now, ticket);
        };
        let Some(mut job) = attempt::prepare(attempt, stored) else {
            self.flying -= 1;
            return self.scheduler.forget(now, ticket);
        };
        while let Some(free) = self.free.get_mut(&site).and_then(Vec::pop) {
            match free.try_send(job) {
                Ok(()) => return,
                Err(
                    mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back),
                ) => {
                    job = back;
                }
            }
        }
        tokio::spawn(worker::run(Arc::clone(&self.shared), route, job, self.told.clone()));
    }

    fn route(&self, domain: &Domain) -> Option<Route> {
        self.routes.get(self.by_domain.get(domain)?).cloned()
    }

    fn on_answer(&mut self, answer: Answer) {
        let now = self.shared.clock.now();
        match answer {
            Answer::Route(id, Ok(route)) => {
                self.scheduler.on_resolved(now, id, Ok(&route.site), ROUTE_LIFE);
                if let Some(domain) = self.scheduler.domain(id) {
                    self.by_domain.insert(domain.clone(), route.site.clone());
                }
                self.routes.insert(route.site.clone(), route);
            }
            Answer::Route(id, Err(outcome)) => {
                self.scheduler.on_resolved(now, id, Err(outcome), FAILURE_LIFE);
            }
            Answer::Loaded(attempt, Ok(stored)) => self.start(attempt, stored),
            Answer::Loaded(attempt, Err(GetError::Failed(why))) => {
                tracing::error!(id = %attempt.id, why, "a message could not be read: tried later");
                self.flying -= 1;
                let status = EnhancedStatus::new(4, 3, 0);
                let diagnosis = Diagnosis::ours(status, Blame::Us, &why);
                let outcome = Outcome::Deferred { scope: Scope::Message, diagnosis };
                self.scheduler.report(now, attempt.ticket, &[outcome]);
            }
            // Settled in the meantime, or in quarantine.
            Answer::Loaded(attempt, Err(_)) => {
                self.flying -= 1;
                self.scheduler.forget(now, attempt.ticket);
            }
            Answer::Expired(ticket, id, domain, stored) => {
                self.flying -= 1;
                self.scheduler.forget(now, ticket);
                if let Ok(stored) = stored {
                    self.expire(id, domain, &stored);
                }
            }
        }
    }

    fn expire(&self, id: QueueId, domain: Domain, stored: &Stored) {
        let status = EnhancedStatus::new(4, 4, 7);
        let diagnosis = Diagnosis::ours(status, Blame::Network, "too old to be tried again");
        let outcome = Outcome::Deferred { scope: Scope::Message, diagnosis };
        let recipients = attempt::recipients_at(stored, &domain);
        let number = 0;
        let attempt = Attempt { ticket: Ticket::NONE, id, domain, site: SiteId::NONE, number };
        let each = |index: RecipientIndex| (index, outcome.clone(), Settlement::Expire);
        self.write_down(&attempt, None, 0, recipients.into_iter().map(each).collect());
    }

    fn unroutable(&mut self, attempt: Attempt, outcome: &Outcome) {
        let stored = self.spool.hot(attempt.id).map_or_else(|| self.spool.get(attempt.id), Ok);
        let now = self.shared.clock.now();
        let Ok(stored) = stored else { return self.scheduler.forget(now, attempt.ticket) };
        let recipients = attempt::recipients_at(&stored, &attempt.domain);
        let outcomes = recipients.into_iter().map(|index| (index, outcome.clone())).collect();
        self.report(&attempt, outcomes, None, 0);
    }

    fn on_told(&mut self, told: Told) {
        self.flying -= 1;
        match told {
            Told::Finished { job, outcomes, peer, micros, free } => {
                if let Some(free) = free {
                    self.free.entry(job.attempt.site).or_default().push(free);
                }
                self.report(&job.attempt, outcomes, peer, micros);
            }
            Told::NotTried(job) => {
                self.scheduler.give_back(self.shared.clock.now(), job.attempt.ticket);
            }
        }
    }

    fn report(
        &mut self,
        attempt: &Attempt,
        outcomes: Vec<(RecipientIndex, Outcome)>,
        peer: Option<maily_core::event::Peer>,
        micros: u64,
    ) {
        let now = self.shared.clock.now();
        let bare: Vec<_> = outcomes.iter().map(|(_, outcome)| outcome.clone()).collect();
        let settlements = self.scheduler.report(now, attempt.ticket, &bare);
        let recipients = outcomes
            .into_iter()
            .zip(settlements)
            .map(|((index, outcome), settlement)| (index, outcome, settlement))
            .collect();
        self.write_down(attempt, peer, micros, recipients);
    }

    fn write_down(
        &self,
        attempt: &Attempt,
        peer: Option<maily_core::event::Peer>,
        micros: u64,
        recipients: Vec<(RecipientIndex, Outcome, Settlement)>,
    ) {
        for (_, outcome, settlement) in &recipients {
            let counter = match settlement {
                Settlement::Done => &self.counters.delivered,
                Settlement::Retry(_) => &self.counters.deferred,
                Settlement::Bounce => &self.counters.bounced,
                Settlement::Expire => &self.counters.expired,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            if matches!(outcome, Outcome::InDoubt(_)) {
                self.counters.in_doubt.fetch_add(1, Ordering::Relaxed);
            }
        }
        let site = self.by_domain.get(&attempt.domain).cloned().unwrap_or_default();
        let settled = Settled { attempt, site, peer, micros, recipients };
        settle::settle(&self.spool, &self.events, self.shared.clock.now(), settled);
    }
}
