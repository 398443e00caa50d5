//! One connection's task: opens it, sends what it is given, ends when it has idled long enough.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use maily_core::bounce::classify::Rules;
use maily_core::clock::Clock;
use maily_core::event::Peer;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::queue::action::LaneId;
use maily_core::queue::scheduler::Hints;
use maily_core::smtp::delivery::Delivery;
use maily_egress::connection::Connection;
use maily_egress::connection::Settings;
use maily_egress::connection::Source;
use maily_egress::opening;
use maily_egress::resolve::Resolver;
use maily_egress::route::Route;
use maily_live::session::Live;
use maily_live::sessions::Sessions;
use maily_plugins::set::Plugins;

use crate::attempt::Job;
use crate::attempt::Transactions;
use crate::hooks;
use crate::steering;

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
        /// Where the worker takes the next order, if it can.
        free: Option<Free>,
        /// What more is known: when to try again, and why it has to be.
        hints: Hints,
    },
    /// The worker had ended before it got this.
    NotTried(Box<Job>),
    /// The connection is closed, or was never opened: the worker's last word.
    Closed {
        /// The lane.
        lane: LaneId,
        /// The worker's number.
        worker: u64,
    },
}

/// What a worker that is free is told.
#[derive(Debug)]
pub enum Order {
    /// Try this.
    Try(Box<Job>),
    /// Close the connection.
    Close,
}

/// A worker that waits for an order.
#[derive(Clone, Debug)]
pub struct Free {
    /// Its number.
    pub worker: u64,
    /// Where it takes the order.
    pub orders: mpsc::Sender<Order>,
}

/// Tells of a worker's end however it ends.
struct Ending {
    lane: LaneId,
    worker: u64,
    told: mpsc::UnboundedSender<Told>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // The dispatcher is gone only when the process is.
        let _gone = self.told.send(Told::Closed { lane: self.lane, worker: self.worker });
    }
}

/// What all workers share.
pub struct Shared {
    /// Finds addresses.
    pub resolver: Resolver,
    /// Where we send from: at least one, in the order that the scheduler's policy has.
    pub sources: Vec<Arc<Source>>,
    /// How connections are made.
    pub settings: Settings,
    /// How long a connection may idle.
    pub idle_timeout: Duration,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// What replies say of a lane.
    pub rules: Arc<Rules>,
    /// Who says what a reply means.
    pub plugins: Arc<Plugins>,
    /// Who looks on.
    pub sessions: Arc<Sessions>,
    /// Other settings hold now: a connection that was opened by these gets no more work.
    pub retired: AtomicBool,
}

/// Works in one lane until there is nothing to do.
pub async fn run(
    shared: Arc<Shared>,
    worker: u64,
    source: Arc<Source>,
    route: Arc<Route>,
    first: Job,
    told: mpsc::UnboundedSender<Told>,
) {
    let _ending = Ending { lane: first.attempt.lane, worker, told: told.clone() };
    let begun = shared.clock.now();
    let live = Arc::new(shared.sessions.go_out(&route.site, &source.name));
    live.carry(first.attempt.id, first.attempt.domain.as_str());
    let opened = opening::open(&shared.resolver, &route, &source, &shared.settings, &live).await;
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(outcome) => {
            let micros = shared.clock.now().since(begun).as_micros() as u64;
            let outcomes = for_all(&first, &outcome);
            let job = Box::new(first);
            let (peer, dsn, free, hints) = (None, false, None, Hints::default());
            let finished = Told::Finished { job, outcomes, peer, dsn, micros, free, hints };
            // The dispatcher is gone only when the process is.
            let _gone = told.send(finished);
            return;
        }
    };
    let (orders, mut ordered) = mpsc::channel(1);
    let free = Free { worker, orders };
    let mut job = first;
    loop {
        let begun = shared.clock.now();
        live.carry(job.attempt.id, job.attempt.domain.as_str());
        let mut outcomes = deliver(&mut connection, &job.delivery).await;
        live.put_down(outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Delivered(_))));
        let now = shared.clock.now();
        let micros = now.since(begun).as_micros() as u64;
        let wait = steering::steer(&shared.rules, &connection.peer().host, &mut outcomes);
        let retry_after = hooks::reclassify(&shared.plugins, &job, &route.site, now, &mut outcomes);
        let remark = steering::remark(&shared.rules, &connection.peer().host, &outcomes);
        let hints = Hints { retry_after: retry_after.or(wait), remark, hold: false };
        let ends = shared.retired.load(Ordering::Relaxed) || live.is_asked_to_leave();
        let ready = connection.is_ready() && !ends;
        let free = ready.then(|| free.clone());
        let peer = Some(connection.peer().clone());
        let dsn = connection.offers_dsn();
        let job_done = Box::new(job);
        let finished = Told::Finished { job: job_done, outcomes, peer, dsn, micros, free, hints };
        if told.send(finished).is_err() || !ready {
            break;
        }
        match next_order(&mut connection, &mut ordered, shared.idle_timeout, &live).await {
            Some(Order::Try(given)) if shared.retired.load(Ordering::Relaxed) => {
                let _gone = told.send(Told::NotTried(given));
                break;
            }
            Some(Order::Try(given)) => job = *given,
            Some(Order::Close) | None => break,
        }
    }
    ordered.close();
    while let Ok(order) = ordered.try_recv() {
        if let Order::Try(job) = order {
            let _gone = told.send(Told::NotTried(job));
        }
    }
    connection.quit().await;
}

/// Sends one message, in as many transactions as its recipients need.
async fn deliver(
    connection: &mut Connection,
    delivery: &Delivery,
) -> Vec<(RecipientIndex, Outcome)> {
    let mut transactions = Transactions::new(delivery);
    while connection.is_ready()
        && let Some(next) = transactions.next_delivery()
    {
        transactions.on_outcomes(connection.deliver(next).await);
    }
    let status = EnhancedStatus::new(4, 4, 2);
    let text = "the connection ended before their turn";
    transactions.finish(&Diagnosis::ours(status, Blame::Network, text))
}

async fn next_order(
    connection: &mut Connection,
    ordered: &mut mpsc::Receiver<Order>,
    idle: Duration,
    live: &Live,
) -> Option<Order> {
    tokio::select! {
        biased;
        order = ordered.recv() => order,
        () = connection.closed() => None,
        () = live.asked_to_leave() => None,
        () = tokio::time::sleep(idle) => None,
    }
}

fn for_all(job: &Job, outcome: &Outcome) -> Vec<(RecipientIndex, Outcome)> {
    job.delivery.recipients.iter().map(|(index, _)| (*index, outcome.clone())).collect()
}
