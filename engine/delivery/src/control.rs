//! What operators tell the dispatcher: values, through a channel. Nobody else changes the
//! scheduler.

use std::fmt;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use maily_core::clock::Timestamp;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::queue::cancellation::Which;
use maily_core::queue::directive::Directive;
use maily_core::queue::directive::TooManyDirectives;
use maily_core::queue::policy::Policy;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::scheduler::directing::Directed;
use maily_core::queue::suspension::Selector as Target;
use maily_core::queue::suspension::Suspension;
use maily_core::queue::suspension::TooManySuspensions;
use maily_core::selector::Selector;

use crate::cancel::CancelError;
use crate::cancel::Canceller;
use crate::cancel::Order;
use crate::cancel::Taken;

/// Commands that wait; more make those who give them wait.
const COMMANDS_MAX: usize = 64;

/// A command, with where its answer goes.
#[derive(Debug)]
pub enum Command {
    /// Hold this back.
    Suspend(Suspension, oneshot::Sender<Result<(), TooManySuspensions>>),
    /// Let this go: whether it was held back.
    Resume(Target, oneshot::Sender<bool>),
    /// All that is held back.
    Suspensions(oneshot::Sender<Vec<Suspension>>),
    /// Other limits and another retry plan from now on.
    SetPolicy(Box<Policy>, oneshot::Sender<()>),
    /// Take this back.
    Cancel(Order),
    /// Have this hold.
    Direct(Box<Directive>, oneshot::Sender<Result<Directed, TooManyDirectives>>),
    /// Take the directive of this name back: whether there was one.
    Lift(Box<str>, oneshot::Sender<bool>),
    /// Give up what the directive of this name holds, with this outcome: how many.
    Refuse(Box<str>, Box<Outcome>, oneshot::Sender<usize>),
    /// Let go what is held and selected: how many.
    Release(Box<Selector>, oneshot::Sender<usize>),
    /// Try now what is selected: how many.
    Retry(Box<Selector>, oneshot::Sender<usize>),
    /// Look at the queue.
    Look(Look),
}

/// What is done once with the queue as it is.
type Looking = dyn FnOnce(&Scheduler, Timestamp) + Send;

/// Somebody who looks at the queue and changes nothing.
pub struct Look(Box<Looking>);

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Look(…)")
    }
}

impl Command {
    /// Does it; for the dispatcher, who owns the scheduler. Gives the messages that are gone.
    pub(crate) fn carry_out(
        self,
        scheduler: &mut Scheduler,
        canceller: &Canceller,
        now: Timestamp,
    ) -> Vec<QueueId> {
        // Whoever asked may have gone: the command holds all the same.
        match self {
            Self::Suspend(suspension, tell) => {
                let Suspension { selector, reason, .. } = &suspension;
                tracing::info!(?selector, %reason, "suspended");
                let _gone = tell.send(scheduler.suspend(now, suspension));
            }
            Self::Resume(selector, tell) => {
                tracing::info!(?selector, "resumed");
                let _gone = tell.send(scheduler.resume(now, &selector));
            }
            Self::Suspensions(tell) => {
                let _gone = tell.send(scheduler.suspensions().cloned().collect());
            }
            Self::SetPolicy(policy, tell) => {
                scheduler.set_policy(*policy);
                let _gone = tell.send(());
            }
            Self::Cancel(order) => return canceller.cancel(scheduler, now, order),
            Self::Direct(directive, tell) => {
                let Directive { name, verb, selector, reason, .. } = &*directive;
                tracing::info!(%name, ?verb, %selector, %reason, "a directive holds");
                let _gone = tell.send(scheduler.direct(*directive));
            }
            Self::Lift(name, tell) => {
                tracing::info!(%name, "a directive was taken back");
                let _gone = tell.send(scheduler.lift(now, &name));
            }
            Self::Refuse(name, outcome, tell) => {
                let _gone = tell.send(scheduler.refuse(now, &name, &outcome));
            }
            Self::Release(selector, tell) => {
                let _gone = tell.send(scheduler.release(now, &selector));
            }
            Self::Retry(selector, tell) => {
                let _gone = tell.send(scheduler.retry(now, &selector));
            }
            Self::Look(Look(look)) => look(scheduler, now),
        }
        Vec::new()
    }
}

/// The dispatcher has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dispatcher has ended")]
pub struct Ended;

/// A handle for giving commands; clones share the channel.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<Command>);

impl Control {
    /// A handle, and what the dispatcher takes the commands from.
    pub fn new() -> (Self, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
        (Self(sender), receiver)
    }

    /// Holds back what is selected.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn suspend(
        &self,
        suspension: Suspension,
    ) -> Result<Result<(), TooManySuspensions>, Ended> {
        self.ask(|tell| Command::Suspend(suspension, tell)).await
    }

    /// Lets go; false if it was not held back.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn resume(&self, selector: Target) -> Result<bool, Ended> {
        self.ask(|tell| Command::Resume(selector, tell)).await
    }

    /// All that is held back.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn suspensions(&self) -> Result<Vec<Suspension>, Ended> {
        self.ask(Command::Suspensions).await
    }

    /// Other limits and another retry plan from now on; sources and pools stay as they are.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), Ended> {
        self.ask(|tell| Command::SetPolicy(Box::new(policy), tell)).await
    }

    /// Takes mail back that waits: returns when it is settled in the spool, on disk and synced.
    /// What is under way goes on, and is told.
    ///
    /// # Errors
    /// The dispatcher has ended, or not all could be settled: what is left may be sent after a
    /// restart.
    pub async fn cancel(&self, which: Which, reason: Box<str>) -> Result<Taken, CancelError> {
        let asked = self.ask(|tell| Command::Cancel(Order { which, reason, tell })).await;
        asked.map_err(|Ended| CancelError::Ended)?
    }

    /// Has a directive hold, for what waits and, if it says so, for what comes.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn direct(
        &self,
        directive: Directive,
    ) -> Result<Result<Directed, TooManyDirectives>, Ended> {
        self.ask(|tell| Command::Direct(Box::new(directive), tell)).await
    }

    /// Takes a directive back; false if there is none of this name.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn lift(&self, name: &str) -> Result<bool, Ended> {
        self.ask(|tell| Command::Lift(name.into(), tell)).await
    }

    /// Gives up what a directive holds, with this outcome for each recipient, and takes the
    /// directive back. Gives how many it is about: it goes on when this returns.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn refuse(&self, name: &str, outcome: Outcome) -> Result<usize, Ended> {
        self.ask(|tell| Command::Refuse(name.into(), Box::new(outcome), tell)).await
    }

    /// Lets go those of the held messages that are selected; gives how many.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn release(&self, selector: Selector) -> Result<usize, Ended> {
        self.ask(|tell| Command::Release(Box::new(selector), tell)).await
    }

    /// Has those of the selected messages tried now that wait for their time; gives how many.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn retry(&self, selector: Selector) -> Result<usize, Ended> {
        self.ask(|tell| Command::Retry(Box::new(selector), tell)).await
    }

    /// Looks at the queue. The loop stands still meanwhile: what takes long is not done often.
    ///
    /// # Errors
    /// The dispatcher has ended.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Scheduler, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        self.ask(|tell| {
            Command::Look(Look(Box::new(move |scheduler, now| {
                let _gone = tell.send(look(scheduler, now));
            })))
        })
        .await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Ended> {
        let (tell, told) = oneshot::channel();
        self.0.send(command(tell)).await.map_err(|_| Ended)?;
        told.await.map_err(|_| Ended)
    }
}
