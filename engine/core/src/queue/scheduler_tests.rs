//! The scheduler's promises, one by one. `tests/simulation` holds them all at once.

use super::*;
use crate::mail::envelope::Class;
use crate::mail::envelope::Stream;
use crate::mail::id::QueueId;
use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;
use crate::queue::action::Attempt;
use crate::queue::action::Connection;
use crate::queue::cancellation::Cancelled;
use crate::queue::cancellation::Which;
use crate::queue::directive::Covers;
use crate::queue::directive::Directive;
use crate::queue::directive::Verb;
use crate::queue::policy::Limits;
use crate::queue::policy::Pool;
use crate::queue::policy::SourceIndex;
use crate::queue::policy::SourceShare;
use crate::queue::rate::Rate;
use crate::queue::scheduler::directing::Directed;
use crate::queue::suspension::Selector;
use crate::queue::suspension::Suspension;

const START: Timestamp = Timestamp::from_secs(1_000);
const VALID: Duration = Duration::from_secs(600);
const EXPIRY: Timestamp = Timestamp::from_secs(400_000);

fn diagnosis(class: u8) -> Diagnosis {
    Diagnosis::ours(EnhancedStatus::new(class, 0, 0), Blame::Peer, "as told")
}

fn deferred(scope: Scope) -> Outcome {
    Outcome::Deferred { scope, diagnosis: diagnosis(4) }
}

fn delivered() -> Outcome {
    Outcome::Delivered(diagnosis(2))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A scheduler whose look-ups answer at once: the site is the domain's first label.
struct World {
    scheduler: Scheduler,
    now: Timestamp,
    next_id: u64,
    expired: u32,
    unroutable: Vec<Attempt>,
    forgotten: u32,
    closed: u32,
}

impl World {
    fn new(policy: Policy) -> Self {
        Self {
            scheduler: Scheduler::new(policy, 1),
            now: START,
            next_id: 0,
            expired: 0,
            unroutable: Vec::new(),
            forgotten: 0,
            closed: 0,
        }
    }

    fn put(&mut self, domain: &str, stream: &Stream, count: u64) {
        self.put_until(domain, stream, count, EXPIRY);
    }

    fn put_until(&mut self, domain: &str, stream: &Stream, count: u64, expires_at: Timestamp) {
        let domain = &Domain::parse(domain).unwrap();
        for _ in 0..count {
            self.next_id += 1;
            let id = QueueId::from_u64(self.next_id);
            let (attempts, due, recipients) = (0, self.now, 1);
            let new = NewEntry { id, domain, stream, expires_at, attempts, due, recipients };
            self.scheduler.insert(self.now, &new);
        }
    }

    /// All attempts that may begin now.
    fn poll(&mut self) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        while let Some(action) = self.scheduler.poll(self.now) {
            match action {
                Action::Resolve(id, domain) => {
                    let site = domain.as_str().split('.').next();
                    self.scheduler.on_resolved(self.now, id, Ok(site.unwrap()), VALID);
                }
                Action::Attempt(attempt) => attempts.push(attempt),
                Action::Unroutable(attempt, _) => self.unroutable.push(attempt),
                Action::Expired(ticket, ..) => {
                    self.expired += 1;
                    self.scheduler.forget(self.now, ticket);
                }
                Action::Close(lane) => {
                    self.closed += 1;
                    self.scheduler.on_closed(lane);
                }
                Action::Forgotten(_) => self.forgotten += 1,
            }
        }
        attempts
    }

    /// It ends so, and its connection is free again.
    fn end(&mut self, attempt: &Attempt, outcome: &Outcome) -> Settlement {
        let verdict = self.scheduler.report(self.now, attempt.ticket, [outcome]).unwrap();
        self.scheduler.on_free(attempt.lane);
        verdict.of(outcome)
    }

    fn done(&mut self, attempt: &Attempt) {
        assert_eq!(self.end(attempt, &delivered()), Settlement::Done);
    }

    /// It ends so, and so does its connection.
    fn cut(&mut self, attempt: &Attempt, outcome: &Outcome) -> Settlement {
        let verdict = self.scheduler.report(self.now, attempt.ticket, [outcome]).unwrap();
        self.scheduler.on_closed(attempt.lane);
        verdict.of(outcome)
    }

    /// Delivers all that can go until then, waking exactly when told to; gives when each began.
    fn deliver_until(&mut self, end: Timestamp) -> Vec<Timestamp> {
        let mut begun = Vec::new();
        loop {
            let attempts = self.poll();
            for attempt in &attempts {
                begun.push(self.now);
                self.end(attempt, &delivered());
            }
            if !attempts.is_empty() {
                continue;
            }
            match self.scheduler.poll_timeout() {
                Some(wake) if wake <= end => self.now = self.now.max(wake),
                _ => return begun,
            }
        }
    }

    fn suspend(&mut self, selector: Selector, until: Option<Timestamp>) {
        let (name, since) = ("d-1".into(), START);
        let new = Suspension { name, since, selector, reason: "test".into(), until };
        self.scheduler.suspend(self.now, new).unwrap();
    }
}

fn tenant(name: &str) -> Stream {
    Stream { tenant: name.into(), class: Class::Bulk, ..Stream::default() }
}

fn limits(limits: Limits) -> Policy {
    Policy { limits, ..Policy::default() }
}

/// Two sources of this weight each, and a pool for the tenant `vip` with the second alone.
fn two_sources(weights: [u32; 2]) -> Policy {
    let share = |(n, weight): (usize, u32)| SourceShare { name: format!("out{n}").into(), weight };
    let pool = |name: &str, sources: &[u16], tenants: &[&str]| Pool {
        name: name.into(),
        sources: sources.iter().map(|n| SourceIndex(*n)).collect(),
        tenants: tenants.iter().map(|name| (*name).into()).collect(),
    };
    Policy {
        sources: weights.into_iter().enumerate().map(share).collect(),
        pools: vec![pool("default", &[0, 1], &[]), pool("vip", &[1], &["vip"])],
        ..Policy::default()
    }
}

#[test]
fn a_domain_is_resolved_once_and_its_entries_follow_up_to_the_window() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &Stream::default(), 50);
    let attempts = world.poll();
    assert_eq!(attempts.len(), 5, "the initial window");
    assert!(attempts.iter().all(|attempt| attempt.connection == Connection::New));
    assert_eq!(world.end(&attempts[0], &delivered()), Settlement::Done);
    let next = world.poll();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].connection, Connection::Free, "a free one is used first");
    assert_eq!(world.scheduler.counts().entries, 49);
}

#[test]
fn a_dead_site_rests_and_another_is_unharmed() {
    let mut world = World::new(Policy::default());
    world.put("dead.example", &Stream::default(), 20);
    world.put("good.example", &Stream::default(), 20);
    let (mut good, mut dead) = (0, 0);
    loop {
        let attempts = world.poll();
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            if attempt.domain.as_str() == "dead.example" {
                dead += 1;
                world.cut(&attempt, &deferred(Scope::Host));
            } else {
                good += 1;
                world.end(&attempt, &delivered());
            }
        }
    }
    assert_eq!((good, dead), (20, 5), "a dead site is tried as often as its window allows");
    let wake = world.scheduler.poll_timeout().unwrap();
    assert_eq!(wake.since(START), seconds(10), "the rest ends first");
    world.now = wake;
    assert_eq!(world.poll().len(), 1, "one probe");
}

#[test]
fn an_unreachable_domain_is_told_and_settled_by_the_same_report() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let domain = &Domain::parse("no.example").unwrap();
    let (id, stream) = (QueueId::from_u64(1), &Stream::default());
    let new =
        NewEntry { id, domain, stream, expires_at: EXPIRY, attempts: 0, due: START, recipients: 1 };
    scheduler.insert(START, &new);
    let Some(Action::Resolve(id, _)) = scheduler.poll(START) else { panic!() };
    assert_eq!(scheduler.poll(START), None);
    let outcome = Outcome::Bounced { scope: Scope::Destination, diagnosis: diagnosis(5) };
    scheduler.on_resolved(START, id, Err(outcome.clone()), VALID);
    let Some(Action::Unroutable(attempt, told)) = scheduler.poll(START) else { panic!() };
    assert_eq!(told, outcome);
    let verdict = scheduler.report(START, attempt.ticket, [&told]).unwrap();
    assert_eq!(verdict.of(&told), Settlement::Bounce);
    assert_eq!(scheduler.counts().entries, 0);
}

#[test]
fn a_failed_look_up_is_tried_again_later_each_time_and_the_mail_keeps_its_retry_plan() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let domain = &Domain::parse("broken.example").unwrap();
    let stream = &Stream::default();
    let mut asked = Vec::new();
    let mut now = START;
    let mut attempts = 0;
    for n in 0..400 {
        // A message comes each minute; each is put off by its own plan.
        let id = QueueId::from_u64(n);
        let new = NewEntry {
            id,
            domain,
            stream,
            expires_at: EXPIRY,
            attempts: 0,
            due: now,
            recipients: 1,
        };
        scheduler.insert(now, &new);
        while let Some(action) = scheduler.poll(now) {
            match action {
                Action::Resolve(id, _) => {
                    asked.push(now);
                    scheduler.on_resolved(now, id, Err(deferred(Scope::Destination)), seconds(60));
                }
                Action::Unroutable(attempt, outcome) => {
                    attempts += 1;
                    assert_eq!(attempt.lane, LaneId::NONE);
                    let verdict = scheduler.report(now, attempt.ticket, [&outcome]).unwrap();
                    let Settlement::Retry(due) = verdict.of(&outcome) else { panic!() };
                    assert!(due.since(now) >= seconds(240));
                }
                other => panic!("{other:?}"),
            }
        }
        now = now + seconds(60);
    }
    let pauses: Vec<_> = asked.windows(2).map(|w| w[1].since(w[0]).as_secs()).collect();
    assert!(pauses.starts_with(&[60, 120, 240, 480, 960, 1_920, 3_600, 3_600]), "{pauses:?}");
    assert!(attempts > 1_000, "{attempts}");
}

#[test]
fn an_entry_too_old_is_expired_instead_of_tried() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &Stream::default(), 1);
    world.now = EXPIRY;
    assert!(world.poll().is_empty());
    assert_eq!((world.expired, world.scheduler.counts().entries), (1, 0));
}

#[test]
fn what_cannot_move_expires_all_the_same() {
    let soon = START + seconds(3_000);
    let held = [
        Selector::All,
        Selector::Destination(Domain::parse("a.example").unwrap()),
        Selector::Site("a".into()),
        Selector::Source("default".into()),
        Selector::Tenant("t".into()),
        Selector::Campaign { tenant: "t".into(), campaign: "".into() },
    ];
    for selector in held {
        let mut world = World::new(Policy::default());
        world.suspend(selector.clone(), None);
        world.put_until("a.example", &tenant("t"), 10, soon);
        world.put_until("a.example", &tenant("t"), 10, soon + seconds(500));
        assert!(world.deliver_until(soon - Duration::from_micros(1)).is_empty(), "{selector:?}");
        assert_eq!(world.expired, 0);
        assert!(world.deliver_until(soon + seconds(1)).is_empty());
        assert_eq!(world.expired, 10, "{selector:?}");
        assert!(world.deliver_until(soon + seconds(502)).is_empty());
        assert_eq!((world.expired, world.scheduler.counts().entries), (20, 0), "{selector:?}");
    }
    // As does what waits behind a host that never answers.
    let mut world = World::new(Policy::default());
    world.put_until("a.example", &tenant("t"), 100, soon);
    while world.now < soon + seconds(10) {
        for attempt in world.poll() {
            world.cut(&attempt, &deferred(Scope::Host));
        }
        world.now = world.scheduler.poll_timeout().unwrap_or(EXPIRY);
    }
    assert_eq!(world.scheduler.counts().entries, 0);
}

#[test]
fn a_suspension_holds_what_it_names_and_nothing_else_and_ends() {
    let domain = |name: &str| Selector::Destination(Domain::parse(name).unwrap());
    let cases = [
        (Selector::All, 0),
        (domain("a.example"), 10),
        (domain("a.other"), 20),
        (Selector::Site("a".into()), 5),
        (Selector::Tenant("t".into()), 5),
        (Selector::Campaign { tenant: "t".into(), campaign: "".into() }, 5),
        (Selector::Campaign { tenant: "t".into(), campaign: "x".into() }, 20),
    ];
    let fill = |world: &mut World| {
        world.put("a.example", &tenant("t"), 10);
        world.put("a.other", &tenant("u"), 5);
        world.put("b.example", &tenant("t"), 5);
    };
    for (selector, _) in cases {
        let all = 20;
        let held = match &selector {
            Selector::All => 20,
            Selector::Destination(domain) if domain.as_str() == "a.example" => 10,
            Selector::Destination(_) => 5,
            Selector::Site(_) => 15,
            Selector::Tenant(_) => 15,
            Selector::Campaign { campaign, .. } if campaign.is_empty() => 15,
            _ => 0,
        };
        // Whether the mail is there first or the suspension.
        for early in [true, false] {
            let mut world = World::new(Policy::default());
            if early {
                world.suspend(selector.clone(), None);
                fill(&mut world);
            } else {
                fill(&mut world);
                world.suspend(selector.clone(), None);
            }
            assert_eq!(world.deliver_until(START).len(), all - held, "{selector:?}");
            assert_eq!(world.scheduler.suspensions().count(), 1);
            assert!(world.scheduler.resume(world.now, &selector));
            assert!(!world.scheduler.resume(world.now, &selector));
            assert_eq!(world.deliver_until(START).len(), held, "{selector:?}");
        }
        let mut world = World::new(Policy::default());
        fill(&mut world);
        world.suspend(selector.clone(), Some(START + seconds(50)));
        let begun = world.deliver_until(START + seconds(100));
        assert_eq!(begun.iter().filter(|at| at.since(START) == seconds(50)).count(), held);
        assert_eq!(world.scheduler.suspensions().count(), 0);
    }
}

#[test]
fn a_suspended_source_leaves_the_mail_to_the_others_of_its_pool() {
    let mut world = World::new(two_sources([1, 1]));
    world.suspend(Selector::Source("out1".into()), None);
    world.put("a.example", &tenant("any"), 10);
    world.put("a.example", &tenant("vip"), 10);
    let attempts = world.poll();
    assert!(attempts.iter().all(|attempt| attempt.source == SourceIndex(0)));
    attempts.iter().for_each(|attempt| world.done(attempt));
    assert_eq!(world.deliver_until(START).len() + attempts.len(), 10);
    assert!(world.scheduler.resume(START, &Selector::Source("out1".into())));
    assert_eq!(world.deliver_until(START).len(), 10);
}

#[test]
fn a_lane_that_rests_leaves_the_other_sources_alone() {
    let mut world = World::new(two_sources([1, 1]));
    world.put("a.example", &tenant("any"), 200);
    let mut delivered_by = [0, 0];
    let mut refused = 0;
    loop {
        let attempts = world.poll();
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            if attempt.source == SourceIndex(1) {
                refused += 1;
                world.cut(&attempt, &deferred(Scope::Host));
            } else {
                delivered_by[0] += 1;
                world.end(&attempt, &delivered());
            }
        }
    }
    assert_eq!(refused, 5, "the second source is sent away, and rests");
    assert_eq!(delivered_by[0], 195);
}

#[test]
fn sources_share_by_weight() {
    let mut world = World::new(two_sources([3, 1]));
    let mut by_source = [0, 0];
    world.put("a.example", &tenant("any"), 4_000);
    while world.scheduler.counts().entries > 0 {
        for attempt in world.poll() {
            by_source[usize::from(attempt.source.0)] += 1;
            world.done(&attempt);
        }
    }
    assert!((2_800..=3_200).contains(&by_source[0]), "{by_source:?}");
}

#[test]
fn sources_share_by_weight_though_one_has_a_connection_that_is_free() {
    let mut world = World::new(two_sources([3, 1]));
    let mut by_source = [0, 0];
    for _ in 0..4_000 {
        world.put("a.example", &tenant("any"), 1);
        let attempt = world.poll().remove(0);
        by_source[usize::from(attempt.source.0)] += 1;
        world.done(&attempt);
    }
    assert!((2_900..=3_100).contains(&by_source[0]), "{by_source:?}");
    assert_eq!(world.scheduler.counts().connections, 2);
}

#[test]
fn a_message_rate_is_kept_to_the_microsecond() {
    let message_rate = Rate::new(10, seconds(1));
    let mut world = World::new(limits(Limits { message_rate, ..Limits::default() }));
    world.put("a.example", &Stream::default(), 100);
    world.put("b.example", &Stream::default(), 100);
    let begun = world.deliver_until(START + seconds(100));
    assert_eq!(begun.len(), 200);
    let times: Vec<_> = begun.iter().map(|at| at.since(START).as_micros()).collect();
    assert_eq!(times[..6], [0, 0, 100_000, 100_000, 200_000, 200_000]);
    assert_eq!(times[199], 9_900_000);
}

#[test]
fn a_connection_rate_bounds_openings_and_not_messages() {
    let connection_rate = Rate::new(1, seconds(1));
    let mut world = World::new(limits(Limits { connection_rate, ..Limits::default() }));
    world.put("a.example", &Stream::default(), 50);
    let first = world.poll();
    assert_eq!(first.len(), 1);
    assert_eq!(world.scheduler.poll_timeout(), Some(START + seconds(1)));
    world.end(&first[0], &delivered());
    assert_eq!(world.deliver_until(START).len(), 49, "all by the one that is open");
    world.put("a.example", &Stream::default(), 3);
    for attempt in world.poll() {
        world.cut(&attempt, &deferred(Scope::Message));
    }
    assert!(world.poll().is_empty(), "the one that was free is gone");
    world.now = START + seconds(1);
    assert_eq!(world.poll().len(), 1);
}

#[test]
fn a_site_has_its_own_limits_by_its_name_or_by_a_domain_of_its() {
    let one = Limits { connections_max: 1, ..Limits::default() };
    let mut policy = Policy::default();
    policy.sites.insert("a".into(), one);
    policy.sites.insert("b.example".into(), one);
    let mut world = World::new(policy);
    for domain in ["a.example", "b.example", "b.other", "c.example"] {
        world.put(domain, &Stream::default(), 10);
    }
    let count = |attempts: &[Attempt], site: &str| {
        attempts.iter().filter(|attempt| attempt.domain.as_str().starts_with(site)).count()
    };
    let attempts = world.poll();
    assert_eq!(["a", "b", "c"].map(|site| count(&attempts, site)), [1, 1, 5]);
    // Limits can change while it runs.
    world.scheduler.set_policy(limits(Limits { connections_max: 7, ..Limits::default() }));
    attempts.iter().for_each(|attempt| world.done(attempt));
    for _ in 0..2 {
        let attempts = world.poll();
        attempts.iter().for_each(|attempt| world.done(attempt));
    }
    assert!(count(&world.poll(), "a") >= 2);
}

#[test]
fn connections_in_all_are_bounded_and_a_free_one_gives_way() {
    let mut world = World::new(Policy { connections_max: 4, ..Policy::default() });
    (0..4).for_each(|n| world.put(&format!("s{n}.example"), &Stream::default(), 1));
    let first = world.poll();
    assert_eq!(first.len(), 4);
    world.put("late.example", &Stream::default(), 1);
    assert!(world.poll().is_empty());
    world.end(&first[0], &delivered());
    let late = world.poll();
    assert_eq!((late.len(), world.closed), (1, 1), "the free one was closed for it");
    assert_eq!(late[0].domain.as_str(), "late.example");
    assert_eq!(world.scheduler.counts().connections, 4);
}

#[test]
fn a_connection_that_the_first_in_line_cannot_use_goes_to_the_next() {
    let mut world = World::new(Policy { connections_max: 1, ..Policy::default() });
    world.put("a.example", &Stream::default(), 1);
    let first = world.poll().remove(0);
    world.put("b.example", &Stream::default(), 1);
    world.put("c.example", &Stream::default(), 1);
    assert!(world.poll().is_empty());
    world.suspend(Selector::Site("b".into()), None);
    world.cut(&first, &delivered());
    let next = world.poll();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].domain.as_str(), "c.example");
}

#[test]
fn transactional_mail_does_not_wait_behind_bulk_anywhere() {
    let mut world = World::new(Policy { connections_max: 10, ..Policy::default() });
    let urgent = Stream::default();
    (0..50).for_each(|n| world.put(&format!("s{n}.example"), &tenant("bulk"), 1_000));
    let under_way = world.poll();
    assert_eq!(under_way.len(), 10);
    world.put("s7.example", &urgent, 1);
    world.put("new.example", &urgent, 1);
    let urgent_ids = [world.next_id - 1, world.next_id].map(QueueId::from_u64);
    // Two connections close; the next two that open are for the urgent ones.
    for attempt in &under_way[..2] {
        world.cut(attempt, &delivered());
    }
    let mut next = world.poll();
    next.extend({
        world.cut(&under_way[2], &delivered());
        world.poll()
    });
    let ids: Vec<_> = next.iter().map(|attempt| attempt.id).collect();
    assert!(urgent_ids.iter().all(|id| ids.contains(id)), "{ids:?}");
}

#[test]
fn greylisting_leaves_the_window_as_it_is() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &Stream::default(), 40);
    for _ in 0..8 {
        let attempts = world.poll();
        assert_eq!(attempts.len(), 5);
        for attempt in attempts {
            world.end(&attempt, &deferred(Scope::Recipient));
        }
    }
    assert!(world.poll().is_empty(), "all wait for their time");
    assert_eq!(world.scheduler.counts().deferred, 40);
}

#[test]
fn who_is_refused_for_whence_it_comes_does_so_no_faster_than_who_is_not_heard() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &Stream::default(), 40);
    let blocked = Outcome::Bounced { scope: Scope::Host, diagnosis: diagnosis(5) };
    let mut refused = 0;
    loop {
        let attempts = world.poll();
        if attempts.is_empty() {
            break;
        }
        for attempt in attempts {
            assert_eq!(world.end(&attempt, &blocked), Settlement::Bounce);
            refused += 1;
        }
    }
    assert!((5..15).contains(&refused), "{refused} were refused before the lane rested");
    assert_eq!(world.scheduler.counts().entries, 40 - refused, "the others wait for better times");
}

#[test]
fn an_entry_stays_for_the_recipients_that_are_left() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &Stream::default(), 1);
    let attempt = world.poll().remove(0);
    let refused = Outcome::Bounced { scope: Scope::Recipient, diagnosis: diagnosis(5) };
    let outcomes = [delivered(), deferred(Scope::Recipient), refused];
    let verdict = world.scheduler.report(START, attempt.ticket, &outcomes).unwrap();
    let settlements = outcomes.each_ref().map(|outcome| verdict.of(outcome));
    let [Settlement::Done, Settlement::Retry(due), Settlement::Bounce] = settlements else {
        panic!("{settlements:?}")
    };
    assert_eq!(world.scheduler.counts().entries, 1);
    world.scheduler.on_free(attempt.lane);
    world.now = due + seconds(1);
    let again = world.poll().remove(0);
    assert_eq!((again.id, again.number), (attempt.id, 2));
    assert_eq!(world.end(&again, &delivered()), Settlement::Done);
    assert_eq!(world.scheduler.counts().entries, 0);
}

#[test]
fn a_lost_reply_is_what_the_policy_says() {
    let doubt = Outcome::InDoubt(diagnosis(4));
    for (in_doubt, left) in [(InDoubt::Retry, 1), (InDoubt::Settle, 0)] {
        let mut world = World::new(Policy { in_doubt, ..Policy::default() });
        world.put("a.example", &Stream::default(), 1);
        let attempt = world.poll().remove(0);
        let settlement = world.cut(&attempt, &doubt);
        assert_eq!(settlement == Settlement::Done, left == 0, "{settlement:?}");
        assert_eq!(world.scheduler.counts().entries, left);
    }
}

#[test]
fn a_try_that_was_not_made_is_the_next_one() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &Stream::default(), 10);
    let attempts = world.poll();
    world.scheduler.give_back(START, attempts[3].ticket);
    world.scheduler.on_closed(attempts[3].lane);
    let again = world.poll();
    assert_eq!(again[0].id, attempts[3].id);
    assert_eq!(again[0].number, 1);
}

#[test]
fn domains_sites_and_streams_without_mail_are_forgotten() {
    let mut world = World::new(Policy::default());
    for n in 0..20_000 {
        let stream = Stream { campaign: format!("c{n}").into(), ..Stream::default() };
        world.put(&format!("s{n}.example"), &stream, 1);
        let attempt = world.poll().remove(0);
        world.cut(&attempt, &delivered());
    }
    assert!(world.poll().is_empty());
    let counts = world.scheduler.counts();
    assert!(counts.destinations < 5_000 && counts.sites < 6_500, "{counts:?}");
    assert_eq!(world.forgotten as usize, 20_000 - counts.destinations);
}

#[test]
fn a_site_that_owes_a_rest_or_has_spent_its_rate_is_not_forgotten() {
    let message_rate = Rate::new(1, seconds(100_000));
    let mut world = World::new(limits(Limits { message_rate, ..Limits::default() }));
    world.put("spent.example", &Stream::default(), 1);
    let attempt = world.poll().remove(0);
    world.cut(&attempt, &delivered());
    for n in 0..20_000 {
        world.put(&format!("s{n}.example"), &Stream::default(), 1);
        let attempt = world.poll().remove(0);
        world.cut(&attempt, &delivered());
    }
    world.put("spent.example", &Stream::default(), 1);
    assert!(world.poll().is_empty(), "its next message may not go yet");
}

#[test]
fn only_so_many_look_ups_and_settlements_are_under_way() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let stream = &Stream::default();
    for n in 0..5_000 {
        let domain = &Domain::parse(&format!("d{n}.example")).unwrap();
        let id = QueueId::from_u64(n);
        let (expires_at, due) = (EXPIRY, START);
        let new = NewEntry { id, domain, stream, expires_at, attempts: 0, due, recipients: 1 };
        scheduler.insert(START, &new);
    }
    let mut asked = Vec::new();
    while let Some(Action::Resolve(id, _)) = scheduler.poll(START) {
        asked.push(id);
    }
    assert_eq!(asked.len(), LOOKUPS_MAX as usize);
    let mut leaving = 0;
    while let Some(id) = asked.pop() {
        scheduler.on_resolved(START, id, Err(deferred(Scope::Destination)), VALID);
        while let Some(action) = scheduler.poll(START) {
            match action {
                Action::Resolve(id, _) => asked.push(id),
                Action::Unroutable(..) => leaving += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(leaving, LEAVING_MAX);
}

#[test]
fn after_routes_are_forgotten_a_destination_is_looked_up_anew() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let (domain, stream) = (&Domain::parse("a.example").unwrap(), &Stream::default());
    let insert = |scheduler: &mut Scheduler, n| {
        let (id, expires_at, due) = (QueueId::from_u64(n), EXPIRY, START);
        let new = NewEntry { id, domain, stream, expires_at, attempts: 0, due, recipients: 1 };
        scheduler.insert(START, &new);
    };
    insert(&mut scheduler, 1);
    let Some(Action::Resolve(id, _)) = scheduler.poll(START) else { panic!() };
    // A question that is under way is not asked twice.
    scheduler.forget_routes();
    assert_eq!(scheduler.poll(START), None);
    scheduler.on_resolved(START, id, Ok("mx.a.example"), VALID);
    assert!(matches!(scheduler.poll(START), Some(Action::Attempt(_))));
    scheduler.forget_routes();
    insert(&mut scheduler, 2);
    assert!(matches!(scheduler.poll(START), Some(Action::Resolve(..))));
}

#[test]
fn what_is_cancelled_counts_no_more_and_is_never_handed_out_wherever_it_stood() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let domain = Domain::parse("a.example").unwrap();
    let put = |scheduler: &mut Scheduler, n: u64, due: Timestamp| {
        let new = NewEntry {
            id: QueueId::from_u64(n),
            domain: &domain,
            stream: &Stream::default(),
            expires_at: EXPIRY,
            attempts: 0,
            due,
            recipients: 1,
        };
        scheduler.insert(START, &new);
    };
    (0..10).for_each(|n| put(&mut scheduler, n, START));
    (10..20).for_each(|n| put(&mut scheduler, n, START + seconds(60)));
    let messages =
        |numbers: &[u64]| Which::Messages(numbers.iter().copied().map(QueueId::from_u64).collect());
    let cancelled = scheduler.cancel(START, &messages(&[3, 4, 12, 99]));
    let gone: Vec<_> = cancelled.gone.iter().map(|(id, _)| id.as_u64()).collect();
    assert_eq!((gone, cancelled.in_flight.len()), (vec![3, 4, 12], 0));
    assert_eq!(scheduler.cancel(START, &messages(&[3, 12])), Cancelled::default(), "once");
    assert_eq!((scheduler.counts().entries, scheduler.counts().deferred), (17, 9));
    let later = START + seconds(61);
    let mut seen = Vec::new();
    while let Some(action) = scheduler.poll(later) {
        match action {
            Action::Resolve(id, _) => scheduler.on_resolved(later, id, Ok("mx"), VALID),
            Action::Attempt(attempt) => {
                seen.push(attempt.id.as_u64());
                scheduler.report(later, attempt.ticket, [&delivered()]);
                scheduler.on_free(attempt.lane);
            }
            other => panic!("{other:?}"),
        }
    }
    seen.sort_unstable();
    let wanted: Vec<_> = (0..20).filter(|n| ![3, 4, 12].contains(n)).collect();
    assert_eq!((seen, scheduler.counts().entries), (wanted, 0));
    // More than half: swept at once.
    (20..30).for_each(|n| put(&mut scheduler, n, START + seconds(900)));
    scheduler.cancel(START, &messages(&(20..28).collect::<Vec<_>>()));
    assert_eq!((scheduler.entries.len(), scheduler.counts().deferred), (2, 2));
}

fn selector(text: &str) -> crate::selector::Selector {
    crate::selector::Selector::parse(text, &crate::queue::selection::SCHEMA).unwrap()
}

fn directive(name: &str, text: &str, verb: Verb, covers: Covers) -> Directive {
    let (reason, selector) = ("test".into(), selector(text));
    Directive { name: name.into(), reason, since: START, until: None, verb, selector, covers }
}

fn causes(world: &World, text: &str) -> Vec<(&'static str, usize)> {
    let why = world.scheduler.why(world.now, &selector(text));
    why.causes.iter().map(|cause| (cause.name, cause.count)).collect()
}

#[test]
fn each_waiting_message_has_one_cause_with_its_words() {
    let rate = Rate::new(1, seconds(10));
    let own = Limits { message_rate: rate, connections_max: 1, ..Limits::default() };
    let mut world = World::new(limits(own));
    world.put("a.example", &tenant("x"), 3);
    let first = world.poll();
    assert_eq!((first.len(), causes(&world, "")), (1, vec![("policy:rate", 2)]));
    world.end(&first[0], &deferred(Scope::Recipient));
    assert_eq!(causes(&world, ""), [("policy:rate", 2), ("remote:unknown", 1)]);
    assert_eq!(causes(&world, "last~told"), [("remote:unknown", 1)]);
    assert_eq!(causes(&world, "attempts=0 and site=a"), [("policy:rate", 2)]);
    assert_eq!(causes(&world, "cause=policy:*"), [("policy:rate", 2)]);
    let why = world.scheduler.why(world.now, &selector("state=ready"));
    let rate = &why.causes[0];
    assert!(rate.detail.contains("a by default") && rate.detail.contains("6/min"), "{rate:?}");
    assert_eq!((rate.place.as_str(), rate.until), ("by default", Some(START + seconds(10))));
    world.suspend(Selector::Tenant("x".into()), None);
    assert_eq!(causes(&world, ""), [("admin", 3)]);
    assert!(causes(&world, "tenant=y").is_empty());
}

#[test]
fn what_a_plugin_holds_waits_until_it_is_released_and_says_then_that_it_was() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &tenant("x"), 1);
    let attempt = world.poll().remove(0);
    assert!(!attempt.released);
    let hints = Hints { hold: true, ..Hints::default() };
    let outcome = deferred(Scope::Message);
    let verdict = world.scheduler.report_with(world.now, attempt.ticket, [&outcome], hints);
    assert_eq!(verdict.unwrap().of(&outcome), Settlement::Retry(EXPIRY));
    world.scheduler.on_free(attempt.lane);
    assert_eq!(causes(&world, ""), [("plugin", 1)]);
    assert_eq!(world.scheduler.retry(world.now, &selector("")), 0, "it is no failure");
    assert_eq!(world.scheduler.release(world.now, &selector("")), 1);
    world.now = world.now + seconds(1);
    let attempt = world.poll().remove(0);
    assert!(attempt.released);
    world.done(&attempt);
    // Read anew from disk, it is held as before.
    let (domain, stream) = (&Domain::parse("a.example").unwrap(), &tenant("x"));
    let id = QueueId::from_u64(99);
    let (attempts, due, recipients) = (1, EXPIRY, 1);
    let new = NewEntry { id, domain, stream, expires_at: EXPIRY, attempts, due, recipients };
    world.scheduler.insert(world.now, &new);
    assert_eq!(causes(&world, ""), [("plugin", 1)]);
}

#[test]
fn while_all_is_suspended_mail_for_domains_without_a_route_is_not_tried_either() {
    let mut world = World::new(Policy::default());
    world.suspend(Selector::All, None);
    world.put("dead.example", &tenant("x"), 3);
    let told = |world: &mut World| {
        let mut told = 0;
        while let Some(action) = world.scheduler.poll(world.now) {
            match action {
                Action::Resolve(id, _) => {
                    let failed = Err(deferred(Scope::Destination));
                    world.scheduler.on_resolved(world.now, id, failed, seconds(60));
                }
                Action::Unroutable(attempt, outcome) => {
                    told += 1;
                    world.scheduler.report(world.now, attempt.ticket, [&outcome]).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        told
    };
    for _ in 0..5 {
        assert_eq!(told(&mut world), 0);
        world.now = world.now + seconds(61);
    }
    assert_eq!(causes(&world, "attempts=0"), [("admin", 3)]);
    assert!(world.scheduler.resume(world.now, &Selector::All));
    let mut all = 0;
    for _ in 0..30 {
        all += told(&mut world);
        world.now = world.now + seconds(1);
    }
    assert_eq!(all, 3);
}

#[test]
fn a_dead_site_is_told_with_what_it_said_and_when_it_is_tried_again() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &tenant("x"), 20);
    let first = world.poll();
    assert_eq!(causes(&world, ""), [("remote:slowed", 15)]);
    for attempt in &first {
        world.cut(attempt, &deferred(Scope::Host));
    }
    world.poll();
    let why = world.scheduler.why(world.now, &selector("attempts=0"));
    let rest = &why.causes[0];
    assert_eq!((rest.name, rest.count), ("remote:unknown", 15));
    assert!(rest.detail.starts_with("a by default rests: 4.0.0 as told"), "{rest:?}");
    assert_eq!((rest.since, rest.until), (Some(START), Some(START + seconds(10))));
    // Tried now, whatever it said.
    assert_eq!(world.scheduler.retry(world.now, &selector("site=a")), first.len());
    assert!(!world.poll().is_empty());
}

#[test]
fn a_hold_is_of_messages_and_the_next_one_takes_over() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &tenant("x"), 2);
    let hold = directive("d-1", "tenant=x", Verb::Hold, Covers::Future);
    assert_eq!(world.scheduler.direct(hold).unwrap(), Directed { waiting: 2, in_flight: 0 });
    let one = directive("d-2", "domain=a.example", Verb::Hold, Covers::AcceptedBy(START));
    world.scheduler.direct(one).unwrap();
    world.put("a.example", &tenant("x"), 1);
    world.put("a.example", &tenant("y"), 1);
    let sent = world.poll();
    assert_eq!(sent.len(), 0, "ids of this test are older than its start");
    assert!(world.scheduler.lift(world.now, "d-2"));
    assert_eq!(world.poll().len(), 1, "what d-1 is about stays");
    assert_eq!(causes(&world, ""), [("admin", 3)]);
    assert_eq!(world.scheduler.release(world.now, &selector("id=0000000000001")), 1);
    world.now = world.now + seconds(1);
    assert_eq!(world.poll().len(), 1);
    assert!(world.scheduler.lift(world.now, "d-1") && !world.scheduler.lift(world.now, "d-1"));
    world.now = world.now + seconds(1);
    assert_eq!(world.poll().len(), 2);
}

#[test]
fn what_is_moved_goes_by_the_other_pool_also_what_waited_behind_a_dead_one() {
    let mut world = World::new(two_sources([1, 1]));
    world.put("a.example", &tenant("x"), 40);
    let by = |attempts: &[Attempt], source: u16| {
        attempts.iter().filter(|attempt| attempt.source == SourceIndex(source)).count()
    };
    let first = world.poll();
    assert!(by(&first, 0) > 0 && by(&first, 1) > 0);
    for attempt in &first {
        world.cut(attempt, &deferred(Scope::Host));
    }
    world.poll();
    let moved = directive("d-1", "tenant=x", Verb::Move("vip".into()), Covers::Future);
    let moved = world.scheduler.direct(moved).unwrap();
    assert_eq!(moved.waiting, 40);
    world.put("b.example", &tenant("x"), 3);
    world.now = world.now + seconds(20);
    let next = world.poll();
    assert_eq!((by(&next, 0), next.is_empty()), (0, false));
    assert_eq!(causes(&world, "pool=default"), []);
}

#[test]
fn what_is_refused_leaves_with_the_operators_words_wherever_it_waits() {
    let mut world = World::new(Policy::default());
    world.put("a.example", &tenant("x"), 10);
    let first = world.poll();
    world.end(&first[0], &deferred(Scope::Recipient));
    let hold = directive("d-1", "tenant=x", Verb::Hold, Covers::AcceptedBy(Timestamp::MAX));
    let held = world.scheduler.direct(hold).unwrap();
    assert_eq!((held.waiting, held.in_flight), (10 - first.len() + 1, first.len() - 1));
    let outcome = Outcome::Bounced { scope: Scope::Message, diagnosis: diagnosis(5) };
    let count = world.scheduler.refuse(world.now, "d-1", &outcome);
    assert_eq!((count, world.scheduler.refusing("d-1")), (held.waiting, held.waiting));
    assert!(world.poll().is_empty());
    assert_eq!((world.unroutable.len(), world.scheduler.refusing("d-1")), (held.waiting, 0));
    assert_eq!(world.scheduler.directives().count(), 0);
    assert_eq!(world.scheduler.counts().entries, 10);
}
