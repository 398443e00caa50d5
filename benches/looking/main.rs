//! What it costs to look at a queue: why mail waits, surveys, windows of messages, dry runs, for a
//! thousand and for five million waiting messages. `make bench-looking`.
#![expect(clippy::print_stdout, reason = "the result")]

use std::time::Duration;
use std::time::Instant;

use maily_core::bounce::reason::Class;
use maily_core::clock::Timestamp;
use maily_core::mail::address::Domain;
use maily_core::mail::envelope::Stream;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::mail::outcome::Scope;
use maily_core::queue::action::Action;
use maily_core::queue::action::NewEntry;
use maily_core::queue::policy::Policy;
use maily_core::queue::remark::Kind;
use maily_core::queue::remark::Remark;
use maily_core::queue::scheduler::Hints;
use maily_core::queue::scheduler::Scheduler;
use maily_core::queue::selection::SCHEMA;
use maily_core::queue::survey::Order;
use maily_core::selector::Selector;

const START: Timestamp = Timestamp::from_secs(1_000_000);
const DOMAINS: u64 = 8_000;
const SITES: u64 = 400;
const CAMPAIGNS: u64 = 12;
/// Looks of each kind; the median is told.
const LOOKS: usize = 9;

fn main() {
    let asked = std::env::var("MAILY_MESSAGES").ok().and_then(|text| text.parse().ok());
    for messages in [1_000, asked.unwrap_or(5_000_000)] {
        measure(messages);
    }
}

fn measure(messages: u64) {
    let before = resident();
    let queue = filled(messages);
    let each = resident().saturating_sub(before) / messages;
    println!("{messages} waiting in {DOMAINS} domains, {CAMPAIGNS} mailings: {each} octets each");
    let now = START + Duration::from_secs(7_200);
    let read = |text: &str| Selector::parse(text, &SCHEMA).unwrap_or_else(|_| Selector::all());
    let (all, site) = (read("all"), read("site=mx7.example and campaign=c3"));
    let (old, said) = (read("age>1h and attempts<3"), read("last~rate and not campaign=c1"));
    let show = |name: &str, micros: u128| println!("  {name:<34} {:>10.3} ms", micros as f64 / 1e3);
    show("why", timed(|| queue.why(now, &all).waiting));
    show("why, of a site and mailing", timed(|| queue.why(now, &site).waiting));
    show("why, by age and attempts", timed(|| queue.why(now, &old).waiting));
    show("counts by cause, for /metrics", timed(|| queue.causes(now).len()));
    show("survey, for queues and sites", timed(|| queue.survey(now).destinations.len()));
    show("50 messages by age", timed(|| queue.messages(now, &all, Order::Oldest, 0, 50).selected));
    show("dry run of everything", timed(|| queue.preview(now, &all).waiting));
    show("dry run by age and attempts", timed(|| queue.preview(now, &old).waiting));
    show("dry run by reply and mailing", timed(|| queue.preview(now, &said).waiting));
}

/// The median time of some looks, in microseconds.
fn timed(look: impl Fn() -> usize) -> u128 {
    let mut times: Vec<_> = (0..LOOKS)
        .map(|_| {
            let begun = Instant::now();
            std::hint::black_box(look());
            begun.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times.get(LOOKS / 2).copied().unwrap_or_default()
}

/// A queue in which a part was put off by hosts, and the rest waits for its turn.
fn filled(messages: u64) -> Scheduler {
    let mut queue = Scheduler::new(Policy::default(), 1);
    let domains: Vec<_> =
        (0..DOMAINS).filter_map(|n| Domain::parse(&format!("d{n}.example")).ok()).collect();
    for (number, domain) in (0..messages).zip(domains.iter().cycle()) {
        let campaign = format!("c{}", number % CAMPAIGNS).into();
        let stream = Stream { campaign, tenant: "shop".into(), ..Stream::default() };
        let millis = START.as_millis() + number % 3_600_000;
        let new = NewEntry {
            id: QueueId::from_u64(millis << 22 | number & 0xfff),
            domain,
            stream: &stream,
            expires_at: START + Duration::from_secs(400_000),
            attempts: 0,
            due: START,
            recipients: 1,
        };
        queue.insert(START, &new);
    }
    put_off(&mut queue, messages / 2);
    queue
}

/// Has hosts put so many off, each with words of its own kind.
fn put_off(queue: &mut Scheduler, count: u64) {
    let mut left = count;
    while left > 0 {
        let Some(action) = queue.poll(START) else {
            // A poll that has done enough for one turn wants another.
            if queue.poll_timeout().is_some_and(|at| at <= START) {
                continue;
            }
            return;
        };
        match action {
            Action::Resolve(id, domain) => {
                let number: u64 = domain
                    .as_str()
                    .trim_start_matches('d')
                    .split('.')
                    .next()
                    .and_then(|digits| digits.parse().ok())
                    .unwrap_or(0);
                let site = format!("mx{}.example", number % SITES);
                queue.on_resolved(START, id, Ok(&site), Duration::from_secs(1_000_000));
            }
            Action::Attempt(attempt) => {
                let words = ["rate limited", "greylisted", "mailbox busy"];
                let text = words.get(left as usize % 3).copied().unwrap_or_default();
                let diagnosis = Diagnosis::reply(451, EnhancedStatus::new(4, 7, 1), text);
                let remark = Remark {
                    kind: Kind::Remote(Class::Greylisted),
                    text: format!("451 4.7.1 {text}").into(),
                    place: "bounces.rules:1".into(),
                };
                let outcome = Outcome::Deferred { scope: Scope::Recipient, diagnosis };
                let hints = Hints { retry_after: None, remark: Some(remark), hold: false };
                queue.report_with(START, attempt.ticket, [&outcome], hints);
                queue.on_free(attempt.lane);
                left -= 1;
            }
            Action::Close(lane) => queue.on_closed(lane),
            Action::Expired(..) | Action::Unroutable(..) | Action::Forgotten(_) => {}
        }
    }
}

/// Octets of memory that are in use (VmRSS).
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1_024
}
