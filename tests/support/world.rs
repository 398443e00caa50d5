//! What is around the daemon: a name server, a certificate, and a sink that keeps what it gets.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use maily::clock::WallClock;
use maily::dev::dns;
use maily::dev::dns::Zone;
use maily::sink::behaviour::Behaviour;
use maily::sink::ledger::Ledger;
use maily::sink::session::Sink;

use crate::support::process::own_address;
use crate::support::process::wait_for;

/// The domain whose mail comes to the sink.
pub(crate) const DOMAIN: &str = "sink.example";

/// A message as the sink got it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The lines of MAIL and RCPT.
    pub(crate) envelope: String,
    /// The message, octet for octet.
    pub(crate) message: Vec<u8>,
}

impl Kept {
    /// What follows the first empty line.
    pub(crate) fn body(&self) -> &[u8] {
        let end = self.message.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
        &self.message[end + 4..]
    }

    /// The message without the trace fields in front (RFC 5321 4.4): what the client handed in.
    pub(crate) fn without_trace(&self) -> &[u8] {
        let mut rest = self.message.as_slice();
        while rest.starts_with(b"Received:") {
            let mut end = 0;
            loop {
                end += rest[end..].windows(2).position(|octets| octets == b"\r\n").unwrap() + 2;
                if !rest[end..].starts_with(b"\t") && !rest[end..].starts_with(b" ") {
                    break;
                }
            }
            rest = &rest[end..];
        }
        rest
    }
}

/// A name server and a sink on this machine, for as long as it lives.
pub(crate) struct World {
    /// The name server.
    pub(crate) dns: SocketAddr,
    /// Where the sink listens.
    pub(crate) sink: SocketAddr,
    /// What it has seen.
    pub(crate) ledger: Arc<Ledger>,
    kept: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Starts them; the sink keeps its messages in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::behaving(folder, Behaviour::Accept)
    }

    /// The same with a sink that behaves like this.
    pub(crate) fn behaving(folder: &Path, behaviour: Behaviour) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let kept = folder.join("kept");
        std::fs::create_dir_all(&kept).unwrap();
        let ledger = Arc::new(Ledger::keeping(kept.clone()));
        let sink = Sink {
            name: "mx.sink.example".into(),
            behaviour,
            ledger: Arc::clone(&ledger),
            tls: Some(maily::tls::self_signed("mx.sink.example").unwrap()),
            clock: Arc::new(WallClock::start()),
            remember: true,
        };
        let any = SocketAddr::new(own_address(), 0);
        let (address, serve) = runtime.block_on(sink.bind(any)).unwrap();
        runtime.spawn(serve);
        let mut zone = Zone::default();
        zone.mx(DOMAIN, 10, "mx.sink.example");
        zone.address("mx.sink.example", own_address());
        zone.address("api.sink.example", std::net::Ipv4Addr::LOCALHOST.into());
        let (dns, serve) = runtime.block_on(dns::bind(zone)).unwrap();
        runtime.spawn(serve);
        Self { dns, sink: address, ledger, kept, runtime }
    }

    /// How often message `number` of [`load`](crate::support::client::load) has come.
    pub(crate) fn came(&self, numbers: &[u64]) -> Vec<u32> {
        let taken = self.ledger.taken();
        let key = |number: &u64| {
            let id = format!("<{number}@client.example>");
            (id.into(), format!("r{number}@{DOMAIN}").into())
        };
        numbers.iter().map(|number| taken.get(&key(number)).copied().unwrap_or(0)).collect()
    }

    /// Waits until each of these has come; fails if one came twice.
    pub(crate) fn each_came_once(&self, numbers: &[u64]) {
        wait_for("all that was acknowledged", || !self.came(numbers).contains(&0));
        assert!(self.came(numbers).iter().all(|times| *times == 1), "a message came twice");
    }

    /// A name server of its own that answers these names and no others.
    pub(crate) fn answer(&self, zone: Zone) -> SocketAddr {
        let (dns, serve) = self.runtime.block_on(dns::bind(zone)).unwrap();
        self.runtime.spawn(serve);
        dns
    }

    /// Waits for this many messages; gives all that the sink has, in the order in which they came.
    pub(crate) fn kept(&self, count: usize) -> Vec<Kept> {
        let name = |number: usize, kind: &str| self.kept.join(format!("{number}.{kind}"));
        wait_for(&format!("{count} messages at the sink"), || {
            (1..=count).all(|number| name(number, "eml").exists())
        });
        let all = (1..).take_while(|number| name(*number, "eml").exists());
        let read = |number| Kept {
            envelope: std::fs::read_to_string(name(number, "envelope")).unwrap(),
            message: std::fs::read(name(number, "eml")).unwrap(),
        };
        all.map(read).collect()
    }
}
