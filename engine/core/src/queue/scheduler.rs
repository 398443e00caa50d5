//! When to send what to whom: a value without locks, clock or chance of its own.
//!
//! ```text
//! insert -> [resolve the domain] -> waiting for its turn -> attempt -> settled
//!               ^                        ^                     |
//!               |                        +--- due again <------+ retry
//! ```
//!
//! An entry is one message for one domain. Domains that share their mail hosts are one *site*; a
//! site as seen from one egress source is a *lane*, with a window and rates of its own. An entry
//! whose turn it is goes into a lane of its pool that is ready. Nothing here looks at all entries,
//! domains or sites, but for an operator's suspension and what has stood still until it expires.
//!
//! The driver also says what becomes of connections, because they are what is limited: an attempt
//! comes with [`Connection::New`] or [`Connection::Free`]; each new one ends in one call of
//! [`Scheduler::on_closed`], and may be free in between by [`Scheduler::on_free`].

mod cancelling;
pub mod directing;
mod explaining;
mod selecting;
mod surveying;
mod suspending;
mod turning;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::address::Domain;
use crate::mail::outcome::Outcome;
use crate::mail::outcome::Scope;
use crate::mail::outcome::Settlement;
use crate::queue::action::Action;
use crate::queue::action::Counts;
use crate::queue::action::DestinationId;
use crate::queue::action::LaneId;
use crate::queue::action::NewEntry;
use crate::queue::action::Ticket;
use crate::queue::action::Verdict;
use crate::queue::destinations::Destinations;
use crate::queue::destinations::Route;
use crate::queue::directive::Directives;
use crate::queue::entries::Entries;
use crate::queue::entries::Entry;
use crate::queue::entries::List;
use crate::queue::entries::NONE;
use crate::queue::entries::Place;
use crate::queue::flows::COST_MAX;
use crate::queue::lane::Health;
use crate::queue::ledger::Standing;
use crate::queue::policy::InDoubt;
use crate::queue::policy::Policy;
use crate::queue::remark::LATER;
use crate::queue::remark::Mark;
use crate::queue::remark::QUARANTINED;
use crate::queue::remark::Remark;
use crate::queue::remark::Remarks;
use crate::queue::remark::UNSAID;
use crate::queue::sites::Sites;
use crate::queue::streams::Streams;
use crate::queue::suspension::Suspensions;
use crate::queue::thaw::Thaw;
use crate::queue::turns::Lines;
use crate::queue::wheel::Wheel;

/// Look-ups under way at once.
pub const LOOKUPS_MAX: u32 = 256;
/// Entries with the driver at once only to be settled: expired, or without a route.
pub const LEAVING_MAX: u32 = 1_024;
/// What one call of [`Scheduler::poll`] does at most before it gives the driver a turn.
const STEPS_MAX: u32 = 4_096;

/// What an alarm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Group(u32),
    Destination(u32),
    Stream(u32),
    Held(u8),
    Suspensions,
    Thaw,
}

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    policy: Policy,
    chance: u64,
    entries: Entries,
    destinations: Destinations,
    streams: Streams,
    sites: Sites,
    suspensions: Suspensions,
    directives: Directives,
    remarks: Remarks,
    /// What was held back and is let go.
    thaw: Thaw,
    /// What waits for its time.
    wheel: Wheel,
    alarms: BinaryHeap<Reverse<(Timestamp, Alarm)>>,
    /// What has to be looked at again.
    waking: List,
    expired: List,
    /// What operators give up: the directive, the outcome, and what is left.
    refused: VecDeque<(Box<str>, Outcome, List)>,
    /// Destinations to be looked up, with those whose look-up is under way.
    lookups: Lines,
    asked: u32,
    /// Destinations that have failures to tell.
    telling: VecDeque<u32>,
    forgotten: VecDeque<Domain>,
    /// Groups that may have a turn, and those that only lack a connection.
    ready: Lines,
    starved: Lines,
    closing: usize,
    in_flight: u32,
    leaving: u32,
    /// Entries that are cancelled and not yet taken out of their lists.
    cancelled: usize,
    /// The last poll ended before its work did.
    unfinished: bool,
}

impl Scheduler {
    /// An empty scheduler; `seed` decides all jitter and every choice of a source.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            chance: seed | 1,
            entries: Entries::default(),
            destinations: Destinations::default(),
            streams: Streams::default(),
            sites: Sites::default(),
            suspensions: Suspensions::default(),
            directives: Directives::default(),
            remarks: Remarks::default(),
            thaw: Thaw::default(),
            wheel: Wheel::default(),
            alarms: BinaryHeap::new(),
            waking: List::default(),
            expired: List::default(),
            refused: VecDeque::new(),
            lookups: Lines::default(),
            asked: 0,
            telling: VecDeque::new(),
            forgotten: VecDeque::new(),
            ready: Lines::default(),
            starved: Lines::default(),
            closing: 0,
            in_flight: 0,
            leaving: 0,
            cancelled: 0,
            unfinished: false,
        }
    }

    /// Other limits and another retry plan from now on. Sources and pools stay as they are.
    pub fn set_policy(&mut self, mut policy: Policy) {
        policy.sources = std::mem::take(&mut self.policy.sources);
        policy.pools = std::mem::take(&mut self.policy.pools);
        self.policy = policy;
        for number in self.sites.numbers() {
            let Some(name) = self.sites.name(number) else { continue };
            let own = self.policy.own_limits(name);
            self.sites.limit(number, own.unwrap_or(self.policy.limits));
        }
        for number in self.destinations.numbers() {
            let Some(destination) = self.destinations.get(number) else { continue };
            if let Route::Site { site, .. } = destination.route {
                self.limit(site, destination.domain.clone());
            }
        }
    }

    /// A domain's own limits hold for its site, unless that has its own.
    fn limit(&mut self, site: u32, domain: Domain) {
        let named = self.sites.name(site).and_then(|name| self.policy.own_limits(name));
        if let Some(own) = self.policy.own_limits(domain.as_str()).filter(|_| named.is_none()) {
            self.sites.limit(site, own);
        }
    }

    /// Every destination is looked up anew before mail goes there.
    pub fn forget_routes(&mut self) {
        for number in self.destinations.numbers() {
            let route = self.destinations.get_mut(number).map(|found| &mut found.route);
            // The answer to a question that was asked is still to come.
            if let Some(Route::Site { until, .. } | Route::Failed { until, .. }) = route {
                *until = Timestamp::EPOCH;
            }
        }
    }

    /// Takes an entry.
    pub fn insert(&mut self, now: Timestamp, new: &NewEntry<'_>) {
        self.insert_by(now, new, None);
    }

    /// Takes an entry whose mail goes by the pool of this name, or by its tenant's if none is said
    /// or there is none of that name.
    pub fn insert_by(&mut self, now: Timestamp, new: &NewEntry<'_>, pool: Option<&str>) {
        let pool = pool.and_then(|name| self.policy.pool_named(name));
        let pool = pool.unwrap_or_else(|| self.policy.pool_of(&new.stream.tenant));
        let timed = new.due > now;
        let entry = Entry {
            id: new.id,
            expires_at: new.expires_at,
            due: new.due,
            place: Place::Listed { next: NONE },
            destination: self.destinations.enter(new.domain, &self.suspensions),
            flow: self.streams.enter(new.stream, pool, &self.suspensions),
            attempts: u16::try_from(new.attempts).unwrap_or(u16::MAX),
            cost: new.recipients.clamp(1, u32::from(COST_MAX)) as u16,
            mark: waits_for(new),
            hold: 0,
            standing: if timed { Standing::Timed } else { Standing::Ready },
        };
        let key = self.entries.insert(entry);
        self.receive(now, key);
        if timed {
            self.wheel.insert(&mut self.entries, key);
        } else {
            self.make_ready(now, key, false);
        }
    }

    /// The name of the pool by which a tenant's mail goes where nobody says otherwise.
    pub fn pool_for(&self, tenant: &str) -> &str {
        self.policy.pool_name(self.policy.pool_of(tenant))
    }

    /// What to do now; none until [`Scheduler::poll_timeout`] or the next call.
    pub fn poll(&mut self, now: Timestamp) -> Option<Action> {
        let mut steps = STEPS_MAX;
        self.unfinished = false;
        loop {
            self.run_alarms(now);
            let more = self.wake(now, &mut steps);
            if let Some(action) = self.act(now, &mut steps) {
                return Some(action);
            }
            if steps == 0 {
                self.unfinished = true;
                return None;
            }
            if !more && !self.is_pending() {
                return None;
            }
        }
    }

    /// When [`Scheduler::poll`] has something to do again by itself.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.unfinished {
            return Some(Timestamp::EPOCH);
        }
        let alarm = self.alarms.peek().map(|Reverse((at, _))| *at);
        self.wheel.next().into_iter().chain(alarm).min()
    }

    /// The answer to [`Action::Resolve`]: the name of the site, or what becomes of the mail. Valid
    /// for so long; a failure longer each time.
    pub fn on_resolved(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        found: Result<&str, Outcome>,
        valid: Duration,
    ) {
        let Some(destination) = self.destinations.get(id.0) else { return };
        self.asked = self.asked.saturating_sub(1);
        let domain = destination.domain.clone();
        let found = found.map(|name| {
            let site = self.sites.enter(name, &self.policy, &self.suspensions);
            self.limit(site, domain);
            site
        });
        let Some(destination) = self.destinations.get_mut(id.0) else { return };
        destination.on_resolved(now, found, valid);
        if !destination.suspended {
            let waiting = std::mem::take(&mut destination.waiting);
            self.waking.append(&mut self.entries, waiting);
        }
    }

    /// What became of an attempt: says what is done about each outcome. An entry with a recipient
    /// to try again stays, the others are forgotten.
    pub fn report<'a>(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        outcomes: impl IntoIterator<Item = &'a Outcome>,
    ) -> Option<Verdict> {
        self.report_with(now, ticket, outcomes, Hints::default())
    }

    /// As [`Self::report`], with what more is known of it.
    pub fn report_with<'a>(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        outcomes: impl IntoIterator<Item = &'a Outcome>,
        hints: Hints,
    ) -> Option<Verdict> {
        let (mut again, mut health, mut said) = (false, Health::Unknown, None);
        let mut counts = [0; 3];
        for outcome in outcomes {
            if let Some(count) = counts.get_mut(fate(outcome)) {
                *count += 1;
            }
            let in_doubt = matches!(outcome, Outcome::InDoubt(_));
            let deferred = matches!(outcome, Outcome::Deferred { .. })
                || in_doubt && self.policy.in_doubt == InDoubt::Retry;
            again |= deferred;
            health = worse(health, health_of(outcome));
            if deferred || health == Health::Fails {
                said = said.or_else(|| Some(outcome.diagnosis()));
            }
        }
        let remark = hints.remark.or_else(|| said.map(Remark::of));
        let mark = match remark {
            _ if hints.hold => QUARANTINED,
            Some(remark) => self.note(now, remark),
            None => UNSAID,
        };
        let lane = self.lane_of(ticket);
        let entry = self.land(now, ticket, health, mark)?;
        let [delivered, deferred, bounced] = counts;
        self.sites.count(now, lane, delivered, deferred, bounced);
        let attempts = entry.attempts.saturating_add(1);
        let chance = self.random();
        let plan = || self.policy.retry.delay(u32::from(attempts), chance);
        let due = match hints.hold {
            // Due when it expires: it waits until somebody lets it go.
            true => entry.expires_at,
            false => now + hints.retry_after.unwrap_or_else(plan),
        };
        let stays = due < entry.expires_at || hints.hold && now < due;
        let retry = if stays { Settlement::Retry(due) } else { Settlement::Expire };
        if again && stays {
            self.entries.change(ticket.0, |entry| {
                (entry.attempts, entry.due, entry.mark) = (attempts, due, mark);
                entry.standing = Standing::Timed;
            });
            self.wheel.insert(&mut self.entries, ticket.0);
        } else {
            self.remove(now, ticket.0);
        }
        let in_doubt = match self.policy.in_doubt {
            InDoubt::Retry => retry,
            InDoubt::Settle => Settlement::Done,
        };
        Some(Verdict { again: retry, in_doubt })
    }

    /// The lane in which an entry is under way; none of that number if in none.
    fn lane_of(&self, ticket: Ticket) -> u32 {
        match self.entries.get(ticket.0).map(|entry| entry.place) {
            Some(Place::InFlight { lane }) => lane,
            _ => NONE,
        }
    }

    fn note(&mut self, now: Timestamp, remark: Remark) -> Mark {
        let (entries, sites) = (&self.entries, &self.sites);
        self.remarks.note(now, remark, || {
            let carried = entries.ledger().iter().map(|(account, _)| account.mark);
            carried.chain(sites.marks()).collect()
        })
    }

    /// The attempt was not made: the entry goes back as it was, to the front.
    pub fn give_back(&mut self, now: Timestamp, ticket: Ticket) {
        if self.land(now, ticket, Health::Unknown, UNSAID).is_some() {
            self.make_ready(now, ticket.0, true);
        }
    }

    /// The message is gone: expired, removed, or unreadable.
    pub fn forget(&mut self, now: Timestamp, ticket: Ticket) {
        if self.land(now, ticket, Health::Unknown, UNSAID).is_some() {
            self.remove(now, ticket.0);
        }
    }

    /// A connection of this lane waits for a message.
    pub fn on_free(&mut self, lane: LaneId) {
        self.sites.on_free(lane.0);
        self.list_lane(lane.0);
    }

    /// A free connection of this lane ended by itself; [`Scheduler::on_closed`] follows.
    pub fn on_lost(&mut self, lane: LaneId) {
        self.sites.retire(lane.0);
    }

    /// A connection of this lane is closed, or was never opened.
    pub fn on_closed(&mut self, lane: LaneId) {
        self.sites.on_closed(lane.0);
        self.closing = self.closing.saturating_sub(1);
        self.list_lane(lane.0);
    }

    /// The counts of the moment.
    pub fn counts(&self) -> Counts {
        Counts {
            entries: self.entries.len() - self.cancelled,
            in_flight: self.in_flight as usize,
            deferred: self.wheel.len(),
            destinations: self.destinations.len(),
            sites: self.sites.len(),
            connections: self.sites.connections() as usize,
        }
    }

    /// The name of a lane's site; none if there is no such lane.
    pub fn site(&self, lane: LaneId) -> Option<&str> {
        let lane = self.sites.lane(lane.0)?;
        self.sites.name(lane.site).map(|name| &**name)
    }
}

/// What is known of a report beside its outcomes.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// What is tried again is so after this time in place of the plan's.
    pub retry_after: Option<Duration>,
    /// What was said, as a rule reads it.
    pub remark: Option<Remark>,
    /// It waits until somebody has looked at it, or it expires.
    pub hold: bool,
}

/// What is known of a new entry that has to wait: what was said before is not.
fn waits_for(new: &NewEntry<'_>) -> Mark {
    match new.attempts {
        _ if new.due >= new.expires_at => QUARANTINED,
        0 => LATER,
        _ => UNSAID,
    }
}

/// Among what an outcome counts: what was taken, put off or refused.
const fn fate(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Delivered(_) => 0,
        Outcome::Deferred { .. } | Outcome::InDoubt(_) => 1,
        Outcome::Bounced { .. } => 2,
    }
}

/// What an outcome says of the host. RFC 6647: greylisting is how a healthy host answers. One that
/// refuses a message for whom it comes from works, and not for us.
const fn health_of(outcome: &Outcome) -> Health {
    match outcome {
        Outcome::Bounced { scope: Scope::Host, .. } => Health::Fails,
        Outcome::Delivered(_) | Outcome::Bounced { .. } => Health::Works,
        Outcome::Deferred { scope: Scope::Host | Scope::Destination, .. } => Health::Fails,
        Outcome::Deferred { .. } => Health::Answers,
        Outcome::InDoubt(_) => Health::Fails,
    }
}

const fn worse(one: Health, other: Health) -> Health {
    match (one, other) {
        (Health::Fails, _) | (_, Health::Fails) => Health::Fails,
        (Health::Works, _) | (_, Health::Works) => Health::Works,
        (Health::Answers, _) | (_, Health::Answers) => Health::Answers,
        _ => Health::Unknown,
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
