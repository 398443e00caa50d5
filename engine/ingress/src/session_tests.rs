//! Sessions with time in the test's hands: slow clients, guessers, a full house.

use std::collections::HashMap;

use maily_core::bounce::classify::Rules;
use maily_core::clock::Clock;
use maily_core::live::Direction;
use maily_core::live::Phase;
use maily_core::mail::envelope::Class;
use maily_core::mail::id::QueueIdSource;
use maily_core::smtp::server::config::Client;
use maily_core::smtp::server::config::ServerConfig;
use maily_events::recorder::Recorder;
use maily_events::suppression::Suppressions;
use maily_live::sessions::Sessions;
use maily_live::sessions::Wanted;
use maily_plugins::set::Plugins;
use maily_spool::spool::Options;
use maily_spool::spool::Spool;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::auth;
use crate::auth::User;
use crate::feedback::Feedback;
use crate::gate::Limits;
use crate::hooks::Hooks;
use crate::throttle;

/// Follows the runtime's time, which stands still while anyone has something to do.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_000_000) + self.0.elapsed()
    }
}

/// A house for sessions.
struct House {
    shared: Arc<Shared>,
    drain: watch::Sender<bool>,
    begun: Instant,
    _folder: tempfile::TempDir,
    _queued: mpsc::Receiver<maily_spool::submission::Spooled>,
}

fn house(receiving_octets_max: u64) -> House {
    let folder = tempfile::tempdir().unwrap();
    let (queue, queued) = mpsc::channel(10);
    let spool = Spool::open(&folder.path().join("spool"), &Options::default(), queue).unwrap();
    let events = Recorder::open(&folder.path().join("events"), 1 << 20).unwrap();
    let begun = Instant::now();
    let clock: Arc<dyn Clock> = Arc::new(TestClock(begun));
    let limits = Limits { waiting_max: 10, disk_reserve: 0, receiving_octets_max };
    let hash = auth::hash("secret").unwrap();
    let ann = User { hash, tenant: "ann".into(), class: Class::Transactional };
    let shared = Shared {
        gate: Arc::new(Gate::new(spool.clone(), limits)),
        door: FrontDoor {
            spool,
            events: events.clone(),
            clock: Arc::clone(&clock),
            ids: Arc::new(Mutex::new(QueueIdSource::new(0))),
            hostname: "mx.example".into(),
            expire_after: Duration::from_secs(100),
            counters: Arc::default(),
            feedback: Feedback {
                mailbox: Some("u@mx.example".parse().unwrap()),
                complaints: None,
                rules: Arc::new(Rules::shipped().unwrap()),
                links: None,
                suppressions: Suppressions::open(
                    &folder.path().join("suppressions"),
                    &maily_journal::journal::Options::small(),
                )
                .unwrap(),
                events,
                clock: Arc::clone(&clock),
            },
            hooks: Hooks::new(Arc::new(Plugins::none(Arc::new(TestClock(begun))).unwrap())),
        },
        users: Arc::new(Users::new(HashMap::from([("ann".into(), ann)]))),
        throttle: Arc::default(),
        tls: None,
        sessions: Sessions::new(clock),
        idle_timeout: Duration::from_secs(300),
        data_timeout: Duration::from_secs(600),
    };
    let (drain, _) = watch::channel(false);
    House { shared: Arc::new(shared), drain, begun, _folder: folder, _queued: queued }
}

impl House {
    /// A session that runs, and the client's end of it, past EHLO.
    async fn client(&self) -> Peer {
        let config = ServerConfig { auth: true, ..ServerConfig::default() };
        let client = Client { may_relay: true, local: true, tls: false };
        let server = Server::new(Arc::new(config), client);
        let address = IpAddr::from([192, 0, 2, 7]);
        let shared = Arc::clone(&self.shared);
        let live = shared.sessions.come_in(&address.to_string());
        let session = Session::new(server, shared, address, self.drain.subscribe(), live);
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(session.run(theirs));
        let mut peer = Peer { stream: ours, said: String::new() };
        peer.answer("220 ").await;
        peer.say("EHLO c\r\n").await;
        peer.answer("250 AUTH").await;
        peer
    }

    fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }
}

struct Peer {
    stream: DuplexStream,
    said: String,
}

impl Peer {
    async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads on until the session has ended.
    async fn closed(&mut self) {
        while self.stream.read(&mut [0; 4_096]).await.unwrap() > 0 {}
        // Time goes on when the session has nothing more to do.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// Reads on until a line begins so; gives the line.
    async fn answer(&mut self, start: &str) -> String {
        loop {
            while let Some((line, rest)) = self.said.split_once("\r\n") {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.said = rest;
                if line.starts_with(start) {
                    return line;
                }
            }
            let mut octets = [0; 4_096];
            let read = self.stream.read(&mut octets).await.unwrap();
            assert!(read > 0, "closed before {start:?}, said {:?}", self.said);
            self.said.push_str(std::str::from_utf8(&octets[..read]).unwrap());
        }
    }

    async fn begin(&mut self) {
        self.say("MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n").await;
        self.answer("354").await;
    }

    /// Says something every ten seconds until it is told to go.
    async fn drip(&mut self, text: &str) -> String {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                if writer.write_all(text.as_bytes()).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let mut octets = [0; 4_096];
        tokio::select! {
            read = reader.read(&mut octets) => {
                String::from_utf8_lossy(&octets[..read.unwrap()]).into_owned()
            }
            () = dripping => unreachable!(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_must_be_whole_in_its_time_however_it_drips() {
    let house = house(1 << 20);
    let mut slow = house.client().await;
    let begun = house.seconds();
    assert!(slow.drip("x").await.starts_with("421 4.4.2 "));
    assert_eq!(house.seconds() - begun, 300);
    let mut busy = house.client().await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    busy.say("NOOP\r\n").await;
    busy.answer("250").await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    busy.say("NOOP\r\n").await;
    busy.answer("250").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_must_be_whole_in_its_time_however_it_drips() {
    let house = house(1 << 20);
    for start in ["DATA\r\n", "BDAT 100000\r\n"] {
        let mut slow = house.client().await;
        slow.say("MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n").await;
        slow.answer("250 2.1.5").await;
        slow.say(start).await;
        let begun = house.seconds();
        let said = slow.drip("a line\r\n").await;
        let said = if said.starts_with("354") { slow.drip("a line\r\n").await } else { said };
        assert!(said.starts_with("421 4.4.2 the message took too long"), "{said}");
        assert!((600..=601).contains(&(house.seconds() - begun)));
    }
}

#[tokio::test(start_paused = true)]
async fn chunk_after_chunk_is_one_message_and_has_one_time() {
    let house = house(1 << 20);
    let mut slow = house.client().await;
    slow.say("MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n").await;
    slow.answer("250 2.1.5").await;
    let begun = house.seconds();
    for _ in 0..5 {
        slow.say("BDAT 1\r\nx").await;
        slow.answer("250 2.0.0").await;
        tokio::time::sleep(Duration::from_secs(119)).await;
    }
    slow.answer("421 4.4.2").await;
    assert!((600..=601).contains(&(house.seconds() - begun)));
}

#[tokio::test(start_paused = true)]
async fn silence_inside_a_message_ends_it() {
    let house = house(1 << 20);
    let mut silent = house.client().await;
    silent.begin().await;
    let begun = house.seconds();
    silent.answer("421 4.4.2 ").await;
    assert_eq!(house.seconds() - begun, 300);
}

#[tokio::test]
async fn a_message_that_does_not_fit_in_memory_is_refused_for_now_and_others_are_not() {
    let house = house(100_000);
    let (mut first, mut second) = (house.client().await, house.client().await);
    first.begin().await;
    second.begin().await;
    first.say(&"a line\r\n".repeat(6_000)).await;
    while house.shared.gate.receiving() < 48_000 {
        tokio::task::yield_now().await;
    }
    // More than is read at once, so that it is seen to be too much before it is whole.
    second.say(&("a line\r\n".repeat(20_000) + ".\r\n")).await;
    second.answer("452 4.3.2 ").await;
    second.say("MAIL FROM:<> SIZE=3000\r\n").await;
    second.answer("452 4.3.2 ").await;
    first.say(".\r\n").await;
    first.answer("250 2.0.0 queued").await;
    second.begin().await;
    second.say(&("a line\r\n".repeat(6_000) + ".\r\n")).await;
    second.answer("250 2.0.0 queued").await;
    second.say("NOOP\r\n").await;
    second.answer("250 2.0.0 OK").await;
    assert_eq!(house.shared.gate.receiving(), 0, "all is given back");
}

#[tokio::test]
async fn who_has_guessed_too_often_is_delayed_and_then_sent_away() {
    let house = house(1 << 20);
    let guess = |times: u32| {
        let mut throttle = house.shared.throttle.lock();
        for number in 0..times {
            let now = house.shared.door.clock.now();
            throttle.on_wrong(IpAddr::from([192, 0, 2, 7]), &format!("user{number}"), now);
        }
    };
    guess(throttle::WRONG_FREE_MAX);
    let mut client = house.client().await;
    tokio::time::pause();
    let begun = house.seconds();
    client.say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n").await;
    client.answer("235 ").await;
    assert!(house.seconds() - begun >= throttle::DELAY.as_secs(), "{}", house.seconds() - begun);
    guess(throttle::WRONG_MAX);
    let mut client = house.client().await;
    client.say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n").await;
    client.answer("421 4.7.0 too many failed logins, try again later").await;
    assert_eq!(client.stream.read(&mut [0; 10]).await.unwrap(), 0, "and closes");
}

#[tokio::test]
async fn a_house_that_ends_lets_a_message_end_and_takes_no_other() {
    let house = house(1 << 20);
    let (mut busy, mut idle) = (house.client().await, house.client().await);
    busy.begin().await;
    house.drain.send_replace(true);
    idle.answer("421 4.3.2 going down").await;
    busy.say("a line\r\n.\r\nMAIL FROM:<>\r\n").await;
    busy.answer("250 2.0.0 queued").await;
    busy.answer("421 4.3.2 going down").await;
}

/// What was said in the last session that is over.
fn last_words(house: &House) -> Vec<String> {
    let talks = house.shared.sessions.over(&Wanted::default());
    talks[0].transcript(0).lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_seen_with_its_phase_and_last_command() {
    let house = house(1 << 20);
    let mut peer = house.client().await;
    let row = || house.shared.sessions.snapshot().remove(0);
    assert_eq!((row().phase, &*row().peer, &*row().command), (Phase::Idle, "192.0.2.7", "EHLO c"));
    peer.say("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n").await;
    peer.answer("235").await;
    peer.say("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n").await;
    peer.answer("250 2.1.5").await;
    assert_eq!((row().phase, &*row().command), (Phase::Envelope, "RCPT TO:<c@d.example>"));
    assert_eq!((&*row().reply, &*row().user), ("250 2.1.5 OK", "ann"));
    peer.say("DATA\r\n").await;
    peer.answer("354").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    peer.say("Subject: hidden\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let slow = row();
    let waited = house.shared.door.clock.now().since(slow.since);
    assert_eq!((slow.phase, waited), (Phase::Data, Duration::from_secs(61)));
    peer.say(".\r\n").await;
    peer.answer("250 2.0.0").await;
    assert_eq!((row().phase, row().messages, row().failed), (Phase::Idle, 1, false));
    peer.say("QUIT\r\n").await;
    peer.answer("221").await;
    peer.closed().await;
    let lines = last_words(&house);
    assert!(lines.contains(&"message of 19 octets".to_owned()), "{lines:?}");
    let all = format!("{lines:?}");
    assert!(!all.contains("hidden") && !all.contains("AGFubgBzZWNyZXQ="), "{all}");
    assert!(house.shared.sessions.snapshot().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_operator_closes_a_session_wherever_it_is() {
    let house = house(1 << 20);
    for words in ["", "MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nhalf a message"] {
        let mut peer = house.client().await;
        peer.say(words).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let id = house.shared.sessions.snapshot()[0].about.id;
        assert_eq!(house.shared.sessions.ask_to_leave(id), Some(Direction::In));
        peer.answer("421 4.3.2 closed by an operator").await;
        peer.closed().await;
        assert!(last_words(&house).last().unwrap().starts_with("421 4.3.2"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_the_middle_has_failed_and_who_leaves_between_has_not() {
    let house = house(1 << 20);
    for (words, failed) in [("NOOP\r\n", false), ("MAIL FROM:<>\r\n", true)] {
        let mut peer = house.client().await;
        peer.say(words).await;
        peer.answer("250 2").await;
        drop(peer);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(last_words(&house).last().unwrap(), "the client closed the connection");
        let last = &house.shared.sessions.over(&Wanted::default())[0];
        assert_eq!(last.row().failed, failed, "{words}");
    }
}
