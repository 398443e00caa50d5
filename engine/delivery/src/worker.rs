//! One connection's task: opens it, sends what it is given, ends when it has idled long enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use maily_core::clock::Clock;
use maily_core::event::Peer;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_egress::connection;
use maily_egress::connection::Connection;
use maily_egress::connection::Settings;
use maily_egress::connection::Source;
use maily_egress::resolve::Resolver;
use maily_egress::resolve::Route;

use crate::attempt::Job;

/// What a worker tells the dispatcher.
#[derive(Debug)]
pub enum Told {
    /// A try is over.
    Finished {
        /// The try.
        job: Box<Job>,
        /// What became of each recipient.
        outcomes: Vec<(RecipientIndex, Outcome)>,
        /// With whom it spoke.
        peer: Option<Peer>,
        /// Whether the next hop offered DSN: else nobody further on reports for us (RFC 3461 5.2).
        dsn: bool,
        /// From getting the job to its end.
        micros: u64,
        /// Where the worker takes the next job, if it can.
        free: Option<mpsc::Sender<Job>>,
    },
    /// The worker had ended before it got this.
    NotTried(Box<Job>),
}

/// What all workers share.
pub struct Shared {
    /// Finds addresses.
    pub resolver: Resolver,
    /// Where we send from.
    pub source: Arc<Source>,
    /// How connections are made.
    pub settings: Settings,
    /// How long a connection may idle.
    pub idle_timeout: Duration,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
}

/// Works for one site, from one source, until there is nothing to do.
pub async fn run(
    shared: Arc<Shared>,
    source: Arc<Source>,
    route: Route,
    first: Job,
    told: mpsc::UnboundedSender<Told>,
) {
    let begun = shared.clock.now();
    let opened = connection::open(&shared.resolver, &route, &source, &shared.settings).await;
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(why) => {
            let micros = shared.clock.now().since(begun).as_micros() as u64;
            let outcomes = all_deferred(&first, &why);
            let job = Box::new(first);
            let finished =
                Told::Finished { job, outcomes, peer: None, dsn: false, micros, free: None };
            // The dispatcher is gone only when the process is.
            let _gone = told.send(finished);
            return;
        }
    };
    let (next, mut jobs) = mpsc::channel(1);
    let mut job = first;
    loop {
        let begun = shared.clock.now();
        let outcomes = connection.deliver(job.delivery.clone()).await;
        let micros = shared.clock.now().since(begun).as_micros() as u64;
        let ready = connection.is_ready();
        let free = ready.then(|| next.clone());
        let peer = Some(connection.peer().clone());
        let dsn = connection.offers_dsn();
        let finished = Told::Finished { job: Box::new(job), outcomes, peer, dsn, micros, free };
        if told.send(finished).is_err() || !ready {
            break;
        }
        match next_job(&mut connection, &mut jobs, shared.idle_timeout).await {
            Some(given) => job = given,
            None => break,
        }
    }
    jobs.close();
    while let Ok(job) = jobs.try_recv() {
        let _gone = told.send(Told::NotTried(Box::new(job)));
    }
    connection.quit().await;
}

async fn next_job(
    connection: &mut Connection,
    jobs: &mut mpsc::Receiver<Job>,
    idle: Duration,
) -> Option<Job> {
    tokio::select! {
        biased;
        job = jobs.recv() => job,
        () = connection.closed() => None,
        () = tokio::time::sleep(idle) => None,
    }
}

fn all_deferred(job: &Job, why: &Diagnosis) -> Vec<(RecipientIndex, Outcome)> {
    let outcome = Outcome::Deferred { scope: Scope::Host, diagnosis: why.clone() };
    job.delivery.recipients.iter().map(|(index, _)| (*index, outcome.clone())).collect()
}
