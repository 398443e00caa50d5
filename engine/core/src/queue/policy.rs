//! What the operator decides about sending.

use hashbrown::HashMap;

use crate::queue::rate::Rate;
use crate::queue::retry::RetryPlan;

/// How much may go to one site from one egress source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at first.
    pub connections_initial: u32,
    /// Connections at most.
    pub connections_max: u32,
    /// Messages in a time; none for no limit.
    pub message_rate: Option<Rate>,
    /// New connections in a time; none for no limit.
    pub connection_rate: Option<Rate>,
}

impl Default for Limits {
    /// 5 connections at first, 20 at most, no rates.
    fn default() -> Self {
        Self {
            connections_initial: 5,
            connections_max: 20,
            message_rate: None,
            connection_rate: None,
        }
    }
}

/// Which egress source: its place in [`Policy::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub u16);

/// An egress source, as far as the queue must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceShare {
    /// Its name.
    pub name: Box<str>,
    /// Its share of what its pool sends, beside the weights of the others.
    pub weight: u32,
}

/// Egress sources that stand in for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: Box<str>,
    /// Its sources; at least one.
    pub sources: Vec<SourceIndex>,
    /// Whose mail goes by it.
    pub tenants: Vec<Box<str>>,
}

/// What becomes of a message whose last reply was lost (RFC 1047).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InDoubt {
    /// It is tried again: perhaps delivered twice.
    #[default]
    Retry,
    /// It counts as delivered: perhaps lost.
    Settle,
}

/// What is said where nothing is known of a place.
const BY_DEFAULT: &str = "by default";

/// Where the limits of a site are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The most connections.
    pub connections: Box<str>,
    /// The rate of messages.
    pub message_rate: Box<str>,
    /// The rate of new connections.
    pub connection_rate: Box<str>,
}

impl Places {
    fn by_default() -> Self {
        let place = || BY_DEFAULT.into();
        Self { connections: place(), message_rate: place(), connection_rate: place() }
    }
}

/// What the operator decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// When deferred mail is tried again.
    pub retry: RetryPlan,
    /// What follows from a lost reply.
    pub in_doubt: InDoubt,
    /// Connections in all, to whatever sites; they bound the messages under way too.
    pub connections_max: u32,
    /// What holds for a site without limits of its own.
    pub limits: Limits,
    /// By site, or by a domain that it serves.
    pub sites: HashMap<Box<str>, Limits>,
    /// Where the limits of the sites are written, as `file:line`, where that is known.
    pub places: HashMap<Box<str>, Places>,
    /// Where those are written that hold for all other sites.
    pub place: Places,
    /// Where it is written how many connections there may be in all.
    pub connections_place: Box<str>,
    /// All egress sources; at least one.
    pub sources: Vec<SourceShare>,
    /// The first is for tenants that no other names.
    pub pools: Vec<Pool>,
}

impl Default for Policy {
    /// The default plan and limits, one source, 1,000 connections.
    fn default() -> Self {
        let all = vec![SourceIndex(0)];
        Self {
            retry: RetryPlan::default(),
            in_doubt: InDoubt::default(),
            connections_max: 1_000,
            limits: Limits::default(),
            sites: HashMap::new(),
            places: HashMap::new(),
            place: Places::by_default(),
            connections_place: BY_DEFAULT.into(),
            sources: vec![SourceShare { name: "default".into(), weight: 1 }],
            pools: vec![Pool { name: "default".into(), sources: all, tenants: Vec::new() }],
        }
    }
}

impl Policy {
    /// The number of the pool of this name.
    pub(crate) fn pool_named(&self, name: &str) -> Option<u16> {
        self.pools.iter().position(|pool| *pool.name == *name).map(|place| place as u16)
    }

    /// The number of the pool by which a tenant's mail goes.
    pub(crate) fn pool_of(&self, tenant: &str) -> u16 {
        let names = |pool: &Pool| pool.tenants.iter().any(|name| **name == *tenant);
        self.pools.iter().position(names).unwrap_or(0) as u16
    }

    pub(crate) fn weight(&self, source: SourceIndex) -> u64 {
        self.sources.get(usize::from(source.0)).map_or(1, |share| u64::from(share.weight.max(1)))
    }

    /// The pools, each with the names of its sources.
    pub(crate) fn pool_sources(&self) -> Vec<(Box<str>, Vec<Box<str>>)> {
        let names =
            |pool: &Pool| pool.sources.iter().map(|n| self.source_name(*n).into()).collect();
        self.pools.iter().map(|pool| (pool.name.clone(), names(pool))).collect()
    }

    /// The name of a pool.
    pub(crate) fn pool_name(&self, pool: u16) -> &str {
        self.pools.get(usize::from(pool)).map_or("", |pool| &pool.name)
    }

    /// The name of a source.
    pub(crate) fn source_name(&self, source: SourceIndex) -> &str {
        self.sources.get(usize::from(source.0)).map_or("", |share| &share.name)
    }

    /// The limits of a site, or of a domain, if they are its own.
    pub(crate) fn own_limits(&self, name: &str) -> Option<Limits> {
        self.sites.get(name).copied()
    }
}
