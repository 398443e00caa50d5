//! What the tests of this room share: servers that play a part, and a client side to try them with.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses a part of this"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maily_core::clock::{Clock, Timestamp};
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::{Recipient, RecipientIndex, ReversePath};
use maily_core::mail::outcome::Outcome;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::content::Content;
use maily_core::smtp::delivery::Delivery;
use maily_egress::connection::{Connection, Settings, Source};
use maily_egress::opening;
use maily_egress::resolve::{Options, Own, Resolver};
use maily_egress::route::{FixedRoutes, Hop, Route};
use maily_egress::tls::Tls;
use maily_live::session::Live;

/// How long a reply may take in these tests.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// What a server does next.
#[derive(Clone, Copy)]
pub enum Step {
    Say(&'static str),
    /// Reads until this has come.
    Await(&'static str),
    /// Says this again and again, so many times or until the client leaves.
    Repeat(&'static str, usize),
    /// Says an octet now and then until the client leaves.
    Drip,
    /// Reads an octet now and then until the client leaves.
    Sip,
    /// Says nothing for so long.
    Pause(Duration),
    /// Neither reads nor says anything more, and keeps the connection open.
    Freeze,
}

/// A server that plays these connections, one after the other; gives its port.
pub fn play(plays: &'static [&'static [Step]]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for steps in plays {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut seen = Vec::new();
            let goes_on = steps.iter().all(|step| take(*step, &mut stream, &mut seen));
            if goes_on && matches!(steps.last(), Some(Step::Freeze)) {
                open.push(stream);
            }
        }
        // Frozen connections stay open for longer than any test waits.
        if !open.is_empty() {
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    port
}

/// Takes one step; false if the client has left.
fn take(step: Step, stream: &mut TcpStream, seen: &mut Vec<u8>) -> bool {
    match step {
        Step::Say(text) => stream.write_all(text.as_bytes()).is_ok(),
        Step::Await(text) => {
            while !seen.windows(text.len()).any(|window| window == text.as_bytes()) {
                // All but what may be the beginning of it is of no use any more.
                seen.drain(..seen.len().saturating_sub(text.len()));
                let mut buffer = [0; 65_536];
                match stream.read(&mut buffer) {
                    Ok(octets) if octets > 0 => seen.extend(buffer.iter().take(octets)),
                    _ => return false,
                }
            }
            seen.clear();
            true
        }
        Step::Repeat(text, times) => (0..times).all(|_| stream.write_all(text.as_bytes()).is_ok()),
        Step::Drip => loop {
            std::thread::sleep(Duration::from_millis(50));
            if stream.write_all(b"2").is_err() {
                return false;
            }
        },
        Step::Sip => loop {
            std::thread::sleep(Duration::from_millis(1));
            if !matches!(stream.read(&mut [0]), Ok(1)) {
                return false;
            }
        },
        Step::Pause(time) => {
            std::thread::sleep(time);
            true
        }
        Step::Freeze => true,
    }
}

/// A clock that stands still.
#[derive(Debug, Default)]
pub struct StillClock(pub AtomicU64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
    }
}

pub fn settings(tls: TlsPolicy) -> Settings {
    Settings {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        connect_timeout: Duration::from_secs(5),
        reply_timeout: REPLY_TIMEOUT,
        delivery_timeout: Duration::from_secs(8),
        tls,
        tls_client: Tls::opportunistic().unwrap(),
    }
}

pub fn source() -> Source {
    Source { name: "test".into(), address: None, ehlo: "me.example".into() }
}

/// A resolver without a name server.
pub fn resolver() -> Resolver {
    let options = Options {
        servers: vec!["127.0.0.1:9".parse().unwrap()],
        timeout: Duration::from_secs(1),
        port: 25,
        fixed: FixedRoutes::default(),
        own: Own::default(),
    };
    Resolver::new(options, Arc::new(StillClock::default())).unwrap()
}

pub fn route(host: &str, port: u16) -> Route {
    let hop = Hop { host: host.into(), port, preference: 0 };
    Route { site: "hop".into(), hosts: vec![hop], tls: None, login: None }
}

pub async fn connect(port: u16, tls: TlsPolicy) -> Result<Connection, Outcome> {
    let (route, live) = (route("127.0.0.1", port), Arc::new(Live::unseen()));
    opening::open(&resolver(), &route, &source(), &settings(tls), &live).await
}

pub fn delivery(message: &bytes::Bytes) -> Delivery {
    let ann = Recipient::plain(Mailbox::parse("ann@example.net").unwrap());
    Delivery {
        reverse_path: ReversePath::Null,
        recipients: vec![(RecipientIndex(0), ann)],
        ret: None,
        envelope_id: None,
        smtputf8: false,
        content: Content { head: bytes::Bytes::new(), message: message.clone() },
    }
}

/// A message of at least so many octets.
pub fn message(octets: usize) -> bytes::Bytes {
    let line = "one line of a message that has many\r\n";
    let mut text = String::with_capacity(octets + 100);
    text.push_str("Subject: x\r\n\r\n");
    while text.len() < octets {
        text.push_str(line);
    }
    text.push_str(line);
    text.into()
}
