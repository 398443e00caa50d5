//! Why mail waits, as it is told.

use crate::clock::Timestamp;

/// Why the selected mail waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    /// Entries that wait: messages, one for each of their domains.
    pub waiting: usize,
    /// Entries that are under way.
    pub in_flight: usize,
    /// What holds those that wait, the most first; their counts add up.
    pub causes: Vec<Cause>,
}

/// What holds entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its name, such as `policy:rate`.
    pub name: &'static str,
    /// How many it holds.
    pub count: usize,
    /// What it is, in words.
    pub detail: String,
    /// Where it comes from: a rule or setting as `file:line`, a directive, a site and source.
    pub place: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it ends, or is looked at again.
    pub until: Option<Timestamp>,
    /// What to do about it.
    pub remedy: &'static str,
    /// A selector of what it holds, as far as one says it.
    pub selector: String,
}

impl Cause {
    pub(crate) fn new(name: &'static str, detail: &str) -> Self {
        Self {
            name,
            count: 0,
            detail: detail.to_owned(),
            place: String::new(),
            since: None,
            until: None,
            remedy: "",
            selector: format!("cause={name}"),
        }
    }

    pub(crate) const fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = remedy;
        self
    }

    pub(crate) fn at(mut self, place: &str) -> Self {
        self.place = place.to_owned();
        self
    }

    pub(crate) fn of(mut self, selector: &str) -> Self {
        self.selector = selector.to_owned();
        self
    }
}
