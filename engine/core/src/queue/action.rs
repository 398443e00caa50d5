//! What goes into the scheduler and comes out of it.

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Stream;
use crate::mail::id::QueueId;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Settlement;
use crate::queue::policy::SourceIndex;

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
    /// When it may first go; not before it expires, if it is held until somebody looks at it.
    pub due: Timestamp,
    /// Its recipients at the domain: what it costs of its flow's turns.
    pub recipients: u32,
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

/// A site as seen from one egress source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub(crate) u32);

impl LaneId {
    /// No lane.
    pub const NONE: Self = Self(u32::MAX);
}

/// By which connection an attempt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// By one of the lane that is free.
    Free,
    /// By one that is opened for it.
    New,
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
    /// Close a free connection of this lane, then call `Scheduler::on_closed`: another needs it.
    Close(LaneId),
    /// No mail waits for this domain: forget where its mail goes.
    Forgotten(Domain),
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
    /// In which lane; none where the domain is unroutable.
    pub lane: LaneId,
    /// From which egress source; of no meaning where there is no lane.
    pub source: SourceIndex,
    /// By which connection of the lane.
    pub connection: Connection,
    /// Which try it is; the first is 1.
    pub number: u32,
    /// A plugin held it, and somebody let it go.
    pub released: bool,
}

impl Attempt {
    /// What stands for an attempt where none was made, as nobody was to be tried.
    pub const fn none_of(id: QueueId, domain: Domain) -> Self {
        Self {
            ticket: Ticket::NONE,
            id,
            domain,
            lane: LaneId::NONE,
            source: SourceIndex(0),
            connection: Connection::Free,
            number: 0,
            released: false,
        }
    }
}

/// What is done about an attempt's outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub(crate) again: Settlement,
    pub(crate) in_doubt: Settlement,
}

impl Verdict {
    /// What is done about one of them.
    pub const fn of(&self, outcome: &Outcome) -> Settlement {
        match outcome {
            Outcome::Delivered(_) => Settlement::Done,
            Outcome::Bounced { .. } => Settlement::Bounce,
            Outcome::Deferred { .. } => self.again,
            Outcome::InDoubt(_) => self.in_doubt,
        }
    }
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
    /// Connections that are open, opening or closing.
    pub connections: usize,
}
