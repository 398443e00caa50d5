//! What operators see of a session out, also of one that comes to nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot do its part must fail"
)]

mod support;

use std::net::TcpListener;
use std::sync::Arc;

use maily_core::live::Phase;
use maily_core::mail::outcome::Outcome;
use maily_core::smtp::client::TlsPolicy;
use maily_egress::connection::Connection;
use maily_egress::opening;
use maily_live::session::Live;
use maily_live::sessions::{Sessions, Wanted};

use crate::support::Step::{Await, Say};
use crate::support::{StillClock, delivery, message, play, resolver, route, settings, source};

async fn open(port: u16, tls: TlsPolicy, live: &Arc<Live>) -> Result<Connection, Outcome> {
    opening::open(&resolver(), &route("127.0.0.1", port), &source(), &settings(tls), live).await
}

fn register() -> Arc<Sessions> {
    Sessions::new(Arc::new(StillClock::default()))
}

/// What was said in the only session that is over and failed.
fn failed(sessions: &Sessions) -> Vec<String> {
    let talks = sessions.over(&Wanted { failed: true, ..Wanted::default() });
    assert_eq!(talks.len(), 1);
    talks[0].transcript(0).lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test]
async fn each_phase_is_seen_and_the_lines_of_a_refusal_are_kept() {
    let port = play(&[&[
        Say("220 hop\r\n"),
        Await("EHLO"),
        Say("250 hop\r\n"),
        Await("MAIL"),
        Say("250 ok\r\n"),
        Await("RCPT"),
        Say("250 ok\r\n"),
        Await("DATA"),
        Say("354 go\r\n"),
        Await("\r\n.\r\n"),
        Say("554 5.7.1 not \x1b[1mthis\r\n"),
        Await("QUIT"),
    ]]);
    let sessions = register();
    let live = Arc::new(sessions.go_out("hop.example", "main"));
    let mut connection = open(port, TlsPolicy::Off, &live).await.unwrap();
    let row = || sessions.snapshot().remove(0);
    assert_eq!((row().phase, row().peer), (Phase::Idle, format!("127.0.0.1 [127.0.0.1:{port}]")));
    let sent = message(100);
    let outcomes = connection.deliver(delivery(&sent)).await;
    assert!(matches!(outcomes[0].1, Outcome::Bounced { .. }), "{outcomes:?}");
    assert_eq!((row().phase, row().failed), (Phase::Idle, true));
    assert_eq!((&*row().command, &*row().reply), ("DATA", "554 5.7.1 not \u{1b}[1mthis"));
    assert!(row().octets > sent.len() as u64);
    connection.quit().await;
    drop(live);
    let size = format!("message of {} octets", sent.len());
    assert_eq!(
        failed(&sessions),
        [
            &*format!("connecting to 127.0.0.1 [127.0.0.1:{port}]"),
            "220 hop",
            "EHLO me.example",
            "250 hop",
            "MAIL FROM:<>",
            "250 ok",
            "RCPT TO:<ann@example.net>",
            "250 ok",
            "DATA",
            "354 go",
            &size,
            "554 5.7.1 not \u{1b}[1mthis",
            "QUIT",
        ]
    );
}

#[tokio::test]
async fn who_cannot_be_reached_leaves_a_transcript() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sessions = register();
    let live = Arc::new(sessions.go_out("hop.example", "main"));
    assert!(open(port, TlsPolicy::Off, &live).await.is_err());
    drop(live);
    let lines = failed(&sessions);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("refused"), "{lines:?}");
}

#[tokio::test]
async fn a_name_without_addresses_leaves_a_transcript() {
    let sessions = register();
    let live = Arc::new(sessions.go_out("hop.example", "main"));
    let route = route("nowhere.invalid", 25);
    let settings = settings(TlsPolicy::Off);
    assert!(opening::open(&resolver(), &route, &source(), &settings, &live).await.is_err());
    drop(live);
    let lines = failed(&sessions);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].is_empty());
}

#[tokio::test]
async fn tls_that_fails_and_the_try_in_clear_are_one_session() {
    let port = play(&[
        &[
            Say("220 hop\r\n"),
            Await("EHLO"),
            Say("250-hop\r\n250 STARTTLS\r\n"),
            Await("STARTTLS"),
            Say("220 go\r\nno handshake\r\n"),
        ],
        &[Say("220 hop\r\n"), Await("EHLO"), Say("250 hop\r\n"), Await("QUIT")],
    ]);
    let sessions = register();
    let live = Arc::new(sessions.go_out("hop.example", "main"));
    let connection = open(port, TlsPolicy::May, &live).await.unwrap();
    assert_eq!((sessions.snapshot()[0].tls.as_str(), sessions.snapshot().len()), ("", 1));
    connection.quit().await;
    drop(live);
    let lines = failed(&sessions);
    let tries = lines.iter().filter(|line| line.starts_with("connecting to ")).count();
    assert_eq!(tries, 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("STARTTLS")), "{lines:?}");
}

#[tokio::test]
async fn a_peer_that_cuts_the_line_is_told_of() {
    let port = play(&[&[
        Say("220 hop\r\n"),
        Await("EHLO"),
        Say("250 hop\r\n"),
        Await("MAIL"),
        Say("250 ok\r\n"),
        Await("RCPT"),
    ]]);
    let sessions = register();
    let live = Arc::new(sessions.go_out("hop.example", "main"));
    let mut connection = open(port, TlsPolicy::Off, &live).await.unwrap();
    let outcomes = connection.deliver(delivery(&message(100))).await;
    assert!(matches!(outcomes[0].1, Outcome::Deferred { .. }), "{outcomes:?}");
    assert_eq!(sessions.snapshot()[0].phase, Phase::Closing);
    drop((connection, live));
    let lines = failed(&sessions);
    let last = lines.last().unwrap();
    assert!(last.contains("closed the connection") || last.contains("connection lost"), "{last}");
}
