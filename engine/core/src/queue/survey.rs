//! The queue as it is shown: rows of destinations, streams, lanes and messages.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Stream;
use crate::mail::id::QueueId;
use crate::queue::pace::Pace;

/// Destinations in one survey, those with the most mail; the rest is only counted.
pub const DESTINATIONS_MAX: usize = 10_000;
/// Streams in one survey.
pub const STREAMS_MAX: usize = 10_000;
/// Sites in one survey.
pub const SITES_MAX: usize = 10_000;
/// Lanes in one survey.
pub const LANES_MAX: usize = 10_000;

/// The ages up to which messages are counted together, in minutes, as Postfix's qshape has them;
/// older ones are in a bucket more.
pub const AGE_MINUTES: [u64; 7] = [5, 10, 20, 40, 80, 160, 300];
/// How many buckets of ages there are.
pub const AGES: usize = AGE_MINUTES.len() + 1;

/// How many entries stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All that wait.
    pub waiting: u32,
    /// Those that wait for their time.
    pub timed: u32,
    /// Those that are held back by somebody.
    pub held: u32,
    /// Those that are under way.
    pub in_flight: u32,
}

/// A destination with mail.
#[derive(Clone, Debug)]
pub struct DestinationRow {
    /// The domain.
    pub domain: Domain,
    /// Its site; empty as long as it is not known.
    pub site: Arc<str>,
    /// How many stand where.
    pub tally: Tally,
    /// How many wait that are so old.
    pub ages: [u32; AGES],
    /// When the oldest that waits was accepted.
    pub oldest: Option<Timestamp>,
    /// The name of what holds the most of them.
    pub cause: &'static str,
}

/// A stream with mail.
#[derive(Clone, Debug)]
pub struct StreamRow {
    /// Whose and which mailing.
    pub stream: Stream,
    /// By which pool.
    pub pool: Box<str>,
    /// How many stand where.
    pub tally: Tally,
}

/// A site as seen from one egress source.
#[derive(Clone, Debug)]
pub struct LaneRow {
    /// The site.
    pub site: Arc<str>,
    /// The egress source.
    pub source: Box<str>,
    /// Messages that are under way.
    pub in_flight: u32,
    /// Connections.
    pub connections: u32,
    /// Messages that may be under way.
    pub window: u32,
    /// Until when it rests; none if it does not.
    pub resting_until: Option<Timestamp>,
    /// What was said when it failed last; empty if it never did or that is not known any more.
    pub said: Box<str>,
    /// When that was.
    pub failed_at: Option<Timestamp>,
}

/// A site that is known.
#[derive(Clone, Debug)]
pub struct SiteRow {
    /// Its name.
    pub site: Arc<str>,
    /// Connections to it.
    pub connections: u32,
    /// How fast it goes there.
    pub pace: Pace,
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// How many stand where, of all.
    pub tally: Tally,
    /// When the oldest that waits was accepted.
    pub oldest: Option<Timestamp>,
    /// Destinations with mail, also those that are not among the rows.
    pub destinations_total: usize,
    /// Those with the most mail.
    pub destinations: Vec<DestinationRow>,
    /// Streams with mail.
    pub streams: Vec<StreamRow>,
    /// Sites that are known.
    pub sites: Vec<SiteRow>,
    /// Pools, each with the names of its sources.
    pub pools: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Lanes that are in use or rest.
    pub lanes: Vec<LaneRow>,
}

/// A message for one domain.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// Its id.
    pub id: QueueId,
    /// For which domain.
    pub domain: Domain,
    /// Its site; empty as long as it is not known.
    pub site: Arc<str>,
    /// Whose and which mailing.
    pub stream: Stream,
    /// By which pool.
    pub pool: Box<str>,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next; none if it waits for something else.
    pub next: Option<Timestamp>,
    /// When it is given up.
    pub expires_at: Timestamp,
    /// Whether it is under way.
    pub in_flight: bool,
    /// The name of what holds it.
    pub cause: &'static str,
    /// What was said of it last.
    pub said: Box<str>,
}

/// By what messages are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that came first.
    #[default]
    Oldest,
    /// Those that came last.
    Newest,
    /// Those with the most attempts.
    Attempts,
    /// Those that are tried next.
    Next,
}

/// Some messages.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    /// Messages in all.
    pub total: usize,
    /// Those that are selected.
    pub selected: usize,
    /// Those in sight.
    pub rows: Vec<MessageRow>,
}

/// What a directive would be about.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Messages that wait.
    pub waiting: usize,
    /// Messages that are under way.
    pub in_flight: usize,
    /// How many wait for each site, the most first; the last one may be `others`.
    pub sites: Vec<(String, usize)>,
    /// Some of them.
    pub samples: Vec<MessageRow>,
}
