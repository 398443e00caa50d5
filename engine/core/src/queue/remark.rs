//! What was said of mail that waits to be tried again: each remark is kept once, under a number
//! that entries carry.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::bounce::reason::Class;
use crate::bounce::template::template;
use crate::clock::Timestamp;
use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;

/// Remarks that are kept at once; those beyond are kept as one, without their words.
pub const REMARKS_MAX: usize = 4_096;

/// Whose doing it is that mail is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A host said so: what its reply is about.
    Remote(Class),
    /// The domain could not be looked up.
    Dns,
    /// No connection could be secured as it must be.
    Tls,
    /// No host could be reached, or a connection ended.
    Network,
    /// Something of ours was short.
    Resource,
    /// The configuration.
    Config,
    /// A plugin.
    Plugin,
}

impl Kind {
    /// Its name, as operators and programs see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Remote(class) => remote(class),
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Network => "network",
            Self::Resource => "resource",
            Self::Config => "config",
            Self::Plugin => "plugin",
        }
    }
}

const fn remote(class: Class) -> &'static str {
    match class {
        Class::BadAddress => "remote:bad_address",
        Class::Inactive => "remote:inactive",
        Class::MailboxFull => "remote:mailbox_full",
        Class::Policy => "remote:policy",
        Class::Reputation => "remote:reputation",
        Class::Content => "remote:content",
        Class::Size => "remote:size",
        Class::Relay => "remote:relay",
        Class::Dns => "remote:dns",
        Class::RateLimited => "remote:rate_limited",
        Class::Greylisted => "remote:greylisted",
        Class::Protocol => "remote:protocol",
        Class::Transient => "remote:transient",
        Class::Unknown => "remote:unknown",
    }
}

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whose doing it is.
    pub kind: Kind,
    /// The words: one printable line.
    pub text: Box<str>,
    /// The rule that read it, as `file:line`; empty if none did.
    pub place: Box<str>,
}

impl Remark {
    /// What a diagnosis says by itself, without a rule.
    pub fn of(diagnosis: &Diagnosis) -> Self {
        let kind = match (diagnosis.blame, diagnosis.status.subject, diagnosis.status.detail) {
            (Blame::Peer, ..) => Kind::Remote(Class::Unknown),
            (Blame::Us, ..) => Kind::Resource,
            (Blame::Config, ..) => Kind::Config,
            // RFC 3463 3.5 and 3.8: 4.4.3 and 4.4.4 are the directory and the route.
            (Blame::Network, 4, 3 | 4) | (Blame::Network, 1, 2) => Kind::Dns,
            (Blame::Network, 7, _) => Kind::Tls,
            (Blame::Network, ..) => Kind::Network,
        };
        Self { kind, text: diagnosis.to_string().into(), place: "".into() }
    }
}

/// The number of a remark.
pub(crate) type Mark = u16;

/// Nothing was said, or it is not known any more.
pub(crate) const UNSAID: Mark = 0;
/// It was asked for that it is not sent before a time.
pub(crate) const LATER: Mark = 1;
/// A plugin said that it is held until somebody looks at it.
pub(crate) const QUARANTINED: Mark = 2;
/// There are too many remarks.
pub(crate) const OTHERS: Mark = 3;
/// The first that is given out.
const FIRST: Mark = 4;
/// Remarks that find no room before it is looked again for numbers that nobody carries.
const PATIENCE: u32 = 1_024;

/// A remark, and when it was made first.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) remark: Remark,
    pub(crate) since: Timestamp,
}

/// All remarks.
#[derive(Debug, Default)]
pub(crate) struct Remarks {
    kept: Vec<Option<Kept>>,
    numbers: HashMap<(Kind, Box<str>), Mark>,
    free: Vec<Mark>,
    /// Remarks that found no room since it was looked for some.
    refused: u32,
}

impl Remarks {
    /// The number of a remark; `used` gives all numbers that are carried.
    pub(crate) fn note(
        &mut self,
        now: Timestamp,
        remark: Remark,
        used: impl FnOnce() -> BTreeSet<Mark>,
    ) -> Mark {
        let name = (remark.kind, Box::from(template(&remark.text)));
        if let Some(mark) = self.numbers.get(&name) {
            return *mark;
        }
        if self.kept.len() >= REMARKS_MAX && self.free.is_empty() {
            self.refused += 1;
            if self.refused % PATIENCE != 1 {
                return OTHERS;
            }
            self.forget_all_but(&used());
        }
        let kept = Some(Kept { remark, since: now });
        let mark = match self.free.pop() {
            Some(mark) => {
                if let Some(place) = self.kept.get_mut(usize::from(mark - FIRST)) {
                    *place = kept;
                }
                mark
            }
            None if self.kept.len() < REMARKS_MAX => {
                self.kept.push(kept);
                self.kept.len() as Mark - 1 + FIRST
            }
            None => return OTHERS,
        };
        self.numbers.insert(name, mark);
        mark
    }

    fn forget_all_but(&mut self, used: &BTreeSet<Mark>) {
        self.numbers.retain(|_, mark| used.contains(mark));
        for (mark, place) in (FIRST..).zip(&mut self.kept) {
            if place.is_some() && !used.contains(&mark) {
                *place = None;
                self.free.push(mark);
            }
        }
    }

    pub(crate) fn get(&self, mark: Mark) -> Option<&Kept> {
        self.kept.get(usize::from(mark.checked_sub(FIRST)?))?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn remark(n: usize) -> Remark {
        let letters: String = n.to_string().bytes().map(|d| char::from(d - b'0' + b'a')).collect();
        let text = format!("451 4.7.1 {letters} says no").into();
        Remark { kind: Kind::Remote(Class::Greylisted), text, place: "".into() }
    }

    #[test]
    fn what_differs_only_in_numbers_is_one_remark() {
        let mut all = Remarks::default();
        let text =
            |n: u32| format!("450 4.2.0 <user{n}@example.org> greylisted, wait {n} s").into();
        let mut note = |n| {
            let remark = Remark { text: text(n), ..remark(0) };
            all.note(NOW, remark, BTreeSet::new)
        };
        assert_eq!(note(10_000), note(22_222));
        let mark = note(70_000);
        assert_eq!(all.get(mark).unwrap().remark.text, text(10_000));
        assert!(all.get(UNSAID).is_none() && all.get(OTHERS).is_none());
    }

    #[test]
    fn there_are_so_many_and_numbers_that_nobody_carries_are_given_again() {
        let mut all = Remarks::default();
        let marks: Vec<_> =
            (0..REMARKS_MAX).map(|n| all.note(NOW, remark(n), BTreeSet::new)).collect();
        assert_eq!(all.note(NOW, remark(REMARKS_MAX), || marks.iter().copied().collect()), OTHERS);
        (0..PATIENCE - 1).for_each(|_| {
            assert_eq!(all.note(NOW, remark(REMARKS_MAX), || unreachable!()), OTHERS);
        });
        let given = all.note(NOW, remark(REMARKS_MAX), || marks[1..].iter().copied().collect());
        assert_eq!(given, marks[0]);
        assert_eq!(all.get(given).unwrap().remark, remark(REMARKS_MAX));
        assert_eq!(all.note(NOW, remark(5), || unreachable!()), marks[5]);
    }
}
