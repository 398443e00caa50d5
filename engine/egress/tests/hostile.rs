//! Next hops that do not keep to the protocol, over loopback: each ends in an outcome of the right
//! kind, none makes us wait for ever, and none makes us keep what it says.
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

mod support;

use std::time::Duration;

use maily_core::mail::outcome::{EnhancedStatus, Outcome, Scope};
use maily_core::smtp::client::TlsPolicy;

use crate::support::Step::{Await, Drip, Freeze, Pause, Repeat, Say, Sip};
use crate::support::{Step, connect, delivery, message, play};

const GREET: Step = Say("220 hop\r\n");
const EHLO: Step = Await("EHLO");
const OFFER: Step = Say("250-hop\r\n250 PIPELINING\r\n");
const OFFER_CHUNKS: Step = Say("250-hop\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
const OFFER_TLS: Step = Say("250-hop\r\n250 STARTTLS\r\n");
const DATA: Step = Await("DATA\r\n");
const GO: Step = Say("250 a\r\n250 b\r\n354 c\r\n");
const DOT: Step = Await("\r\n.\r\n");
/// More than all buffers on the way to a peer hold.
const LARGE: usize = 32 << 20;
const SMALL: usize = 100;
/// What all of them together may make the memory grow by.
const GROWTH_MAX_KB: u64 = 10 << 10;

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    Delivered,
    Deferred,
    InDoubt,
    Bounced(u16, u16),
}

struct Case {
    name: &'static str,
    plays: &'static [&'static [Step]],
    octets: usize,
    tls: TlsPolicy,
    want: Want,
}

const fn case(name: &'static str, plays: &'static [&'static [Step]], want: Want) -> Case {
    Case { name, plays, octets: SMALL, tls: TlsPolicy::May, want }
}

const fn large(name: &'static str, plays: &'static [&'static [Step]], want: Want) -> Case {
    Case { octets: LARGE, ..case(name, plays, want) }
}

const fn strict(name: &'static str, plays: &'static [&'static [Step]]) -> Case {
    Case { tls: TlsPolicy::Require, ..case(name, plays, Want::Deferred) }
}

/// What goes wrong before a message is sent.
const EARLY: &[Case] = &[
    case("endless banner", &[&[Repeat("220-more\r\n", 2_000_000)]], Want::Deferred),
    case("endless EHLO", &[&[GREET, EHLO, Repeat("250-X\r\n", 2_000_000)]], Want::Deferred),
    case("10 MB line", &[&[Say("220 "), Repeat("x", 10 << 20), Say("\r\n")]], Want::Deferred),
    case("flood without newline", &[&[GREET, EHLO, Repeat("xxxxxxxx", 4 << 20)]], Want::Deferred),
    case("silence", &[&[Freeze]], Want::Deferred),
    case("silence after EHLO", &[&[GREET, EHLO, Freeze]], Want::Deferred),
    case("drip in the banner", &[&[Drip]], Want::Deferred),
    case("code 000", &[&[Say("000 hop\r\n"), Freeze]], Want::Deferred),
    case("code 999", &[&[GREET, EHLO, OFFER, DATA, Say("999 no\r\n"), Freeze]], Want::Deferred),
    case("mixed codes", &[&[GREET, EHLO, Say("250-a\r\n550 b\r\n"), Freeze]], Want::Deferred),
    case("half a reply", &[&[GREET, EHLO, OFFER, DATA, Say("250 a\r\n25")]], Want::Deferred),
    case("drip after MAIL", &[&[GREET, EHLO, OFFER, DATA, Drip]], Want::Deferred),
    case("554 in the banner", &[&[Say("554 no mail from you\r\n")]], Want::Deferred),
    case("521 in the banner", &[&[Say("521 5.3.2 no mail here\r\n")]], Want::Bounced(3, 2)),
    strict(
        "STARTTLS garbage",
        &[&[GREET, EHLO, OFFER_TLS, Await("STARTTLS"), Say("220 go\r\n250 x\r\n")]],
    ),
    strict(
        "STARTTLS 454",
        &[&[GREET, EHLO, OFFER_TLS, Await("STARTTLS"), Say("454 4.7.0 no\r\n")]],
    ),
    strict(
        "TLS that is none",
        &[&[
            GREET,
            EHLO,
            OFFER_TLS,
            Await("STARTTLS"),
            Say("220 go\r\n"),
            Await("\x01"),
            Say("hello hello hello\r\n"),
        ]],
    ),
    case(
        "broken STARTTLS where TLS is a wish",
        &[
            &[GREET, EHLO, OFFER_TLS, Await("STARTTLS"), Say("220 go\r\n250 x\r\n")],
            &[GREET, EHLO, OFFER, DATA, GO, DOT, Say("250 2.0.0 taken\r\n")],
        ],
        Want::Delivered,
    ),
    case(
        "STARTTLS 454 where TLS is a wish",
        &[&[
            GREET,
            EHLO,
            OFFER_TLS,
            Await("STARTTLS"),
            Say("454 4.7.0 no\r\n"),
            Await("MAIL"),
            Say("250 a\r\n"),
            Await("RCPT"),
            Say("250 b\r\n"),
            DATA,
            Say("354 c\r\n"),
            DOT,
            Say("250 2.0.0 taken\r\n"),
        ]],
        Want::Delivered,
    ),
    case(
        "SIZE of less",
        &[&[GREET, EHLO, Say("250-hop\r\n250 SIZE 10\r\n"), Freeze]],
        Want::Bounced(3, 4),
    ),
];

/// What goes wrong with the message itself.
const LATE: &[Case] = &[
    case(
        "SIZE lie",
        &[&[
            GREET,
            EHLO,
            Say("250-hop\r\n250-PIPELINING\r\n250 SIZE 99999999999\r\n"),
            DATA,
            GO,
            DOT,
            Say("552 5.3.4 too large\r\n"),
        ]],
        Want::Bounced(3, 4),
    ),
    case(
        "250 before the body",
        &[&[GREET, EHLO, OFFER, DATA, Say("250 a\r\n250 b\r\n354 c\r\n250 taken\r\n")]],
        Want::Deferred,
    ),
    large(
        "250 in the body",
        &[&[GREET, EHLO, OFFER, DATA, GO, Await("Subject"), Say("250 taken\r\n"), Freeze]],
        Want::Deferred,
    ),
    large(
        "250 in the chunk",
        &[&[
            GREET,
            EHLO,
            OFFER_CHUNKS,
            Await("BDAT"),
            Say("250 a\r\n250 b\r\n250 taken\r\n"),
            Freeze,
        ]],
        Want::Deferred,
    ),
    case(
        "250 instead of 354",
        &[&[GREET, EHLO, OFFER, DATA, Say("250 a\r\n250 b\r\n250 c\r\n"), Freeze]],
        Want::Deferred,
    ),
    case(
        "out of step",
        &[&[GREET, EHLO, OFFER, DATA, Say("250 a\r\n354 b\r\n250 c\r\n"), Freeze]],
        Want::Deferred,
    ),
    case(
        "a reply too many",
        &[&[
            GREET,
            EHLO,
            OFFER,
            Say("250 x\r\n"),
            DATA,
            Say("250 a\r\n250 b\r\n354 c\r\n"),
            Freeze,
        ]],
        Want::Deferred,
    ),
    large(
        "421 in mid-DATA",
        &[&[GREET, EHLO, OFFER, DATA, GO, Await("Subject"), Say("421 4.3.2 down\r\n")]],
        Want::Deferred,
    ),
    large(
        "421 in the chunk",
        &[&[
            GREET,
            EHLO,
            OFFER_CHUNKS,
            Await("BDAT"),
            Say("250 a\r\n250 b\r\n421 4.3.2 down\r\n"),
            Freeze,
        ]],
        Want::Deferred,
    ),
    large(
        "552 in mid-DATA",
        &[&[
            GREET,
            EHLO,
            OFFER,
            DATA,
            GO,
            Await("Subject"),
            Say("552 5.3.4 too large\r\n"),
            Freeze,
        ]],
        Want::Bounced(3, 4),
    ),
    large("drop in mid-DATA", &[&[GREET, EHLO, OFFER, DATA, GO, Await("Subject")]], Want::Deferred),
    large("drop in the chunk", &[&[GREET, EHLO, OFFER_CHUNKS, Await("Subject")]], Want::Deferred),
    case("drop after the dot", &[&[GREET, EHLO, OFFER, DATA, GO, DOT]], Want::InDoubt),
    case(
        "drop after the chunk",
        &[&[GREET, EHLO, OFFER_CHUNKS, Await("many\r\n"), Say("250 a\r\n250 b\r\n")]],
        Want::InDoubt,
    ),
    case(
        "half a reply to the dot",
        &[&[GREET, EHLO, OFFER, DATA, GO, DOT, Say("250 tak")]],
        Want::InDoubt,
    ),
    case("silence after the dot", &[&[GREET, EHLO, OFFER, DATA, GO, DOT, Freeze]], Want::InDoubt),
    case(
        "421 after the dot",
        &[&[GREET, EHLO, OFFER, DATA, GO, DOT, Say("421 4.3.2 down\r\n")]],
        Want::Deferred,
    ),
    case(
        "late 250",
        &[&[
            GREET,
            EHLO,
            OFFER,
            DATA,
            GO,
            DOT,
            Pause(Duration::from_millis(700)),
            Say("250 2.0.0 taken\r\n"),
        ]],
        Want::Delivered,
    ),
    large("zero window", &[&[GREET, EHLO, OFFER, DATA, GO, Freeze]], Want::Deferred),
    large("zero window in the chunk", &[&[GREET, EHLO, OFFER_CHUNKS, Freeze]], Want::Deferred),
    large("sips", &[&[GREET, EHLO, OFFER, DATA, GO, Sip]], Want::Deferred),
    case(
        "control characters",
        &[&[
            GREET,
            EHLO,
            OFFER,
            DATA,
            Say("250 a\r\n550 5.1.1 \x1b]0;x\x07\x1b[2J no\r\n503 c\r\n"),
        ]],
        Want::Bounced(1, 1),
    ),
    case(
        "markup",
        &[&[
            GREET,
            EHLO,
            OFFER,
            DATA,
            Say("250 a\r\n550-5.1.1 <script>\r\n550 5.1.1 no\rSubject: x\r\n503 c\r\n"),
        ]],
        Want::Bounced(1, 1),
    ),
    case(
        "550 with 4.7.1",
        &[&[GREET, EHLO, OFFER, DATA, Say("250 a\r\n550 4.7.1 no\r\n503 c\r\n")]],
        Want::Bounced(0, 0),
    ),
];

fn is_as_wanted(outcome: &Outcome, want: Want) -> bool {
    match (outcome, want) {
        (Outcome::Delivered(_), Want::Delivered) | (Outcome::InDoubt(_), Want::InDoubt) => true,
        (Outcome::Deferred { scope, .. }, Want::Deferred) => *scope == Scope::Host,
        (Outcome::Bounced { diagnosis, .. }, Want::Bounced(subject, detail)) => {
            diagnosis.status == EnhancedStatus::new(5, subject, detail)
        }
        _ => false,
    }
}

async fn outcome(case: &Case, message: &bytes::Bytes) -> Outcome {
    let mut connection = match connect(play(case.plays), case.tls).await {
        Ok(connection) => connection,
        Err(outcome) => return outcome,
    };
    connection.deliver(delivery(message)).await.remove(0).1
}

/// Kilobytes in memory: now (`VmRSS`), or at most so far (`VmHWM`).
fn memory(which: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_hostile_server_comes_to_its_outcome_and_none_fills_the_memory() {
    let (small, large) = (message(SMALL), message(LARGE));
    let before = memory("VmRSS");
    let cases = EARLY.iter().chain(LATE);
    let running: Vec<_> = cases
        .map(|case| {
            let message = if case.octets == LARGE { large.clone() } else { small.clone() };
            (case, tokio::spawn(async move { outcome(case, &message).await }))
        })
        .collect();
    let mut wrong = Vec::new();
    for (case, task) in running {
        match tokio::time::timeout(Duration::from_secs(60), task).await {
            Err(_) => wrong.push(format!("{}: hangs", case.name)),
            Ok(outcome) => {
                let outcome = outcome.unwrap();
                let text = outcome.diagnosis().text();
                if !is_as_wanted(&outcome, case.want) {
                    wrong.push(format!("{}: {outcome:?}, not {:?}", case.name, case.want));
                }
                if text.is_empty() || text.chars().any(char::is_control) {
                    wrong.push(format!("{}: {text:?}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let growth = memory("VmHWM").saturating_sub(before);
    assert!(growth < GROWTH_MAX_KB, "{growth} kB more");
}

#[tokio::test]
async fn a_surplus_reply_is_never_taken_for_the_next_message() {
    const STEPS: &[Step] =
        &[GREET, EHLO, OFFER, DATA, GO, DOT, Say("250 taken\r\n550 5.1.1 surplus\r\n"), DATA, GO];
    let mut connection = connect(play(&[STEPS]), TlsPolicy::Off).await.ok().unwrap();
    let message = message(SMALL);
    let first = connection.deliver(delivery(&message)).await.remove(0).1;
    assert!(matches!(first, Outcome::Delivered(_)), "{first:?}");
    let second = connection.deliver(delivery(&message)).await.remove(0).1;
    assert!(is_as_wanted(&second, Want::Deferred), "{second:?}");
}

#[tokio::test]
async fn a_late_250_is_one_delivery_and_the_session_goes_on() {
    const LATELY: Step = Pause(Duration::from_millis(700));
    const STEPS: &[Step] = &[
        GREET,
        EHLO,
        OFFER,
        DATA,
        GO,
        DOT,
        LATELY,
        Say("250 taken\r\n"),
        DATA,
        GO,
        DOT,
        Say("250 taken\r\n"),
    ];
    let mut connection = connect(play(&[STEPS]), TlsPolicy::Off).await.ok().unwrap();
    for _ in 0..2 {
        let outcome = connection.deliver(delivery(&message(SMALL))).await.remove(0).1;
        assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn replies_are_read_while_a_large_message_is_written() {
    // A peer that answers before it reads on would otherwise fill both buffers (RFC 2920 3.1).
    const STEPS: &[Step] = &[
        GREET,
        EHLO,
        OFFER_CHUNKS,
        Await("BDAT"),
        Say("250 a\r\n"),
        Pause(Duration::from_millis(100)),
        Say("250 b\r\n"),
        Await("the last line\r\n"),
        Say("250 2.0.0 taken\r\n"),
    ];
    let mut connection = connect(play(&[STEPS]), TlsPolicy::Off).await.ok().unwrap();
    let text = [&message(8 << 20)[..], b"the last line\r\n"].concat();
    let outcome = connection.deliver(delivery(&text.into())).await.remove(0).1;
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
}
