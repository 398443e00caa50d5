//! Where mail goes, asked of a name server on loopback (RFC 5321 5.1, RFC 7505), and which of a
//! route's hosts is tried.
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use maily::dev::dns::{self, Zone};
use maily_core::clock::{Clock, Timestamp};
use maily_core::mail::address::Domain;
use maily_core::mail::outcome::{EnhancedStatus, Outcome};
use maily_core::smtp::client::TlsPolicy;
use maily_egress::connection::{Connection, Settings, Source};
use maily_egress::memory::REMEMBERED_MIN;
use maily_egress::opening::{self, TRIES_MAX};
use maily_egress::resolve::{HOSTS_MAX, Options, Own, Resolver};
use maily_egress::route::{Fixed, FixedRoutes, Route, Scope};
use maily_egress::tls::Tls;
use maily_live::session::Live;

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
    }
}

impl SetClock {
    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs() + 1, Ordering::Relaxed);
    }
}

/// A name server with its zone, and a resolver that asks it.
struct World {
    resolver: Resolver,
    clock: Arc<SetClock>,
    dns: tokio::task::JoinHandle<()>,
}

async fn world(zone: Zone, change: impl FnOnce(&mut Options)) -> World {
    let (address, serve) = dns::bind(zone).await.unwrap();
    let mut options = Options {
        servers: vec![address],
        timeout: Duration::from_millis(500),
        port: 25,
        fixed: FixedRoutes::default(),
        own: Own { names: vec!["me.example".into()], places: Vec::new() },
    };
    change(&mut options);
    let clock = Arc::new(SetClock::default());
    let resolver = Resolver::new(options, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    World { resolver, clock, dns: tokio::spawn(serve) }
}

impl World {
    async fn route(&self, domain: &str) -> Result<Route, Outcome> {
        self.resolver.route(&Domain::parse(domain).unwrap()).await
    }

    async fn hosts(&self, domain: &str) -> Vec<String> {
        let route = self.route(domain).await.unwrap();
        route.hosts.iter().map(|hop| hop.host.to_string()).collect()
    }

    /// The status with which mail for the domain is bounced, or deferred.
    async fn status(&self, domain: &str) -> EnhancedStatus {
        status(&self.route(domain).await.unwrap_err())
    }

    async fn open(&self, domain: &str) -> Result<Connection, Outcome> {
        let route = self.route(domain).await?;
        let (settings, live) = (settings("127.0.0.0/8"), Arc::new(Live::unseen()));
        opening::open(&self.resolver, &route, &source(None), &settings, &live).await
    }
}

/// The status; its class says what became of the mail, or the test ends.
fn status(outcome: &Outcome) -> EnhancedStatus {
    let status = outcome.diagnosis().status;
    let class = match outcome {
        Outcome::Bounced { .. } => 5,
        _ => 4,
    };
    assert_eq!(status.class, class, "{outcome:?}");
    status
}

const fn bounced(subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(5, subject, detail)
}

const fn deferred(subject: u16, detail: u16) -> EnhancedStatus {
    EnhancedStatus::new(4, subject, detail)
}

fn source(address: Option<IpAddr>) -> Source {
    Source { name: "test".into(), address, ehlo: "me.example".into() }
}

fn settings(allowed: &str) -> Settings {
    Settings {
        allowed: vec![allowed.parse().unwrap()],
        connect_timeout: Duration::from_secs(5),
        reply_timeout: Duration::from_secs(5),
        delivery_timeout: Duration::from_secs(10),
        tls: TlsPolicy::Off,
        tls_client: Tls::opportunistic().unwrap(),
    }
}

/// A server at this address that greets all who come; gives its port and how many came.
fn greeter(address: SocketAddr, greeting: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let said = stream.write_all(greeting.as_bytes());
            if said.is_ok() && greeting.starts_with("220") {
                // The session is ready when EHLO is answered; nobody sends mail here.
                let _octets = stream.read(&mut [0; 1_024]);
                let _gone = stream.write_all(b"250 hop\r\n");
            }
        }
    });
    (port, came)
}

fn local(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 77, last], port))
}

#[tokio::test]
async fn exchangers_go_by_preference_and_equals_by_chance_rfc_5321_5_1() {
    let mut zone = Zone::default();
    for (preference, host) in [(20, "c.example"), (10, "a.example"), (10, "b.example")] {
        zone.mx("d.example", preference, host);
    }
    let world = world(zone, |_| {}).await;
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let hosts = world.hosts("d.example").await;
        assert_eq!(hosts.len(), 3);
        assert_eq!(hosts[2], "c.example");
        firsts.insert(hosts[0].clone());
    }
    assert_eq!(firsts.len(), 2, "each of the equals comes first now and then");
    let site = world.route("d.example").await.unwrap().site;
    assert_eq!(&*site, "a.example,b.example", "the order does not make another site");
}

#[tokio::test]
async fn a_null_mx_takes_no_mail_rfc_7505() {
    let mut zone = Zone::default();
    zone.mx("null.example", 0, ".");
    zone.address("null.example", [127, 0, 0, 1].into());
    zone.mx("both.example", 0, ".");
    zone.mx("both.example", 10, "a.example");
    let world = world(zone, |_| {}).await;
    assert_eq!(world.status("null.example").await, bounced(1, 10), "no fall-back to its address");
    assert_eq!(world.hosts("both.example").await, ["a.example"], "beside others it says nothing");
}

#[tokio::test]
async fn a_domain_that_does_not_exist_bounces_and_one_that_cannot_be_asked_about_waits() {
    let mut zone = Zone::default();
    zone.servfail("broken.example");
    let world = world(zone, |_| {}).await;
    assert_eq!(world.status("none.example").await, bounced(1, 2));
    assert_eq!(world.status("broken.example").await, deferred(4, 3));
}

#[tokio::test]
async fn a_failed_look_up_is_not_asked_again_at_once() {
    let mut zone = Zone::default();
    zone.servfail("broken.example");
    let world = world(zone, |_| {}).await;
    let text = |outcome: Result<Route, Outcome>| outcome.unwrap_err().diagnosis().text().to_owned();
    let first = text(world.route("broken.example").await);
    // With the name server gone, an answer like the first can only be the one that was kept.
    world.dns.abort();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(text(world.route("broken.example").await), first);
    world.clock.pass(REMEMBERED_MIN);
    assert_ne!(text(world.route("broken.example").await), first, "then it is asked again");
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_host_and_only_then_rfc_5321_5_1() {
    let mut zone = Zone::default();
    zone.address("plain.example", [192, 0, 2, 1].into());
    zone.address("six.example", "2001:db8::1".parse().unwrap());
    zone.address("mx.example", [192, 0, 2, 1].into());
    zone.mx("mx.example", 10, "gone.example");
    let world = world(zone, |_| {}).await;
    assert_eq!(world.hosts("plain.example").await, ["plain.example"]);
    assert_eq!(world.hosts("six.example").await, ["six.example"]);
    assert_eq!(world.hosts("mx.example").await, ["gone.example"]);
    let outcome = world.open("mx.example").await.err().unwrap();
    assert_eq!(status(&outcome), bounced(4, 4), "RFC 5321 5.1: an error, not a reason to guess");
}

#[tokio::test]
async fn aliases_are_followed() {
    let mut zone = Zone::default();
    zone.cname("alias.example", "real.example");
    zone.mx("real.example", 10, "mx.alias.example");
    zone.cname("mx.alias.example", "host.example");
    zone.address("host.example", [127, 0, 77, 1].into());
    let world = world(zone, |_| {}).await;
    assert_eq!(world.hosts("alias.example").await, ["mx.alias.example"]);
    let addresses = world.resolver.addresses("mx.alias.example").await.unwrap();
    assert_eq!(addresses, [IpAddr::from([127, 0, 77, 1])]);
}

#[tokio::test]
async fn our_own_name_and_what_is_no_better_is_dropped_rfc_5321_5_1() {
    let mut zone = Zone::default();
    for (preference, host) in [(10, "a.example"), (20, "Me.Example"), (20, "b.example"), (30, "c")]
    {
        zone.mx("backup.example", preference, host);
    }
    zone.mx("loop.example", 10, "me.example");
    zone.mx("loop.example", 20, "a.example");
    zone.address("me.example", [127, 0, 77, 1].into());
    let world = world(zone, |_| {}).await;
    assert_eq!(world.hosts("backup.example").await, ["a.example"]);
    assert_eq!(world.status("loop.example").await, bounced(4, 6));
    assert_eq!(world.status("me.example").await, bounced(4, 6));
}

#[tokio::test]
async fn our_own_address_and_what_is_no_better_is_dropped_rfc_5321_5_1() {
    let (port, ours) = greeter(local(1, 0), "220 ours\r\n");
    let (_, worse) = greeter(local(2, port), "220 worse\r\n");
    let (_, better) = greeter(local(3, port), "220 better\r\n");
    let mut zone = Zone::default();
    for (host, last) in [("x.example", 1), ("worse.example", 2), ("better.example", 3)] {
        zone.address(host, local(last, 0).ip());
    }
    zone.mx("loop.example", 10, "x.example");
    zone.mx("loop.example", 20, "worse.example");
    zone.mx("backup.example", 5, "better.example");
    zone.mx("backup.example", 10, "x.example");
    let world = world(zone, |options| {
        options.port = port;
        options.own.places = vec![local(1, port)];
    })
    .await;
    let outcome = world.open("loop.example").await.err().unwrap();
    assert_eq!(status(&outcome), bounced(4, 6));
    assert!(world.open("backup.example").await.is_ok());
    let came = [ours, worse, better].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(came, [0, 0, 1]);
}

#[tokio::test]
async fn no_more_exchangers_than_the_limit_are_kept() {
    let mut zone = Zone::default();
    for number in 0..=HOSTS_MAX {
        zone.mx("many.example", 10, &format!("mx{number}.example"));
    }
    let world = world(zone, |_| {}).await;
    assert_eq!(world.hosts("many.example").await.len(), HOSTS_MAX);
}

#[tokio::test]
async fn no_more_addresses_than_the_limit_are_tried() {
    let (port, first) = greeter(local(101, 0), "421 no\r\n");
    let mut counts = vec![first];
    let mut zone = Zone::default();
    for number in 0..12 {
        let place = local(101 + number, port);
        zone.address(&format!("mx{}.example", number / 4), place.ip());
        zone.mx("many.example", u16::from(number / 4), &format!("mx{}.example", number / 4));
        if number > 0 {
            counts.push(greeter(place, "421 no\r\n").1);
        }
    }
    let world = world(zone, |options| options.port = port).await;
    let outcome = world.open("many.example").await.err().unwrap();
    assert_eq!(outcome.diagnosis().code, Some(421));
    let came: usize = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(came, TRIES_MAX);
}

#[tokio::test]
async fn ipv6_comes_before_ipv4_and_a_source_keeps_to_its_family() {
    let mut zone = Zone::default();
    zone.address("both.example", [192, 0, 2, 1].into());
    zone.address("both.example", "2001:db8::1".parse().unwrap());
    zone.address("six.example", "2001:db8::1".parse().unwrap());
    let world = world(zone, |_| {}).await;
    let addresses = world.resolver.addresses("both.example").await.unwrap();
    assert!(addresses[0].is_ipv6() && addresses[1].is_ipv4(), "{addresses:?}");
    let route = world.route("six.example").await.unwrap();
    let source = source(Some([127, 0, 0, 1].into()));
    let settings = settings("2001:db8::/32");
    let live = Arc::new(Live::unseen());
    let opened = opening::open(&world.resolver, &route, &source, &settings, &live).await;
    assert_eq!(status(&opened.err().unwrap()), deferred(4, 3));
}

#[tokio::test]
async fn inner_addresses_are_refused_when_we_connect_unless_they_are_listed() {
    let (port, came) = greeter(local(1, 0), "220 inside\r\n");
    let mut zone = Zone::default();
    zone.mx("rebound.example", 10, "inner.example");
    zone.address("inner.example", local(1, 0).ip());
    let world = world(zone, |options| options.port = port).await;
    for domain in ["rebound.example", "[127.0.77.1]"] {
        let route = world.route(domain).await.unwrap();
        let public_only = settings("198.51.100.0/24");
        let (source, live) = (source(None), Arc::new(Live::unseen()));
        let opened = opening::open(&world.resolver, &route, &source, &public_only, &live).await;
        assert_eq!(status(&opened.err().unwrap()), deferred(4, 4), "{domain}");
        assert_eq!(came.load(Ordering::Relaxed), 0);
    }
    assert!(world.open("rebound.example").await.is_ok());
    assert!(world.open("[127.0.77.1]").await.is_ok(), "RFC 5321 4.1.3: an address literal");
}

#[tokio::test]
async fn a_host_that_did_not_answer_is_tried_last_for_a_while() {
    // A port that is free at the better host.
    let (port, _) = greeter(local(2, 0), "220 second\r\n");
    let mut zone = Zone::default();
    zone.mx("d.example", 10, "first.example");
    zone.mx("d.example", 20, "second.example");
    zone.address("first.example", local(1, 0).ip());
    zone.address("second.example", local(2, 0).ip());
    let world = world(zone, |options| options.port = port).await;
    let host = |opened: Result<Connection, Outcome>| opened.ok().unwrap().peer().host.to_string();
    assert_eq!(host(world.open("d.example").await), "second.example");
    let (_, came) = greeter(local(1, port), "220 first\r\n");
    assert_eq!(host(world.open("d.example").await), "second.example");
    assert_eq!(came.load(Ordering::Relaxed), 0, "remembered, so not even tried");
    world.clock.pass(REMEMBERED_MIN);
    assert_eq!(host(world.open("d.example").await), "first.example");
}

#[tokio::test]
async fn where_no_host_answered_lately_they_are_tried_all_the_same() {
    let port = TcpListener::bind(local(9, 0)).unwrap().local_addr().unwrap().port();
    let mut zone = Zone::default();
    zone.address("d.example", local(9, 0).ip());
    let world = world(zone, |options| options.port = port).await;
    let outcome = world.open("d.example").await.err().unwrap();
    assert_eq!(status(&outcome), deferred(4, 1));
    let (_, came) = greeter(local(9, port), "220 here again\r\n");
    assert!(world.open("d.example").await.is_ok());
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_host_whose_address_cannot_be_asked_about_defers() {
    let mut zone = Zone::default();
    zone.mx("d.example", 10, "broken.example");
    zone.servfail("broken.example");
    let world = world(zone, |_| {}).await;
    assert_eq!(status(&world.open("d.example").await.err().unwrap()), deferred(4, 3));
}

#[tokio::test]
async fn a_fixed_route_takes_its_hosts_in_order_and_leaves_the_dns_alone() {
    let (port, came) = greeter(local(3, 0), "220 relay\r\n");
    let closed = TcpListener::bind(local(4, 0)).unwrap().local_addr().unwrap().port();
    let fixed = Fixed {
        hosts: vec![("127.0.77.4".into(), closed), ("127.0.77.3".into(), port)],
        ..Fixed::default()
    };
    let with_tls = Fixed { tls: Some(TlsPolicy::Require), ..Fixed::default() };
    let mut zone = Zone::default();
    zone.mx("other.example", 10, "mx.example");
    zone.mx("strict.example", 10, "mx.example");
    let world = world(zone, |options| {
        options.fixed.add(Scope::Domain(Domain::parse("fixed.example").unwrap()), fixed);
        options.fixed.add(Scope::Domain(Domain::parse("strict.example").unwrap()), with_tls);
    })
    .await;
    assert!(world.open("fixed.example").await.is_ok());
    assert_eq!(came.load(Ordering::Relaxed), 1);
    assert_eq!(world.hosts("other.example").await, ["mx.example"]);
    let (plain, strict) = (world.route("other.example").await, world.route("strict.example").await);
    let (plain, strict) = (plain.unwrap(), strict.unwrap());
    assert_eq!((plain.tls, strict.tls), (None, Some(TlsPolicy::Require)));
    assert_eq!(plain.hosts, strict.hosts, "still its mail exchangers");
    assert_ne!(plain.site, strict.site, "but never the same connection");
}
