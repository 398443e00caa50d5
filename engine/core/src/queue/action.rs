//! What goes into the scheduler and comes out of it.

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Stream;
use crate::mail::id::QueueId;
use crate::mail::outcome::Outcome;
use crate::queue::retry::RetryPlan;

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// When deferred mail is tried again.
    pub retry: RetryPlan,
    /// Connections to a site at first.
    pub connections_initial: u32,
    /// Connections to a site at most.
    pub connections_max: u32,
}

impl Default for Policy {
    /// The default plan, 5 connections at first, 20 at most.
    fn default() -> Self {
        Self { retry: RetryPlan::default(), connections_initial: 5, connections_max: 20 }
    }
}

/// One message for one domain.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    /// Which message.
    pub id: QueueId,
    /// For which domain.
    pub domain: &'a Domain,
    /// Whose it is.
    pub stream: &'a Stream,
    /// When to give up.
    pub expires_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// When it may first go.
    pub due: Timestamp,
}

/// An entry that is out of the scheduler's hands until it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u32);

impl Ticket {
    /// No entry.
    pub const NONE: Self = Self(u32::MAX);
}

/// A domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DestinationId(pub(crate) u32);

/// Domains that share their mail hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub(crate) u32);

impl SiteId {
    /// No site.
    pub const NONE: Self = Self(u32::MAX);
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look up where this domain's mail goes, then call `Scheduler::on_resolved`.
    Resolve(DestinationId, Domain),
    /// Try it, then call `Scheduler::report`.
    Attempt(Attempt),
    /// It is too old: settle it as expired, then call `Scheduler::forget`.
    Expired(Ticket, QueueId, Domain),
    /// Its domain cannot be reached: report this outcome for each of its recipients.
    Unroutable(Attempt, Outcome),
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// To report it by.
    pub ticket: Ticket,
    /// Which message.
    pub id: QueueId,
    /// For which domain.
    pub domain: Domain,
    /// At which site; of no meaning where the domain is unroutable.
    pub site: SiteId,
    /// Which try it is; the first is 1.
    pub number: u32,
}

/// Counts of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries in all.
    pub entries: usize,
    /// With the driver.
    pub in_flight: usize,
    /// Waiting for their time.
    pub deferred: usize,
    /// Domains known.
    pub destinations: usize,
    /// Sites known.
    pub sites: usize,
}
