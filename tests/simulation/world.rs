//! A world: messages, domains, sites with moods, sources, an operator, and a daemon that restarts.

mod directing;
mod happenings;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::BinaryHeap;
use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::mail::outcome::Settlement;
use maily_core::queue::action::Action;
use maily_core::queue::action::Attempt;
use maily_core::queue::action::Connection;
use maily_core::queue::action::DestinationId;
use maily_core::queue::action::LaneId;
use maily_core::queue::policy::InDoubt;
use maily_core::queue::policy::Policy;
use maily_core::queue::policy::SourceIndex;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::suspension::Selector;
use maily_core::queue::suspension::Suspension;

use crate::chance::Chance;
use crate::judge::Bounds;
use crate::judge::Judge;
use crate::peers::Mood;
use crate::setup;
use crate::sums::Sums;
use crate::world::directing::Held;

const START: Timestamp = Timestamp::from_secs(1_000_000);
/// How long a look-up takes at most, and so how late what waits for it may expire.
const LOOK_UP_MAX: u64 = 30;
/// When all is well, each is delivered within this time, whatever else waits.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Steps of one run; more mean that it goes in circles.
const STEPS_MAX: u32 = 400_000;
/// What an operator says who gives mail up.
const REFUSED: &str = "refused by the operator";
const TENANTS: [&str; 4] = ["", "shop", "bank", "club"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Put,
    Mood,
    Suspend,
    Resume,
    Cancel,
    Hold,
    Lift,
    Refuse,
    Hurry,
    Restart,
    /// From here on all is well, so that all must end.
    Peace,
    Found(usize),
    End(usize),
    IdleOut(usize),
    Closed(usize),
}

/// One message's recipients at one domain, as the spool knows them.
#[derive(Debug)]
struct Part {
    domain: usize,
    stream: Stream,
    expires_at: Timestamp,
    attempts: u32,
    due: Timestamp,
    flying: bool,
    /// For each recipient: how often it was taken, and how often that may be more than once.
    recipients: Vec<(u32, u32)>,
    left: BTreeSet<usize>,
}

#[derive(Debug)]
struct Conn {
    lane: LaneId,
    site: String,
    source: SourceIndex,
    /// It has ended or is about to, and the driver has not heard of it.
    dead: bool,
    idle: bool,
}

type Key = (u64, usize);

pub(crate) struct World {
    chance: Chance,
    now: Timestamp,
    policy: Policy,
    bounds: Bounds,
    strict: Bounds,
    scheduler: Scheduler,
    judge: Judge,
    moods: Vec<Mood>,
    domains: Vec<Domain>,
    parts: BTreeMap<Key, Part>,
    by_expiry: BTreeSet<(Timestamp, Key)>,
    suspended: Vec<Suspension>,
    held: Vec<Held>,
    events: BinaryHeap<Reverse<(Timestamp, u32, u32, Event)>>,
    count: u32,
    epoch: u32,
    lookups: Vec<(DestinationId, Domain)>,
    flights: Vec<(Attempt, usize)>,
    conns: Vec<Conn>,
    flying: usize,
    looking: usize,
    open: u32,
    next_id: u64,
    peace: Option<Timestamp>,
    /// How many milliseconds an attempt may take.
    pace: u64,
    sums: Sums,
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let sites = 1 + chance.roll(6) as usize;
        let sources = 1 + chance.roll(4) as u16;
        let (policy, bounds, strict) = setup::policy(&mut chance, sources);
        let domain = |n| Domain::parse(&format!("d{n}.example")).unwrap();
        let domains = (0..=chance.roll(12)).map(domain).collect();
        let mut world = Self {
            now: START,
            scheduler: Scheduler::new(policy.clone(), seed),
            policy,
            bounds,
            strict,
            judge: Judge::default(),
            moods: vec![Mood::Good; sites],
            domains,
            parts: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            suspended: Vec::new(),
            held: Vec::new(),
            events: BinaryHeap::new(),
            count: 0,
            epoch: 0,
            lookups: Vec::new(),
            flights: Vec::new(),
            conns: Vec::new(),
            flying: 0,
            looking: 0,
            open: 0,
            next_id: 0,
            peace: None,
            pace: [20_000, 1_000, 20][chance.roll(3) as usize],
            sums: Sums::default(),
            chance,
        };
        world.script();
        world
    }

    /// What will happen, whatever the queue does.
    fn script(&mut self) {
        let length = 600 + self.chance.roll(20_000);
        let happen = [
            (Event::Put, 20 + self.chance.roll(60)),
            (Event::Mood, 4 + self.chance.roll(30)),
            (Event::Suspend, self.chance.roll(6)),
            (Event::Resume, self.chance.roll(6)),
            (Event::Cancel, self.chance.roll(6)),
            (Event::Hold, self.chance.roll(6)),
            (Event::Lift, self.chance.roll(6)),
            (Event::Refuse, self.chance.roll(3)),
            (Event::Hurry, self.chance.roll(6)),
            (Event::Restart, self.chance.roll(3)),
        ];
        for (event, times) in happen {
            for _ in 0..times {
                let at = START + Duration::from_millis(self.chance.roll(length * 1_000));
                self.at(at, event);
            }
        }
        self.at(START + seconds(length), Event::Peace);
    }

    fn at(&mut self, at: Timestamp, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, self.epoch, event)));
    }

    fn soon(&mut self, within: u64, event: Event) {
        let at = self.now + Duration::from_millis(self.chance.roll(within * 1_000));
        self.at(at, event);
    }

    pub(crate) fn run(mut self) -> Sums {
        for _ in 0..STEPS_MAX {
            let now = self.now;
            self.suspended.retain(|one| one.until.is_none_or(|until| until > now));
            while let Some(action) = self.scheduler.poll(self.now) {
                self.act(action);
            }
            self.check();
            if self.chance.once_in(20) {
                self.check_causes();
            }
            if self.peace.is_some() && self.parts.is_empty() && self.flying == 0 {
                return self.sums;
            }
            let wake = self.scheduler.poll_timeout();
            let event = self.events.peek().map(|Reverse(next)| next.0);
            let next = wake.into_iter().chain(event).min().expect("nothing will ever happen");
            self.now = self.now.max(next);
            while let Some(Reverse((at, _, epoch, event))) = self.events.peek().copied() {
                if at > self.now {
                    break;
                }
                self.events.pop();
                let scripted = event < Event::Found(0);
                if scripted || epoch == self.epoch {
                    self.happen(event);
                }
            }
        }
        panic!("{} parts never end", self.parts.len());
    }

    fn site_of(&self, domain: usize) -> usize {
        domain % self.moods.len()
    }

    fn bounds(&self, site: &str) -> Bounds {
        if site == "site0" { self.strict } else { self.bounds }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Resolve(id, domain) => {
                self.lookups.push((id, domain));
                self.looking += 1;
                self.soon(LOOK_UP_MAX, Event::Found(self.lookups.len() - 1));
            }
            Action::Attempt(attempt) => self.begin(attempt),
            Action::Unroutable(attempt, outcome) => {
                self.sums.unroutable += 1;
                let key = self.key(attempt.id, &attempt.domain);
                let held = Selector::Destination(attempt.domain.clone());
                let refused = outcome.diagnosis().text() == REFUSED;
                let told = self.suspended.iter().any(|one| one.selector == held);
                assert!(refused || !told, "told though held");
                self.take_off(key, attempt.number);
                let count = self.parts[&key].left.len();
                self.settle(&attempt, key, vec![outcome; count]);
            }
            Action::Expired(ticket, id, domain) => {
                let key = self.key(id, &domain);
                let part = &self.parts[&key];
                assert!(part.expires_at <= self.now, "expired before its time");
                assert!(!part.flying, "expired under way");
                if let Some(peace) = self.peace {
                    let had = part.expires_at.since(peace.max(part.due));
                    assert!(had < PATIENCE, "{key:?} had all of {had:?} to be delivered");
                }
                self.sums.expired += part.left.len() as u64;
                self.scheduler.forget(self.now, ticket);
                self.remove(key);
            }
            Action::Close(lane) => {
                self.sums.closes += 1;
                let idle = |conn: &Conn| conn.idle && conn.lane == lane;
                if let Some(number) = self.conns.iter().position(idle) {
                    self.conns[number].idle = false;
                    self.close(number);
                }
            }
            Action::Forgotten(_) => {}
        }
    }

    fn key(&self, id: QueueId, domain: &Domain) -> Key {
        (id.as_u64(), self.domains.iter().position(|other| other == domain).unwrap())
    }

    /// A part leaves the queue for a while.
    fn take_off(&mut self, key: Key, number: u32) {
        let part = self.parts.get_mut(&key).expect("tried after its end");
        assert!(!part.flying, "in two places");
        assert!(part.due <= self.now, "tried before its time");
        assert!(part.expires_at > self.now, "tried after its time");
        assert_eq!(number, part.attempts + 1);
        part.flying = true;
        self.flying += 1;
    }

    fn begin(&mut self, attempt: Attempt) {
        self.sums.attempts += 1;
        let key = self.key(attempt.id, &attempt.domain);
        self.take_off(key, attempt.number);
        let site = format!("site{}", self.site_of(key.1));
        assert_eq!(self.scheduler.site(attempt.lane), Some(site.as_str()));
        let (part, source) = (&self.parts[&key], attempt.source);
        assert!(!self.is_held(part), "sent though held");
        for suspension in &self.suspended {
            let held = self.holds(suspension, part, &site, source);
            assert!(!held, "sent though suspended: {suspension:?}");
        }
        let pool = usize::from(&*part.stream.tenant == "shop");
        assert!(self.policy.pools[pool].sources.contains(&source), "not of its pool");
        let bounds = self.bounds(&site);
        self.judge.on_attempt(self.now, &site, source, &bounds);
        let number = match attempt.connection {
            Connection::New => {
                self.judge.on_opening(self.now, &site, source, &bounds);
                self.open += 1;
                let (lane, dead, idle) = (attempt.lane, false, false);
                self.conns.push(Conn { lane, site, source, dead, idle });
                self.conns.len() - 1
            }
            Connection::Free => {
                let idle = |conn: &Conn| conn.idle && conn.lane == attempt.lane;
                let Some(number) = self.conns.iter().rposition(idle) else {
                    return self.give_back(&attempt, key, &site);
                };
                self.conns[number].idle = false;
                if self.conns[number].dead {
                    return self.give_back(&attempt, key, &site);
                }
                number
            }
        };
        if self.chance.once_in(60) {
            // The worker had no use for it.
            let conn = &self.conns[number];
            let site = conn.site.clone();
            self.give_back(&attempt, key, &site);
            return self.close(number);
        }
        self.flights.push((attempt, number));
        let takes = if self.peace.is_some() { self.pace.min(1_000) } else { self.pace };
        let end = self.now + Duration::from_millis(self.chance.roll(takes));
        self.at(end, Event::End(self.flights.len() - 1));
    }

    fn give_back(&mut self, attempt: &Attempt, key: Key, site: &str) {
        self.sums.given_back += 1;
        self.judge.on_end(site, attempt.source, None);
        self.parts.get_mut(&key).unwrap().flying = false;
        self.flying -= 1;
        self.scheduler.give_back(self.now, attempt.ticket);
    }

    fn holds(&self, held: &Suspension, part: &Part, site: &str, source: SourceIndex) -> bool {
        let name = &self.policy.sources[usize::from(source.0)].name;
        match &held.selector {
            Selector::All => true,
            Selector::Destination(domain) => self.domains[part.domain] == *domain,
            Selector::Site(other) => **other == *site,
            Selector::Source(other) => other == name,
            Selector::Tenant(tenant) => part.stream.tenant == *tenant,
            Selector::Campaign { tenant, campaign } => {
                part.stream.tenant == *tenant && part.stream.campaign == *campaign
            }
        }
    }

    /// It ends now; the driver hears of it a little later.
    fn close(&mut self, number: usize) {
        if !std::mem::replace(&mut self.conns[number].dead, true) {
            self.soon(3, Event::Closed(number));
        }
    }

    fn end(&mut self, flight: usize) {
        let (attempt, number) = self.flights[flight].clone();
        let key = self.key(attempt.id, &attempt.domain);
        let mood = match self.moods[self.site_of(key.1)] {
            // It throttles now and then.
            Mood::Throttles if self.chance.once_in(2) => Mood::Good,
            mood => mood,
        };
        let (count, attempts) = (self.parts[&key].left.len(), self.parts[&key].attempts);
        let outcomes: Vec<_> =
            (0..count).map(|_| mood.outcome(&mut self.chance, attempts)).collect();
        let failed = |outcome: &Outcome| {
            matches!(outcome, Outcome::InDoubt(_) | Outcome::Deferred { scope: Scope::Host, .. })
        };
        let over = outcomes.iter().any(failed);
        let site = self.conns[number].site.clone();
        self.judge.on_end(&site, attempt.source, Some(over));
        self.settle(&attempt, key, outcomes);
        if over {
            return self.close(number);
        }
        self.conns[number].idle = true;
        self.scheduler.on_free(attempt.lane);
        self.soon(20, Event::IdleOut(number));
    }

    /// The end of an attempt, and what the spool learns of it.
    fn settle(&mut self, attempt: &Attempt, key: Key, outcomes: Vec<Outcome>) {
        let verdict = self.scheduler.report(self.now, attempt.ticket, &outcomes).unwrap();
        let part = self.parts.get_mut(&key).unwrap();
        part.flying = false;
        self.flying -= 1;
        let left: Vec<_> = part.left.iter().copied().collect();
        for (recipient, outcome) in left.into_iter().zip(&outcomes) {
            let (taken, excuses) = &mut part.recipients[recipient];
            *taken += u32::from(matches!(outcome, Outcome::Delivered(_) | Outcome::InDoubt(_)));
            if matches!(outcome, Outcome::InDoubt(_)) {
                *excuses += 1;
                self.sums.in_doubt += 1;
            }
            self.sums.duplicates += u64::from(*taken > 1);
            assert!(*taken <= 1 + *excuses, "delivered twice without an excuse");
            match (verdict.of(outcome), outcome) {
                (Settlement::Done, Outcome::Delivered(_)) => self.sums.delivered += 1,
                (Settlement::Done, Outcome::InDoubt(_)) => {
                    assert_eq!(self.policy.in_doubt, InDoubt::Settle);
                }
                (Settlement::Bounce, Outcome::Bounced { .. }) => self.sums.bounced += 1,
                (Settlement::Expire, Outcome::Deferred { .. } | Outcome::InDoubt(_)) => {
                    self.sums.expired += 1;
                }
                (Settlement::Retry(due), Outcome::Deferred { .. } | Outcome::InDoubt(_)) => {
                    assert!(due > self.now && due < part.expires_at);
                    self.sums.deferred += 1;
                    (part.due, part.attempts) = (due, attempt.number);
                    continue;
                }
                other => panic!("{other:?}"),
            }
            part.left.remove(&recipient);
        }
        if part.left.is_empty() {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        let part = self.parts.remove(&key).unwrap();
        self.by_expiry.remove(&(part.expires_at, key));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Put => self.put(),
            Event::Mood if self.peace.is_none() => {
                let site = self.chance.roll(self.moods.len() as u64) as usize;
                self.moods[site] = Mood::ALL[self.chance.roll(7) as usize];
            }
            Event::Suspend if self.peace.is_none() => self.suspend(),
            Event::Resume => {
                let number = self.chance.roll(self.suspended.len() as u64) as usize;
                if number < self.suspended.len() {
                    let gone = self.suspended.remove(number);
                    assert!(self.scheduler.resume(self.now, &gone.selector));
                }
            }
            Event::Cancel => self.cancel(),
            Event::Hold if self.peace.is_none() => self.hold(),
            Event::Lift => self.lift(),
            Event::Refuse => self.refuse(),
            Event::Hurry => self.hurry(),
            Event::Restart => self.restart(),
            Event::Peace => {
                self.peace = Some(self.now);
                self.moods.fill(Mood::Good);
                self.let_all_go();
                for gone in std::mem::take(&mut self.suspended) {
                    self.scheduler.resume(self.now, &gone.selector);
                }
            }
            Event::Found(lookup) => self.found(lookup),
            Event::End(flight) => self.end(flight),
            Event::IdleOut(number) => {
                if self.conns[number].idle {
                    self.close(number);
                }
            }
            Event::Closed(number) => {
                let conn = &mut self.conns[number];
                if std::mem::take(&mut conn.idle) {
                    self.scheduler.on_lost(conn.lane);
                }
                self.scheduler.on_closed(conn.lane);
                self.judge.on_closed(&conn.site, conn.source);
                self.open -= 1;
            }
            Event::Mood | Event::Suspend | Event::Hold => {}
        }
    }
}
