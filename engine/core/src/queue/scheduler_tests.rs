//! The scheduler against a seeded world: peers that accept, greylist, refuse, vanish and come back.

use std::collections::BTreeMap;

use super::*;
use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;

fn diagnosis(class: u8) -> Diagnosis {
    Diagnosis::ours(EnhancedStatus::new(class, 0, 0), Blame::Peer, "as told")
}

fn deferred(scope: Scope) -> Outcome {
    Outcome::Deferred { scope, diagnosis: diagnosis(4) }
}

fn delivered() -> Outcome {
    Outcome::Delivered(diagnosis(2))
}

fn entry<'a>(id: u64, domain: &'a Domain, stream: &'a Stream, due: Timestamp) -> NewEntry<'a> {
    let expires_at = Timestamp::from_secs(400_000);
    NewEntry { id: QueueId::from_u64(id), domain, stream, expires_at, attempts: 0, due }
}

const START: Timestamp = Timestamp::from_secs(1_000);
const VALID: Duration = Duration::from_secs(600);

#[test]
fn a_domain_is_resolved_once_and_its_entries_follow_up_to_the_window() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let (domain, stream) = (Domain::parse("a.example").unwrap(), Stream::default());
    (0..50).for_each(|n| scheduler.insert(START, &entry(n, &domain, &stream, START)));
    let Some(Action::Resolve(id, _)) = scheduler.poll(START) else { panic!() };
    assert_eq!(scheduler.poll(START), None);
    scheduler.on_resolved(START, id, Ok("mx.a.example"), VALID);
    let mut tickets = Vec::new();
    while let Some(action) = scheduler.poll(START) {
        let Action::Attempt(attempt) = action else { panic!("{action:?}") };
        tickets.push(attempt.ticket);
    }
    assert_eq!(tickets.len(), 5, "the initial window");
    assert_eq!(scheduler.report(START, tickets[0], &[delivered()]), [Settlement::Done]);
    assert!(scheduler.poll(START).is_some());
    assert_eq!(scheduler.counts().entries, 49);
}

#[test]
fn a_dead_site_rests_and_another_is_unharmed() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let stream = Stream::default();
    let domains = ["dead.example", "good.example"].map(|text| Domain::parse(text).unwrap());
    for n in 0..40 {
        scheduler.insert(START, &entry(n, &domains[(n % 2) as usize], &stream, START));
    }
    let mut good = 0;
    let mut dead = 0;
    while let Some(action) = scheduler.poll(START) {
        match action {
            Action::Resolve(id, domain) => {
                scheduler.on_resolved(START, id, Ok(domain.as_str()), VALID);
            }
            Action::Attempt(attempt) if attempt.domain == domains[0] => {
                dead += 1;
                scheduler.report(START, attempt.ticket, &[deferred(Scope::Host)]);
            }
            Action::Attempt(attempt) => {
                good += 1;
                scheduler.report(START, attempt.ticket, &[delivered()]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(good, 20);
    assert!(dead <= 5, "{dead} attempts at a dead site");
    let wake = scheduler.poll_timeout().unwrap();
    assert_eq!(wake.since(START), Duration::from_secs(10), "the rest ends first");
}

#[test]
fn an_unreachable_domain_is_told_and_settled_by_the_same_report() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let (domain, stream) = (Domain::parse("no.example").unwrap(), Stream::default());
    scheduler.insert(START, &entry(1, &domain, &stream, START));
    let Some(Action::Resolve(id, _)) = scheduler.poll(START) else { panic!() };
    let outcome = Outcome::Bounced { scope: Scope::Destination, diagnosis: diagnosis(5) };
    scheduler.on_resolved(START, id, Err(outcome.clone()), VALID);
    let Some(Action::Unroutable(attempt, told)) = scheduler.poll(START) else { panic!() };
    assert_eq!(told, outcome);
    assert_eq!(scheduler.report(START, attempt.ticket, &[told]), [Settlement::Bounce]);
    assert_eq!(scheduler.counts().entries, 0);
}

#[test]
fn an_entry_too_old_is_expired_instead_of_tried() {
    let mut scheduler = Scheduler::new(Policy::default(), 1);
    let (domain, stream) = (Domain::parse("a.example").unwrap(), Stream::default());
    scheduler.insert(START, &entry(1, &domain, &stream, Timestamp::from_secs(399_999)));
    let late = Timestamp::from_secs(400_000);
    let Some(Action::Resolve(id, _)) = scheduler.poll(late) else { panic!() };
    scheduler.on_resolved(late, id, Ok("mx"), VALID);
    let Some(Action::Expired(ticket, ..)) = scheduler.poll(late) else { panic!() };
    scheduler.forget(late, ticket);
    assert_eq!(scheduler.counts(), Counts { destinations: 1, sites: 1, ..Counts::default() });
}

/// One seeded run: every entry ends, none is tried before its time or twice at once.
#[expect(clippy::too_many_lines, reason = "a simulation is one loop, and reads best as one")]
fn simulate(seed: u64) {
    let mut world = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = move |sides: u64| {
        world ^= world << 13;
        world ^= world >> 7;
        world ^= world << 17;
        world % sides
    };
    let mut scheduler = Scheduler::new(Policy::default(), seed);
    let mut now = START;
    let total = 200;
    let mut left: BTreeMap<u64, (Timestamp, bool)> = BTreeMap::new();
    for id in 0..total {
        let domain = Domain::parse(&format!("d{}.example", roll(12))).unwrap();
        let campaign = format!("c{}", roll(3)).into();
        let stream = Stream { campaign, ..Stream::default() };
        let due = now + Duration::from_secs(roll(100));
        scheduler.insert(now, &entry(id, &domain, &stream, due));
        left.insert(id, (due, false));
    }
    let mut flying: Vec<Attempt> = Vec::new();
    for step in 0..200_000 {
        while let Some(action) = scheduler.poll(now) {
            match action {
                Action::Resolve(id, domain) => {
                    let site = &domain.as_str()[..2];
                    let failed = roll(10) == 0;
                    let found = if failed { Err(deferred(Scope::Destination)) } else { Ok(site) };
                    scheduler.on_resolved(now, id, found, VALID);
                }
                Action::Attempt(attempt) | Action::Unroutable(attempt, _) => {
                    let state = left.get_mut(&attempt.id.as_u64()).expect("settled before");
                    assert!(state.0 <= now, "seed {seed}: tried before its time");
                    assert!(!state.1, "seed {seed}: in two places");
                    state.1 = true;
                    flying.push(attempt);
                }
                Action::Expired(ticket, id, _) => {
                    scheduler.forget(now, ticket);
                    left.remove(&id.as_u64());
                }
            }
        }
        let counts = scheduler.counts();
        assert_eq!(counts.entries, left.len(), "seed {seed} step {step}");
        assert_eq!(counts.in_flight, flying.len(), "seed {seed} step {step}");
        if left.is_empty() {
            return;
        }
        if flying.is_empty() || roll(4) == 0 {
            let wake = scheduler.poll_timeout();
            now = wake.filter(|wake| *wake > now).unwrap_or(now + Duration::from_secs(1));
        }
        if flying.is_empty() {
            continue;
        }
        let attempt = flying.swap_remove(roll(flying.len() as u64) as usize);
        let id = attempt.id.as_u64();
        let outcome = match roll(10) {
            0..5 => delivered(),
            5 => Outcome::Bounced { scope: Scope::Recipient, diagnosis: diagnosis(5) },
            6 => Outcome::InDoubt(diagnosis(4)),
            7 => deferred(Scope::Host),
            8 => deferred(Scope::Recipient),
            _ => {
                left.get_mut(&id).unwrap().1 = false;
                scheduler.give_back(now, attempt.ticket);
                continue;
            }
        };
        match scheduler.report(now, attempt.ticket, &[outcome])[0] {
            Settlement::Retry(due) => {
                assert!(due > now);
                left.insert(id, (due, false));
            }
            _ => {
                left.remove(&id);
            }
        }
    }
    panic!("seed {seed}: {} entries never ended", left.len());
}

#[test]
fn every_entry_is_in_one_place_and_ends_whatever_the_world_does() {
    (1..300).for_each(simulate);
}
