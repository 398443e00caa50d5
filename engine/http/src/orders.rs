//! What operators say of waiting mail, carried out: what is written down in the registry holds in
//! the queue, from a start on and until it ends.
//!
//! What names a whole path (a domain, site, source, tenant, mailing, or all) is suspended where it
//! stands. Everything else is held message by message. What is given up or removed is held first,
//! so that it can be undone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::queue::cancellation::Which;
use maily_core::queue::directive::Covers;
use maily_core::queue::directive::Directive as Holding;
use maily_core::queue::directive::Verb as Does;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::selection;
use maily_core::queue::selection::Path;
use maily_core::queue::selection::SCHEMA;
use maily_core::queue::suspension::Selector as Target;
use maily_core::queue::suspension::Suspension;
use maily_core::selector::Selector;
use maily_delivery::control::Control;
use maily_registry::directive::Directive;
use maily_registry::directive::State;
use maily_registry::directive::Verb;
use maily_registry::error::RegistryError;
use maily_registry::registry::Registry;

/// How often it is looked whether something is to be done.
const TICK: Duration = Duration::from_secs(1);

/// Why it could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The dispatcher has ended.
    #[error("the daemon is going down")]
    Ended,
    /// There are too many that hold.
    #[error("{0}")]
    TooMany(String),
    /// It could not be written down.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// What a directive does in the queue, if it does something for a while.
pub(crate) enum Standing {
    /// It holds back a path.
    Path(Suspension),
    /// It holds or moves messages.
    Messages(Box<Holding>),
}

/// What a directive does in the queue; none if it only did something once, or its selector is not
/// understood any more.
pub(crate) fn standing(directive: &Directive) -> Option<Standing> {
    let selector = Selector::parse(&directive.selector, &SCHEMA).ok()?;
    let name: Box<str> = directive.name().into();
    let reason: Box<str> = format!("{} ({})", directive.reason, directive.author).into();
    let (since, until) = (directive.at, directive.until);
    if directive.verb == Verb::Suspend
        && let Some(target) = selection::path(&selector).and_then(target)
    {
        return Some(Standing::Path(Suspension { name, since, selector: target, reason, until }));
    }
    let verb = match directive.verb {
        Verb::Suspend | Verb::Hold | Verb::Bounce | Verb::Drop => Does::Hold,
        Verb::Move => Does::Move(directive.pool.clone()?),
        Verb::Resume | Verb::Release | Verb::Retry => return None,
    };
    let covers = match &directive.only {
        Some(ids) => Covers::Only(ids.iter().copied().map(QueueId::from_u64).collect()),
        None if directive.future || directive.verb == Verb::Suspend => Covers::Future,
        None => Covers::AcceptedBy(since),
    };
    // What is given up at the end of its time is held until that is done.
    let until = until.filter(|_| !matches!(directive.verb, Verb::Bounce | Verb::Drop));
    let holding = Holding { name, reason, since, until, verb, selector, covers };
    Some(Standing::Messages(Box::new(holding)))
}

fn target(path: Path<'_>) -> Option<Target> {
    Some(match path {
        Path::All => Target::All,
        Path::Domain(domain) => Target::Destination(Domain::parse(domain).ok()?),
        Path::Site(site) => Target::Site(site.to_ascii_lowercase().into()),
        Path::Source(source) => Target::Source(source.into()),
        Path::Tenant(tenant) => Target::Tenant(tenant.into()),
        Path::Campaign { tenant, campaign } => {
            Target::Campaign { tenant: tenant.into(), campaign: campaign.into() }
        }
    })
}

/// Has all hold that is in force, in a queue that has no mail yet.
pub fn restore(registry: &Registry, scheduler: &mut Scheduler, now: Timestamp) {
    let directives = registry.directives();
    for directive in directives.iter().filter(|one| !one.state.has_ended()) {
        let held = match standing(directive) {
            Some(Standing::Path(suspension)) => {
                scheduler.suspend(now, suspension).map_err(|_| "there are too many suspensions")
            }
            Some(Standing::Messages(holding)) => {
                let held = scheduler.direct(*holding);
                held.map(|_| ()).map_err(|_| "there are too many directives")
            }
            None => Err("its selector is not understood"),
        };
        if let Err(why) = held {
            tracing::error!(directive = directive.name(), why, "a directive does not hold");
        }
    }
}

/// Carries out what operators say.
#[derive(Clone)]
pub struct Orders {
    /// Where it is written down.
    pub registry: Registry,
    /// The queue.
    pub control: Control,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
}

impl Orders {
    /// Has a directive hold that is written down.
    pub(crate) async fn begin(&self, directive: &Directive) -> Result<(), OrderError> {
        let Some(standing) = standing(directive) else { return Ok(()) };
        match standing {
            Standing::Path(suspension) => {
                let held = self.control.suspend(suspension).await;
                let held = held.map_err(|_| OrderError::Ended)?;
                held.map_err(|_| OrderError::TooMany("there are too many suspensions".into()))
            }
            Standing::Messages(holding) => {
                let held = self.control.direct(*holding).await.map_err(|_| OrderError::Ended)?;
                held.map(|_| ()).map_err(|error| OrderError::TooMany(error.to_string()))
            }
        }
    }

    /// Does what is done once; gives with how many messages.
    pub(crate) async fn once(&self, directive: &Directive) -> Result<u64, OrderError> {
        let Ok(selector) = Selector::parse(&directive.selector, &SCHEMA) else { return Ok(0) };
        let done = match directive.verb {
            Verb::Retry => self.control.retry(selector).await,
            Verb::Release => {
                self.end_all(Verb::Hold, &selector).await?;
                self.control.release(selector).await
            }
            Verb::Resume => return self.end_all(Verb::Suspend, &selector).await,
            _ => return Ok(0),
        };
        done.map(|count| count as u64).map_err(|_| OrderError::Ended)
    }

    /// Ends all directives of this kind that say the same, or all of them; gives how many.
    async fn end_all(&self, verb: Verb, selector: &Selector) -> Result<u64, OrderError> {
        let same = |directive: &Directive| {
            let read = Selector::parse(&directive.selector, &SCHEMA);
            selector.is_everything() || read.is_ok_and(|read| read == *selector)
        };
        let mut ended = 0;
        for directive in self.registry.directives() {
            let stands = !directive.state.has_ended() && directive.verb == verb;
            if stands && same(&directive) {
                self.end(&directive, State::Undone).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Ends a directive: what it holds is let go.
    pub(crate) async fn end(
        &self,
        directive: &Directive,
        state: State,
    ) -> Result<Directive, OrderError> {
        // Written down first: what is let go and crashes is not held again.
        let ended = self.registry.note_directive(directive.number, |one| one.state = state).await?;
        match standing(directive) {
            Some(Standing::Path(suspension)) => {
                // Another may have been given for the same path since then: it stays.
                let name = suspension.name.clone();
                let path = suspension.selector.clone();
                let ours = self.control.look(move |queue, _| {
                    queue.suspensions().any(|one| one.selector == path && one.name == name)
                });
                if ours.await.map_err(|_| OrderError::Ended)? {
                    let resumed = self.control.resume(suspension.selector).await;
                    resumed.map_err(|_| OrderError::Ended)?;
                }
            }
            Some(Standing::Messages(holding)) => {
                self.control.lift(&holding.name).await.map_err(|_| OrderError::Ended)?;
            }
            None => {}
        }
        Ok(ended)
    }

    /// Does what is to be done at a time, until the daemon ends.
    pub async fn keep(self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            for directive in self.registry.directives() {
                if directive.state.has_ended() {
                    continue;
                }
                match self.go_on(&directive).await {
                    Ok(()) => {}
                    Err(OrderError::Ended) => return,
                    Err(error) => {
                        let name = directive.name();
                        tracing::error!(directive = name, %error, "a directive is not carried out");
                    }
                }
            }
        }
    }

    async fn go_on(&self, directive: &Directive) -> Result<(), OrderError> {
        let now = self.clock.now();
        let is_over = directive.until.is_some_and(|until| until <= now);
        match (directive.verb, directive.state) {
            (Verb::Bounce | Verb::Drop, State::Pending) if is_over => {
                self.act(directive, State::Working).await
            }
            (Verb::Bounce | Verb::Drop, State::Working) => self.look_after(directive).await,
            (Verb::Bounce | Verb::Drop, State::InForce) => {
                let held = self.holding(directive).await?;
                if held > 0 { self.act(directive, State::InForce).await } else { Ok(()) }
            }
            (_, State::InForce) if is_over => {
                self.end(directive, State::Over).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn holding(&self, directive: &Directive) -> Result<u64, OrderError> {
        let name = directive.name();
        let held = self.control.look(move |queue, _| queue.holding(&name) as u64).await;
        held.map_err(|_| OrderError::Ended)
    }

    /// Gives up or removes what a directive holds.
    pub(crate) async fn act(&self, directive: &Directive, state: State) -> Result<(), OrderError> {
        let number = directive.number;
        if directive.state != state {
            self.registry.note_directive(number, |one| one.state = state).await?;
        }
        let count = match directive.verb {
            Verb::Bounce => {
                let outcome = refused(&directive.reason);
                let count = self.control.refuse(&directive.name(), outcome).await;
                count.map_err(|_| OrderError::Ended)? as u64
            }
            _ => self.remove(directive).await?,
        };
        self.registry.note_directive(number, |one| one.done += count).await?;
        Ok(())
    }

    async fn remove(&self, directive: &Directive) -> Result<u64, OrderError> {
        let reason = format!("{} ({})", directive.reason, directive.author);
        let which = Which::HeldBy(directive.name().into());
        let taken = self.control.cancel(which, reason.into()).await;
        taken
            .map(|taken| taken.gone.len() as u64)
            .map_err(|error| OrderError::TooMany(format!("not all could be removed: {error}")))
    }

    /// What is given up is done when nothing of it is left.
    async fn look_after(&self, directive: &Directive) -> Result<(), OrderError> {
        let name = directive.name();
        let look = move |queue: &Scheduler, _| (queue.holding(&name), queue.refusing(&name));
        let (held, left) = self.control.look(look).await.map_err(|_| OrderError::Ended)?;
        if held > 0 {
            return self.act(directive, State::Working).await;
        }
        if left == 0 {
            let end = |one: &mut Directive| {
                one.state = if one.future { State::InForce } else { State::Done };
            };
            self.registry.note_directive(directive.number, end).await?;
            if !directive.future {
                self.control.lift(&directive.name()).await.map_err(|_| OrderError::Ended)?;
            }
        }
        Ok(())
    }

    /// The messages that are selected.
    pub(crate) async fn selected(
        &self,
        selector: Selector,
    ) -> Result<BTreeSet<QueueId>, OrderError> {
        let look = move |queue: &Scheduler, now| queue.selected(now, &selector);
        self.control.look(look).await.map_err(|_| OrderError::Ended)
    }
}

/// RFC 3463 3.8: 5.7.1, not allowed.
fn refused(reason: &str) -> Outcome {
    let text = format!("given up by the operator: {reason}");
    let status = EnhancedStatus::new(5, 7, 1);
    let diagnosis = Diagnosis::ours(status, Blame::Config, &text);
    Outcome::Bounced { scope: Scope::Message, diagnosis }
}
