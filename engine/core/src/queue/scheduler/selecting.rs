//! Whether an entry is meant by a selector.
//!
//! Most tests are about what many entries share: their domain, stream or last remark. The verdict
//! on each of these is kept, so that millions of entries are a matter of look-ups.

use crate::clock::Timestamp;
use crate::queue::entries::Entry;
use crate::queue::ledger::Account;
use crate::queue::ledger::Standing;
use crate::queue::scheduler::Scheduler;
use crate::queue::selection::Field;
use crate::selector::Selector;
use crate::selector::test::Test;

/// Verdicts by number: 0 if there is none yet, else 1 for no and 2 for yes.
type Verdicts = Vec<u8>;

/// A selector at work.
#[derive(Debug)]
pub(crate) struct Selecting<'a> {
    selector: &'a Selector,
    /// When ages are meant.
    as_of: Timestamp,
    /// For each test that is about what entries share.
    verdicts: Vec<Verdicts>,
}

impl<'a> Selecting<'a> {
    pub(crate) fn new(selector: &'a Selector, as_of: Timestamp) -> Self {
        let verdicts = selector.tests().map(|_| Verdicts::new()).collect();
        Self { selector, as_of, verdicts }
    }

    /// Whether accounts do not say enough.
    pub(crate) fn needs_entries(&self) -> bool {
        self.selector.tests().any(|test| Field::of(test).is_some_and(Field::is_of_entry))
    }

    pub(crate) fn selects(&mut self, queue: &Scheduler, entry: &Entry) -> bool {
        self.decide(queue, &entry.account(), Some(entry))
    }

    /// Whether all entries of an account are selected, if [`Self::needs_entries`] does not hold.
    pub(crate) fn selects_account(&mut self, queue: &Scheduler, account: &Account) -> bool {
        self.decide(queue, account, None)
    }

    fn decide(&mut self, queue: &Scheduler, account: &Account, entry: Option<&Entry>) -> bool {
        let Self { selector, as_of, verdicts } = self;
        if selector.is_everything() {
            return true;
        }
        selector.matches(&mut |test| {
            let Some(field) = Field::of(test) else { return false };
            let shared = match field {
                Field::Domain | Field::Site => account.destination as usize,
                Field::Tenant | Field::Campaign | Field::Class | Field::Pool | Field::Source => {
                    account.flow as usize
                }
                Field::Last => usize::from(account.mark),
                _ => {
                    let entry = entry.copied();
                    return own(queue, *as_of, field, account, entry.as_ref(), test);
                }
            };
            let Some(known) = verdicts.get_mut(test.number()) else { return false };
            if known.len() <= shared {
                known.resize(shared + 1, 0);
            }
            let Some(verdict) = known.get_mut(shared) else { return false };
            if *verdict == 0 {
                *verdict = 1 + u8::from(common(queue, field, account, test));
            }
            *verdict == 2
        })
    }
}

/// A test of what entries share.
fn common(queue: &Scheduler, field: Field, account: &Account, test: &Test) -> bool {
    let domain = || queue.destinations.get(account.destination).map(|found| &found.domain);
    let info = queue.streams.get(account.flow);
    let text = |text: &str| test.on_text(text);
    match field {
        Field::Domain => domain().is_some_and(|domain| text(domain.as_str())),
        Field::Site => text(&queue.site_of(account.destination)),
        Field::Tenant => info.is_some_and(|info| text(&info.stream.tenant)),
        Field::Campaign => info.is_some_and(|info| text(&info.stream.campaign)),
        Field::Class => info.is_some_and(|info| text(info.stream.class.name())),
        Field::Pool => info.is_some_and(|info| text(queue.policy.pool_name(info.pool))),
        Field::Source => info.is_some_and(|info| {
            let pool = queue.policy.pools.get(usize::from(info.pool));
            let mut sources = pool.into_iter().flat_map(|pool| &pool.sources);
            sources.any(|source| text(queue.policy.source_name(*source)))
        }),
        Field::Last => {
            let said = queue.remarks.get(account.mark).map(|kept| &*kept.remark.text);
            text(said.unwrap_or_default())
        }
        _ => false,
    }
}

/// A test of what is an entry's own.
fn own(
    queue: &Scheduler,
    as_of: Timestamp,
    field: Field,
    account: &Account,
    entry: Option<&Entry>,
    test: &Test,
) -> bool {
    let until = |at: Timestamp| at.since(as_of).as_secs_f64();
    match (field, entry) {
        (Field::Cause, _) => {
            account.standing != Standing::Flying && test.on_text(queue.cause_name(as_of, account))
        }
        (Field::State, _) => test.on_text(state(account)),
        (Field::Id, Some(entry)) => test.on_text(&entry.id.to_string()),
        (Field::Age, Some(entry)) => test.on_number(as_of.since(entry.id.made_at()).as_secs_f64()),
        (Field::Attempts, Some(entry)) => test.on_number(f64::from(entry.attempts)),
        (Field::Next, Some(entry)) => {
            entry.standing == Standing::Timed && test.on_number(until(entry.due))
        }
        (Field::Expires, Some(entry)) => test.on_number(until(entry.expires_at)),
        _ => false,
    }
}

const fn state(account: &Account) -> &'static str {
    match account.standing {
        Standing::Flying => "flying",
        _ if account.hold != 0 => "held",
        Standing::Held => "held",
        Standing::Timed => "timed",
        Standing::Routing => "routing",
        Standing::Ready | Standing::Thawing | Standing::Leaving => "ready",
    }
}
