//! What an operator holds back: a value, so that it can be stored, shown and taken back.
//!
//! What is suspended waits and keeps its place. It still expires. What is under way goes on.

use std::collections::BTreeMap;
use std::fmt;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::envelope::Stream;
use crate::selector::value::quoted;

/// Suspensions at once.
pub const SUSPENSIONS_MAX: usize = 10_000;

/// What is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// All mail.
    All,
    /// What goes to a domain.
    Destination(Domain),
    /// What goes to the domains with these mail hosts.
    Site(Box<str>),
    /// What would go from this egress source. Other sources of its pool go on.
    Source(Box<str>),
    /// A tenant's mail.
    Tenant(Box<str>),
    /// One mailing of a tenant.
    Campaign {
        /// Whose.
        tenant: Box<str>,
        /// Which.
        campaign: Box<str>,
    },
}

/// As an operator writes it.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Destination(domain) => write!(f, "domain={}", quoted(domain.as_str())),
            Self::Site(name) => write!(f, "site={}", quoted(name)),
            Self::Source(name) => write!(f, "source={}", quoted(name)),
            Self::Tenant(name) => write!(f, "tenant={}", quoted(name)),
            Self::Campaign { tenant, campaign } => {
                write!(f, "tenant={} and campaign={}", quoted(tenant), quoted(campaign))
            }
        }
    }
}

/// An operator's directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Its name, which no other has.
    pub name: Box<str>,
    /// When it was said.
    pub since: Timestamp,
    /// What is held back.
    pub selector: Selector,
    /// Who said so, and why.
    pub reason: Box<str>,
    /// When it ends by itself; none if it does not.
    pub until: Option<Timestamp>,
}

/// There are [`SUSPENSIONS_MAX`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySuspensions;

/// All that is held back: one suspension for each selector.
#[derive(Debug, Default)]
pub(crate) struct Suspensions(BTreeMap<Selector, Suspension>);

impl Suspensions {
    /// Replaces an earlier one for the same selector.
    pub(crate) fn insert(&mut self, new: Suspension) -> Result<(), TooManySuspensions> {
        if self.0.len() >= SUSPENSIONS_MAX && !self.0.contains_key(&new.selector) {
            return Err(TooManySuspensions);
        }
        self.0.insert(new.selector.clone(), new);
        Ok(())
    }

    pub(crate) fn remove(&mut self, selector: &Selector) -> bool {
        self.0.remove(selector).is_some()
    }

    /// Those that end by themselves by now.
    pub(crate) fn over(&self, now: Timestamp) -> Vec<Selector> {
        let over = |one: &&Suspension| one.until.is_some_and(|until| until <= now);
        self.0.values().filter(over).map(|one| one.selector.clone()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Suspension> {
        self.0.values()
    }

    pub(crate) fn get(&self, selector: &Selector) -> Option<&Suspension> {
        self.0.get(selector)
    }

    pub(crate) fn all(&self) -> bool {
        self.holds(&Selector::All)
    }

    pub(crate) fn destination(&self, domain: &Domain) -> bool {
        self.holds_any(|| Selector::Destination(domain.clone()))
    }

    pub(crate) fn site(&self, name: &str) -> bool {
        self.holds_any(|| Selector::Site(name.into()))
    }

    pub(crate) fn source(&self, name: &str) -> bool {
        self.holds_any(|| Selector::Source(name.into()))
    }

    pub(crate) fn stream(&self, stream: &Stream) -> bool {
        let (tenant, campaign) = (&stream.tenant, &stream.campaign);
        self.holds_any(|| Selector::Tenant(tenant.clone()))
            || self.holds_any(|| Selector::Campaign {
                tenant: tenant.clone(),
                campaign: campaign.clone(),
            })
    }

    fn holds_any(&self, selector: impl FnOnce() -> Selector) -> bool {
        !self.0.is_empty() && self.holds(&selector())
    }

    fn holds(&self, selector: &Selector) -> bool {
        self.0.contains_key(selector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_no_more_but_one_can_be_replaced() {
        let mut all = Suspensions::default();
        let one = |n: usize| Suspension {
            selector: Selector::Tenant(format!("t{n}").into()),
            name: format!("d-{n}").into(),
            since: Timestamp::EPOCH,
            reason: "test".into(),
            until: None,
        };
        (0..SUSPENSIONS_MAX).for_each(|n| all.insert(one(n)).unwrap());
        assert_eq!(all.insert(one(SUSPENSIONS_MAX)), Err(TooManySuspensions));
        assert_eq!(all.insert(one(7)), Ok(()));
        assert!(all.remove(&one(7).selector));
        assert_eq!(all.insert(one(SUSPENSIONS_MAX)), Ok(()));
    }
}
