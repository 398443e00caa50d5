//! What is taken out of the queue before it is sent: which, and what became of it.

use std::collections::BTreeSet;

use crate::mail::address::Domain;
use crate::mail::id::QueueId;

/// What is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These messages.
    Messages(BTreeSet<QueueId>),
    /// What the directive of this name holds.
    HeldBy(Box<str>),
    /// One mailing of a tenant, in whatever class.
    Campaign {
        /// Whose.
        tenant: Box<str>,
        /// Which.
        campaign: Box<str>,
    },
}

/// What became of it: messages, each for one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// It waited, and is gone.
    pub gone: Vec<(QueueId, Domain)>,
    /// It is under way, or on its way to be settled, and goes on.
    pub in_flight: Vec<(QueueId, Domain)>,
}
