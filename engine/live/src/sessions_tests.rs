//! Sessions that come, are looked at and go.

use std::num::NonZeroUsize;
use std::time::Duration;

use maily_core::clock::Timestamp;
use maily_core::live::said::Said;
use maily_core::mail::id::QueueId;

use super::*;
use crate::kept::EACH_MAX;
use crate::kept::FAILED_EACH_MAX;
use crate::kept::FAILED_MAX;
use crate::kept::IN_MAX;
use crate::kept::Kept;

/// A clock that goes on a second whenever it is looked at.
struct Steps(AtomicU64);

impl Clock for Steps {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(Steps(AtomicU64::new(1_000)))
}

fn tell(live: &Live, command: &str, reply: &str, phase: Phase) {
    let mut said = Said::default();
    said.commands(command.as_bytes());
    said.replies(reply.split(' ').next().unwrap().parse().unwrap(), reply.as_bytes());
    live.tell(&mut said, phase, 10);
    assert!(said.is_empty());
}

fn ids(talks: &[Arc<Talk>]) -> Vec<SessionId> {
    talks.iter().map(|talk| talk.about.id).collect()
}

#[test]
fn a_session_is_seen_while_it_goes_on_and_kept_when_it_is_over() {
    let sessions = Sessions::new(clock());
    let live = sessions.go_out("hop.example", "main");
    live.connect("mx.hop.example [192.0.2.7]:25".to_owned());
    tell(&live, "EHLO me\r\n", "250 hop\r\n", Phase::Idle);
    live.tls("TLSv1.3 AES");
    live.carry(QueueId::from_u64(7), "a.example");
    tell(&live, "MAIL FROM:<>\r\n", "250 ok\r\n", Phase::Envelope);
    let [row] = &sessions.snapshot()[..] else { panic!("one") };
    assert_eq!((row.phase, row.octets, &*row.tls), (Phase::Envelope, 20, "TLSv1.3 AES"));
    assert_eq!((&*row.command, &*row.reply), ("MAIL FROM:<>", "250 ok"));
    assert_eq!((row.message, &*row.domain), (Some(QueueId::from_u64(7)), "a.example"));
    assert!(row.since > row.about.began && !row.failed && row.over.is_none());
    let id = row.about.id;
    live.put_down(true);
    drop(live);
    assert!(sessions.snapshot().is_empty());
    assert_eq!(sessions.ask_to_leave(id), None, "it is over");
    let talk = sessions.find(id).unwrap();
    let kept = talk.transcript(0);
    assert_eq!((kept.session.messages, kept.session.message, kept.count), (1, None, 6));
    assert!(
        kept.session.over.is_some_and(|over| over > kept.session.since - Duration::from_secs(2))
    );
    assert_eq!(kept.lines[0].text, "connecting to mx.hop.example [192.0.2.7]:25");
    assert_eq!(talk.transcript(5).lines.len(), 1);
}

#[test]
fn one_session_above_the_limit_goes_on_unseen() {
    let sessions = Sessions::with_room(clock(), 2);
    let first = sessions.come_in("192.0.2.1");
    let second = sessions.come_in("192.0.2.2");
    let third = sessions.come_in("192.0.2.3");
    tell(&third, "EHLO x\r\n", "250 hi\r\n", Phase::Idle);
    let peers = || sessions.snapshot().into_iter().map(|row| row.peer).collect::<Vec<_>>();
    assert_eq!(peers(), ["192.0.2.1", "192.0.2.2"]);
    drop((first, third));
    let _fourth = sessions.come_in("192.0.2.4");
    assert_eq!(peers(), ["192.0.2.2", "192.0.2.4"]);
    assert_eq!(sessions.over(&Wanted::default()).len(), 1, "what was not seen is not kept");
    drop(second);
}

#[test]
fn one_site_pushes_out_only_its_own() {
    let sessions = Sessions::new(clock());
    drop(sessions.go_out("quiet.example", "main"));
    for _ in 0..10 * EACH_MAX {
        drop(sessions.go_out("busy.example", "main"));
        drop(sessions.go_out("busy.example", "other"));
    }
    let of = |site, source| sessions.over(&Wanted { site, source, ..Wanted::default() });
    assert_eq!(of(Some("quiet.example"), None).len(), 1);
    assert_eq!(of(Some("busy.example"), Some("main")).len(), EACH_MAX);
    assert_eq!(of(None, Some("other")).len(), EACH_MAX);
    let all = of(None, None);
    assert_eq!(all.len(), 2 * EACH_MAX + 1);
    assert!(all.is_sorted_by_key(|talk| Reverse(talk.about.id)), "the last first");
}

#[test]
fn what_failed_outlives_what_went_well() {
    let sessions = Sessions::new(clock());
    let bad = sessions.go_out("hop.example", "main");
    tell(&bad, "EHLO me\r\n", "554 no\r\n", Phase::Closing);
    drop(bad);
    (0..EACH_MAX).for_each(|_| drop(sessions.go_out("hop.example", "main")));
    assert_eq!(sessions.over(&Wanted::default()).len(), EACH_MAX + 1);
    let failed = Wanted { failed: true, ..Wanted::default() };
    let bad = ids(&sessions.over(&failed));
    assert_eq!(bad.len(), 1);
    for number in 0..FAILED_MAX {
        let site = format!("{number}.example");
        sessions.go_out(&site, "main").fail(format_args!("no answer"));
    }
    let failed = sessions.over(&failed);
    assert_eq!((failed.len(), ids(&failed).contains(&bad[0])), (FAILED_MAX, false));
    assert!(sessions.find(bad[0]).is_none());
}

#[test]
fn who_connects_to_us_often_pushes_nothing_of_ours_out() {
    let sessions = Sessions::new(clock());
    sessions.go_out("hop.example", "main").fail(format_args!("no answer"));
    for number in 0..2 * FAILED_MAX {
        sessions.come_in(&format!("{number}")).fail(format_args!("connection lost"));
        drop(sessions.come_in("192.0.2.66"));
    }
    let of = |direction, failed| {
        sessions.over(&Wanted { direction: Some(direction), failed, ..Wanted::default() }).len()
    };
    assert_eq!(of(Direction::Out, true), 1);
    assert_eq!(of(Direction::In, true), FAILED_MAX);
    // Half of the last ones have failed, and are among these.
    assert_eq!(of(Direction::In, false), FAILED_MAX + IN_MAX / 2);
}

#[test]
fn who_fails_again_and_again_pushes_out_only_its_own_failures() {
    let sessions = Sessions::new(clock());
    sessions.go_out("other.example", "main").fail(format_args!("no answer"));
    for _ in 0..2 * FAILED_MAX {
        sessions.go_out("hop.example", "main").fail(format_args!("no answer"));
    }
    let failed = sessions.over(&Wanted { failed: true, ..Wanted::default() });
    let of = |site: &str| failed.iter().filter(|talk| &*talk.about.site == site).count();
    assert_eq!((of("hop.example"), of("other.example")), (FAILED_EACH_MAX, 1));
}

#[test]
fn each_attempt_that_failed_is_kept_though_its_session_goes_on() {
    let sessions = Sessions::new(clock());
    let live = sessions.go_out("hop.example", "main");
    for number in 1..=3 {
        live.carry(QueueId::from_u64(number), "a.example");
        tell(&live, "MAIL FROM:<>\r\n", "250 ok\r\n", Phase::Envelope);
        let reply = if number == 2 { "250 ok\r\n" } else { "550 no\r\n" };
        tell(&live, "RCPT TO:<b@a.example>\r\n", reply, Phase::Envelope);
        live.put_down(number == 2);
    }
    let failed = || sessions.over(&Wanted { failed: true, ..Wanted::default() });
    let of = |talk: &Arc<Talk>| talk.row().message.map(QueueId::as_u64);
    assert_eq!(failed().iter().map(of).collect::<Vec<_>>(), [Some(3), Some(1)]);
    assert!(failed().iter().all(|talk| talk.row().over.is_none()), "it goes on");
    let id = sessions.snapshot()[0].about.id;
    drop(live);
    assert_eq!(failed().len(), 3, "the whole of it, too, but once");
    assert_eq!(sessions.find(id).unwrap().transcript(0).count, 12);
}

#[test]
fn a_failure_in_a_long_session_is_kept_before_its_lines_are_cut_away() {
    let sessions = Sessions::new(clock());
    let live = sessions.come_in("192.0.2.7");
    tell(&live, "RCPT TO:<gone@a.example>\r\n", "550 no\r\n", Phase::Envelope);
    for _ in 0..100 {
        tell(&live, "NOOP\r\n", "250 ok\r\n", Phase::Idle);
    }
    let failed = sessions.over(&Wanted { failed: true, ..Wanted::default() });
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].transcript(0).lines[0].text, "RCPT TO:<gone@a.example>");
}

#[test]
fn the_pair_without_a_session_for_the_longest_time_goes_first() {
    let clock = clock();
    let register = Sessions::new(clock);
    let two = NonZeroUsize::new(2).unwrap();
    *register.register.kept.lock() = Kept::with_room(two, usize::MAX);
    for site in ["a.example", "b.example", "a.example", "c.example"] {
        drop(register.go_out(site, "main"));
    }
    let sites = |register: &Sessions| {
        let talks = register.over(&Wanted::default());
        talks.iter().map(|talk| talk.about.site.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sites(&register), ["c.example", "a.example", "a.example"]);
    // Room for the texts of about two sessions with something in them.
    *register.register.kept.lock() =
        Kept::with_room(NonZeroUsize::MIN.saturating_add(7), 2 * 2_048);
    for site in ["a.example", "b.example", "c.example", "d.example"] {
        let live = register.go_out(site, "main");
        live.note(format_args!("{}", "x".repeat(500)));
        live.note(format_args!("{}", "x".repeat(500)));
    }
    assert_eq!(sites(&register), ["d.example", "c.example"]);
}

#[test]
fn an_operator_asks_one_session_to_end() {
    let sessions = Sessions::new(clock());
    let (one, other) = (sessions.come_in("a"), sessions.go_out("b", "main"));
    let [first, second] = &sessions.snapshot()[..] else { panic!("two") };
    assert_eq!(sessions.ask_to_leave(second.about.id), Some(Direction::Out));
    assert!(other.is_asked_to_leave() && !one.is_asked_to_leave());
    assert_eq!(sessions.ask_to_leave(first.about.id), Some(Direction::In));
    assert!(!Live::unseen().is_asked_to_leave());
}

#[tokio::test]
async fn who_waits_for_a_line_or_for_the_end_is_woken() {
    let sessions = Sessions::new(clock());
    let live = sessions.come_in("192.0.2.7");
    let id = sessions.snapshot()[0].about.id;
    let talk = sessions.find(id).unwrap();
    let waiting = |count| {
        let talk = Arc::clone(&talk);
        tokio::spawn(async move {
            talk.more_than(count).await;
            talk.transcript(count)
        })
    };
    let wait = waiting(0);
    tokio::task::yield_now().await;
    assert!(!wait.is_finished());
    live.note(format_args!("one"));
    assert_eq!(wait.await.unwrap().lines.len(), 1);
    let wait = waiting(1);
    tokio::task::yield_now().await;
    live.enter(Phase::Idle);
    tokio::task::yield_now().await;
    assert!(!wait.is_finished(), "nothing was said");
    drop(live);
    let end = wait.await.unwrap();
    assert!(end.lines.is_empty() && end.session.over.is_some());
}

#[tokio::test]
async fn who_waits_to_be_asked_is_woken_also_if_it_was_asked_before() {
    let sessions = Sessions::new(clock());
    let live = sessions.come_in("192.0.2.7");
    let id = sessions.snapshot()[0].about.id;
    let (ask, asked) = (async { sessions.ask_to_leave(id) }, live.asked_to_leave());
    tokio::join!(asked, ask);
    live.asked_to_leave().await;
}
