//! Next hops that do not keep to the protocol, over loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::{Recipient, RecipientIndex, ReversePath};
use maily_core::mail::outcome::{Outcome, Scope};
use maily_core::smtp::client::{Delivery, TlsPolicy};
use maily_core::smtp::content::Content;
use maily_egress::connection::{self, Connection, Settings, Source};
use maily_egress::resolve::{Resolver, Route};

const OPENING: &[Step] = &[Step::Say("220 hop\r\n"), Step::Await("EHLO"), Step::Say(OFFER)];
const OFFER: &str = "250-hop\r\n250 PIPELINING\r\n";

/// What a server does next.
enum Step {
    Say(&'static str),
    /// Reads until this has come.
    Await(&'static str),
    /// Says an octet every 20 ms, for a second or until the client leaves.
    Drip,
}

/// A server that plays one connection and closes it; gives its port.
fn play(steps: &'static [Step]) -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let played = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen: Vec<u8> = Vec::new();
        for step in OPENING.iter().chain(steps) {
            match step {
                Step::Say(text) => stream.write_all(text.as_bytes()).unwrap(),
                Step::Await(text) => {
                    while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
                        let mut buffer = [0; 4_096];
                        match stream.read(&mut buffer) {
                            Ok(octets) if octets > 0 => seen.extend(buffer.iter().take(octets)),
                            _ => return,
                        }
                    }
                    seen.clear();
                }
                Step::Drip => {
                    for _ in 0..50 {
                        std::thread::sleep(Duration::from_millis(20));
                        if stream.write_all(b"2").is_err() {
                            return;
                        }
                    }
                }
            }
        }
    });
    (port, played)
}

fn delivery(to: &str, octets: usize) -> Delivery {
    let line = "one line of a message that has many\r\n";
    let message = format!("Subject: x\r\n\r\n{}", line.repeat(1 + octets / line.len()));
    Delivery {
        reverse_path: ReversePath::Null,
        recipients: vec![(RecipientIndex(0), Recipient::plain(Mailbox::parse(to).unwrap()))],
        ret: None,
        envelope_id: None,
        smtputf8: false,
        content: Content { head: bytes::Bytes::new(), message: message.into() },
    }
}

async fn connect(port: u16) -> Connection {
    let nobody = "127.0.0.1:9".parse().unwrap();
    let resolver = Resolver::new(&[nobody], Duration::from_secs(1), port, None).unwrap();
    let route = Route { site: "hop".into(), hosts: vec!["127.0.0.1".into()], port };
    let source = Source { name: "test".into(), address: None, ehlo: "me.example".into() };
    let settings = Settings {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        connect_timeout: Duration::from_secs(5),
        reply_timeout: Duration::from_millis(300),
        tls: TlsPolicy::Off,
        tls_config: maily_egress::tls::opportunistic().unwrap(),
    };
    connection::open(&resolver, &route, &source, &settings).await.unwrap()
}

async fn outcome(connection: &mut Connection, to: &str, octets: usize) -> Outcome {
    connection.deliver(delivery(to, octets)).await.remove(0).1
}

const fn is_deferred(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Deferred { scope: Scope::Host, .. })
}

#[tokio::test]
async fn a_250_before_the_message_was_sent_delivers_nothing() {
    let steps = &[Step::Await("DATA"), Step::Say("250 a\r\n250 b\r\n354 c\r\n250 taken\r\n")];
    let (port, _) = play(steps);
    let outcome = outcome(&mut connect(port).await, "ann@example.net", 100).await;
    assert!(is_deferred(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_surplus_reply_is_never_taken_for_the_next_message() {
    let steps = &[
        Step::Await("DATA"),
        Step::Say("250 a\r\n250 b\r\n354 c\r\n"),
        Step::Await("\r\n.\r\n"),
        Step::Say("250 taken\r\n550 5.1.1 surplus\r\n"),
        Step::Await("DATA"),
        Step::Say("250 a\r\n250 b\r\n354 c\r\n"),
    ];
    let (port, _) = play(steps);
    let mut connection = connect(port).await;
    let first = outcome(&mut connection, "ann@example.net", 100).await;
    assert!(matches!(first, Outcome::Delivered(_)), "{first:?}");
    let second = outcome(&mut connection, "bob@example.net", 100).await;
    assert!(is_deferred(&second), "{second:?}");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_large_message_leaves_no_doubt() {
    let steps = &[
        Step::Await("DATA"),
        Step::Say("250 a\r\n250 b\r\n354 c\r\n"),
        Step::Await("Subject"),
        Step::Say("552 5.3.4 too large\r\n"),
    ];
    let (port, _) = play(steps);
    let outcome = outcome(&mut connect(port).await, "ann@example.net", 32 << 20).await;
    assert!(is_deferred(&outcome), "{outcome:?}");
}

#[tokio::test]
async fn a_lost_reply_to_the_final_dot_is_in_doubt() {
    let steps =
        &[Step::Await("DATA"), Step::Say("250 a\r\n250 b\r\n354 c\r\n"), Step::Await("\r\n.\r\n")];
    let (port, _) = play(steps);
    let outcome = outcome(&mut connect(port).await, "ann@example.net", 100).await;
    assert!(matches!(outcome, Outcome::InDoubt(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_reply_that_drips_is_given_up() {
    let (port, played) = play(&[Step::Await("DATA"), Step::Drip]);
    let outcome = outcome(&mut connect(port).await, "ann@example.net", 100).await;
    assert!(is_deferred(&outcome), "{outcome:?}");
    assert_eq!(outcome.diagnosis().text(), "no reply in time");
    assert!(!played.is_finished(), "it was given up before the server was");
}
