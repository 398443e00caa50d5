//! The world that `maily dev` sends to: providers on loopback addresses, each with its behaviour
//! and its domains, and a name server that knows them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use maily_core::clock::Clock;

use crate::dev::dns;
use crate::dev::dns::Zone;
use crate::sink::behaviour::Behaviour;
use crate::sink::ledger::Ledger;
use crate::sink::session::Sink;
use crate::tls;

/// Where the sample mailing's delivery reports go.
pub const SENDER_DOMAIN: &str = "sender.example";
/// Recipient domains in the world.
pub const DOMAINS: usize = 200;

/// One provider: a mail host, how it behaves, and how many of the domains it serves.
struct Provider {
    name: &'static str,
    behaviour: Behaviour,
    domains: usize,
}

fn providers() -> [Provider; 8] {
    let provider = |name, behaviour, domains| Provider { name, behaviour, domains };
    [
        provider("north", Behaviour::Accept, 60),
        provider("south", Behaviour::Accept, 40),
        provider("east", Behaviour::Accept, 20),
        provider("west", Behaviour::Accept, 10),
        provider("grey", Behaviour::Greylist(Duration::from_secs(2)), 20),
        provider("narrow", Behaviour::Throttle(20), 20),
        provider("strict", Behaviour::Reject(0.2), 20),
        provider("slow", Behaviour::Slow(Duration::from_millis(100)), 10),
    ]
}

/// A running world. Dropping it ends it.
pub struct World {
    /// The name server.
    pub dns: SocketAddr,
    /// The port on which all mail hosts listen.
    pub port: u16,
    /// What the hosts have seen.
    pub ledger: Arc<Ledger>,
    /// What the mailing's own sender got: delivery reports.
    pub home: Arc<Ledger>,
    /// The recipient domains.
    pub domains: Vec<String>,
    tasks: JoinSet<()>,
}

impl World {
    /// Starts the name server and the mail hosts.
    pub async fn start(clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let mut zone = Zone::default();
        let mut tasks = JoinSet::new();
        let (ledger, home) = (Arc::new(Ledger::default()), Arc::new(Ledger::default()));
        let acceptor = tls::self_signed("*.example")?;
        let mut port = 0;
        let mut domains = Vec::with_capacity(DOMAINS);
        let sender = Provider { name: "home", behaviour: Behaviour::Accept, domains: 0 };
        for (index, provider) in [sender].into_iter().chain(providers()).enumerate() {
            let host = format!("mx.{}.example", provider.name);
            let ip = IpAddr::V4(Ipv4Addr::new(127, 10, 0, u8::try_from(index + 1)?));
            let ledger = if index == 0 { &home } else { &ledger };
            let sink = sink(&host, &provider.behaviour, ledger, &acceptor, &clock);
            let (address, serve) = sink
                .bind(SocketAddr::new(ip, port))
                .await
                .with_context(|| format!("the sink {host} could not listen on {ip}:{port}"))?;
            port = address.port();
            tasks.spawn(serve);
            zone.address(&host, ip);
            for number in 1..=provider.domains {
                let domain = format!("{}{number:02}.example", provider.name);
                zone.mx(&domain, 10, &host);
                domains.push(domain);
            }
        }
        zone.mx(SENDER_DOMAIN, 10, "mx.home.example");
        let (dns, serve) = dns::bind(zone).await.context("the name server could not listen")?;
        tasks.spawn(serve);
        Ok(Self { dns, port, ledger, home, domains, tasks })
    }

    /// How many tasks of the world still run: all, unless one has died.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }
}

fn sink(
    name: &str,
    behaviour: &Behaviour,
    ledger: &Arc<Ledger>,
    tls: &TlsAcceptor,
    clock: &Arc<dyn Clock>,
) -> Sink {
    Sink {
        name: name.into(),
        behaviour: behaviour.clone(),
        ledger: Arc::clone(ledger),
        tls: Some(tls.clone()),
        clock: Arc::clone(clock),
        remember: true,
    }
}
