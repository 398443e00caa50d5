//! One connection to a next hop: the loop around [`Client`], which makes all the decisions.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use ipnet::IpNet;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use maily_core::event::Peer;
use maily_core::live::Phase;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::smtp::client::Action;
use maily_core::smtp::client::BLOCK_TIMEOUT;
use maily_core::smtp::client::Client;
use maily_core::smtp::client::Options;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::client::login::Login;
use maily_core::smtp::delivery::Delivery;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::reply_parser::ReplyParser;
use maily_live::session::Live;

use crate::guard::may_connect;
use crate::stream::Step;
use crate::stream::Stream;
use crate::stream::advance;
use crate::tls::Tls;

/// How long one delivery may take in all, however steadily the peer drips: the largest message at
/// 15 KiB/s, or a hundred recipients that are answered after half a minute each.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3_600);
/// How long it may take in all until a session is ready.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(900);
/// How long taking leave may last.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long we listen for why a connection was cut.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(1);

/// Where we send from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in events.
    pub name: Box<str>,
    /// The local address; none lets the system choose.
    pub address: Option<IpAddr>,
    /// The name given in EHLO.
    pub ehlo: Box<str>,
}

/// How connections are made.
#[derive(Clone)]
pub struct Settings {
    /// Networks beyond the public ones that may be reached.
    pub allowed: Vec<IpNet>,
    /// How long a TCP or TLS handshake may take.
    pub connect_timeout: Duration,
    /// The longest wait for a reply: the time-outs of RFC 5321 4.5.3.2 where they are shorter.
    pub reply_timeout: Duration,
    /// How long one delivery may take in all; see [`DELIVERY_TIMEOUT`].
    pub delivery_timeout: Duration,
    /// When TLS is used, where the route does not say.
    pub tls: TlsPolicy,
    /// Our side of TLS.
    pub tls_client: Tls,
}

/// What one connection is made for.
pub(crate) struct Target<'a> {
    pub(crate) host: &'a str,
    pub(crate) place: SocketAddr,
    pub(crate) tls: TlsPolicy,
    pub(crate) login: Option<&'a Arc<Login>>,
    pub(crate) source: &'a Source,
    pub(crate) settings: &'a Settings,
    pub(crate) live: &'a Arc<Live>,
}

/// An open session with a next hop, ready for deliveries.
pub struct Connection {
    client: Client,
    /// None only while, or because, a TLS handshake fails.
    stream: Option<Stream>,
    input: BytesMut,
    parser: ReplyParser,
    reply_timeout: Duration,
    delivery_timeout: Duration,
    peer: Peer,
    live: Arc<Live>,
    /// Octets that were written and not told of.
    wrote: u64,
}

/// Why no session came about, and whether TLS was what failed.
struct Failed(Diagnosis, bool);

pub(crate) fn unreachable(text: &str) -> Diagnosis {
    Diagnosis::ours(EnhancedStatus::new(4, 4, 1), Blame::Network, text)
}

impl Connection {
    /// Connects and gets ready.
    pub(crate) async fn open(target: &Target<'_>) -> Result<Self, Diagnosis> {
        let Target { host, place, .. } = target;
        if !may_connect(place.ip(), &target.settings.allowed) {
            let text = format!("{host} has the inner address {}: not allowed", place.ip());
            target.live.fail(format_args!("{text}"));
            return Err(Diagnosis::ours(EnhancedStatus::new(4, 4, 4), Blame::Network, &text));
        }
        match Self::attempt(target, target.tls).await {
            Err(Failed(why, true)) if target.tls == TlsPolicy::May => {
                tracing::warn!(host, %place, %why, "TLS failed: sent in clear");
                Self::attempt(target, TlsPolicy::Off).await
            }
            other => other,
        }
        .map_err(|Failed(why, _)| why)
    }

    async fn attempt(target: &Target<'_>, tls: TlsPolicy) -> Result<Self, Failed> {
        let Target { host, place, source, settings, live, .. } = target;
        live.connect(format!("{host} [{place}]"));
        let connecting = connect(*place, source.address);
        let why = match tokio::time::timeout(settings.connect_timeout, connecting).await {
            Ok(Ok(stream)) => return Self::greet(target, tls, stream).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        live.fail(format_args!("{why}"));
        Err(Failed(unreachable(&format!("{host} [{place}]: {why}")), false))
    }

    /// Gets ready on a connection that is open.
    async fn greet(target: &Target<'_>, tls: TlsPolicy, stream: TcpStream) -> Result<Self, Failed> {
        let Target { host, place, source, settings, live, .. } = target;
        let options = Options {
            ehlo_name: source.ehlo.clone(),
            tls,
            login: target.login.cloned(),
            login_in_clear: place.ip().is_loopback(),
        };
        let mut connection = Self {
            client: Client::new(options),
            stream: Some(Stream::Clear(stream)),
            input: BytesMut::with_capacity(4_096),
            parser: ReplyParser::default(),
            reply_timeout: settings.reply_timeout,
            delivery_timeout: settings.delivery_timeout,
            peer: Peer {
                host: (*host).into(),
                address: place.ip(),
                source: source.name.clone(),
                tls: Box::default(),
            },
            live: Arc::clone(live),
            wrote: 0,
        };
        let mut tls_failed = false;
        let opening = connection.opening(target, &mut tls_failed);
        if tokio::time::timeout(OPENING_TIMEOUT, opening).await.is_err() {
            connection.client.on_failure("the session was not ready in time");
        }
        connection.tell();
        match connection.client.over() {
            Some(why) => Err(Failed(why.clone(), tls_failed)),
            None => Ok(connection),
        }
    }

    /// Until the session is ready, or over.
    async fn opening(&mut self, target: &Target<'_>, tls_failed: &mut bool) {
        while !self.client.is_ready() && self.client.over().is_none() {
            self.tell();
            match self.client.poll() {
                Some(Action::StartTls) => {
                    if let Err(why) = self.start_tls(target).await {
                        *tls_failed = true;
                        self.client.on_tls_failure(&why);
                    }
                }
                Some(Action::Write(pieces)) => self.write(pieces).await,
                Some(Action::Done(_) | Action::Close) => {}
                None => self.read().await,
            }
        }
    }

    /// Sends one message; gives one outcome for each recipient, whatever happens.
    pub async fn deliver(&mut self, delivery: Delivery) -> Vec<(RecipientIndex, Outcome)> {
        self.client.submit(delivery);
        let limit = self.delivery_timeout;
        let outcomes = match tokio::time::timeout(limit, self.until_done()).await {
            Ok(outcomes) => outcomes,
            Err(_) => {
                self.client.on_failure("the delivery took too long");
                self.until_done().await
            }
        };
        self.tell();
        outcomes
    }

    /// Tells who looks on how far it is.
    fn tell(&mut self) {
        let phase = self.client.phase();
        self.live.tell(self.client.said(), phase, std::mem::take(&mut self.wrote));
    }

    /// Works until the delivery is over. Dropping it on the way loses nothing: what is written is
    /// counted as it goes.
    async fn until_done(&mut self) -> Vec<(RecipientIndex, Outcome)> {
        loop {
            self.tell();
            match self.client.poll() {
                Some(Action::Write(pieces)) => self.write(pieces).await,
                Some(Action::Done(outcomes)) => return outcomes,
                Some(Action::StartTls | Action::Close) => {}
                None => self.read().await,
            }
        }
    }

    /// Whether another delivery may follow.
    pub const fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    /// Whether the next hop offers DSN (RFC 3461).
    pub const fn offers_dsn(&self) -> bool {
        self.client.offers_dsn()
    }

    /// With whom we speak.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Waits, while nothing is to be sent, for the peer to end the session.
    pub async fn closed(&mut self) {
        if self.input.is_empty()
            && let Some(stream) = &mut self.stream
        {
            // Whatever comes, nobody asked for it: the session is over.
            let _over = stream.hear(&mut self.input).await;
        }
        self.client.on_failure("closed while idle");
        self.tell();
    }

    /// Takes leave (RFC 5321 4.1.1.10), for as long as that is quick.
    pub async fn quit(mut self) {
        let leaving = async {
            if self.client.is_ready() {
                self.client.quit();
            }
            self.tell();
            while let Some(action) = self.client.poll() {
                if let Action::Write(pieces) = action {
                    self.write(pieces).await;
                }
            }
            if let Some(stream) = &mut self.stream {
                let _either_way = stream.shutdown().await;
            }
        };
        let _either_way = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await;
    }

    async fn start_tls(&mut self, target: &Target<'_>) -> Result<(), String> {
        // CVE-2021-38371: what came in clear behind the reply must never be read as if under TLS.
        if !self.input.is_empty() {
            return Err("octets behind the reply to STARTTLS".to_owned());
        }
        let name = match ServerName::try_from(target.host.to_owned()) {
            Ok(name) => name,
            Err(_) => ServerName::IpAddress(self.peer.address.into()),
        };
        let connector = TlsConnector::from(target.settings.tls_client.config(target.tls)?);
        let Some(Stream::Clear(stream)) = self.stream.take() else {
            return Err("TLS twice".to_owned());
        };
        self.live.enter(Phase::Tls);
        let handshake = connector.connect(name, stream);
        let stream = tokio::time::timeout(target.settings.connect_timeout, handshake)
            .await
            .map_err(|_| "TLS handshake: no answer".to_owned())?
            .map_err(|error| format!("TLS handshake: {error}"))?;
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str());
        let suite = session.negotiated_cipher_suite().and_then(|s| s.suite().as_str());
        self.peer.tls =
            format!("{} {}", version.unwrap_or("TLS"), suite.unwrap_or_default()).into();
        self.live.tls(&self.peer.tls);
        self.stream = Some(Stream::Tls(Box::new(stream)));
        self.client.on_tls();
        Ok(())
    }

    /// Writes all, and hears what the peer says meanwhile.
    async fn write(&mut self, mut out: Vec<Bytes>) {
        let wait = BLOCK_TIMEOUT.min(self.reply_timeout);
        // The last octets: on the wire only after the next flush.
        let mut held = 0;
        loop {
            self.hear();
            self.tell();
            if self.client.over().is_some() {
                return;
            }
            let Some(stream) = &mut self.stream else {
                return self.client.on_failure("the connection is gone");
            };
            // RFC 5321 4.5.3.2.5: a time-out for each block, not for the whole message.
            let step = tokio::time::timeout(wait, stream.step(&mut self.input, &out));
            match step.await {
                Ok(Ok(Step::Wrote(octets))) => {
                    self.wrote += octets as u64;
                    advance(&mut out, octets);
                    if out.is_empty() {
                        held = octets;
                    } else {
                        self.client.on_written(octets);
                    }
                }
                Ok(Ok(Step::Flushed)) => return self.client.on_written(held),
                Ok(Ok(Step::Heard(0))) => {
                    return self.client.on_failure("the next hop closed the connection");
                }
                Ok(Ok(Step::Heard(_))) => {}
                Ok(Err(error)) => return self.on_cut(&error).await,
                Err(_) => return self.client.on_failure("the next hop does not read"),
            }
        }
    }

    /// Feeds the whole replies that have come. What has come of others must not be there yet, if
    /// nothing that was sent is unanswered.
    fn hear(&mut self) {
        while self.client.over().is_none() {
            match self.parser.parse(&mut self.input) {
                Ok(Some(reply)) => self.client.on_reply(&reply),
                Ok(None) => break,
                Err(error) => return self.client.on_failure(&format!("no reply: {error:?}")),
            }
        }
        let is_silent = self.input.is_empty() && self.parser.is_empty();
        if !is_silent && !self.client.is_owed() {
            self.client.on_failure("the next hop spoke out of turn");
        }
    }

    /// The connection broke while we wrote. The peer may have said why.
    async fn on_cut(&mut self, error: &io::Error) {
        let text = format!("connection lost: {error}");
        let last_words = async {
            while let Some(stream) = &mut self.stream {
                match stream.hear(&mut self.input).await {
                    Ok(octets) if octets > 0 => self.hear(),
                    _ => return,
                }
                if self.client.over().is_some() {
                    return;
                }
            }
        };
        let _either_way = tokio::time::timeout(LAST_WORDS_TIMEOUT, last_words).await;
        self.client.on_failure(&text);
    }

    /// Reads until a whole reply is there, and feeds it. The time-out is for the whole reply: a
    /// peer that sends an octet now and then holds nobody.
    async fn read(&mut self) {
        let Some(wait) = self.client.timeout() else {
            return self.client.on_failure("nothing is awaited");
        };
        let wait = wait.min(self.reply_timeout);
        match tokio::time::timeout(wait, self.reply()).await {
            Ok(Ok(reply)) => self.client.on_reply(&reply),
            Ok(Err(why)) => self.client.on_failure(&why),
            Err(_) => self.client.on_failure("no reply in time"),
        }
    }

    async fn reply(&mut self) -> Result<Reply, String> {
        loop {
            match self.parser.parse(&mut self.input) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(format!("no reply: {error:?}")),
            }
            let Some(stream) = &mut self.stream else {
                return Err("the connection is gone".to_owned());
            };
            match stream.hear(&mut self.input).await {
                Ok(0) => return Err("the next hop closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("connection lost: {error}")),
            }
        }
    }
}

async fn connect(place: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if place.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(place).await?;
    // Without it each message waits 40 ms for a delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}
