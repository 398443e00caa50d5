//! One connection to a next hop: the loop around [`Client`], which makes all the decisions.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use ipnet::IpNet;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use maily_core::event::Peer;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::outcome::Outcome;
use maily_core::smtp::client::Action;
use maily_core::smtp::client::Client;
use maily_core::smtp::client::Delivery;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::reply_parser::ReplyParser;

use crate::guard::may_connect;
use crate::resolve::Resolver;
use crate::resolve::Route;

/// Octets written before we look again whether the peer speaks.
const WRITE_OCTETS: usize = 64 << 10;
/// How long taking leave may last.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// When TLS is used.
    pub tls: TlsPolicy,
    /// Our side of TLS.
    pub tls_config: Arc<ClientConfig>,
}

/// A socket, in clear or under TLS.
enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// An open session with a next hop, ready for deliveries.
pub struct Connection {
    client: Client,
    /// None only while, or because, a TLS handshake fails.
    stream: Option<Stream>,
    input: BytesMut,
    parser: ReplyParser,
    settings: Settings,
    peer: Peer,
}

/// Connects to the first host of the route that greets us.
///
/// # Errors
/// What the last host tried had to say, or what stood in the way.
pub async fn open(
    resolver: &Resolver,
    route: &Route,
    source: &Source,
    settings: &Settings,
) -> Result<Connection, Diagnosis> {
    let mut last = nothing("the route has no host");
    for host in &route.hosts {
        let addresses = match resolver.addresses(host).await {
            Ok(addresses) => addresses,
            Err(why) => {
                last = nothing(&why);
                continue;
            }
        };
        for address in addresses {
            let place = SocketAddr::new(address, route.port);
            match Connection::open(host, place, source, settings).await {
                Ok(connection) => return Ok(connection),
                Err(why) => last = why,
            }
        }
    }
    Err(last)
}

fn nothing(text: &str) -> Diagnosis {
    Diagnosis::ours(EnhancedStatus::new(4, 4, 1), Blame::Network, text)
}

impl Connection {
    async fn open(
        host: &str,
        place: SocketAddr,
        source: &Source,
        settings: &Settings,
    ) -> Result<Self, Diagnosis> {
        if !may_connect(place.ip(), &settings.allowed) {
            let text = format!("{host} has the inner address {}: not allowed", place.ip());
            return Err(Diagnosis::ours(EnhancedStatus::new(4, 4, 4), Blame::Network, &text));
        }
        match Self::handshake(host, place, source, settings, settings.tls).await {
            Err((_, true)) if settings.tls == TlsPolicy::May => {
                // TLS failed where it is only a wish: once more, in clear.
                Self::handshake(host, place, source, settings, TlsPolicy::Off)
                    .await
                    .map_err(|(why, _)| why)
            }
            other => other.map_err(|(why, _)| why),
        }
    }

    /// Connects and gets ready. The error says whether TLS was what failed.
    async fn handshake(
        host: &str,
        place: SocketAddr,
        source: &Source,
        settings: &Settings,
        tls: TlsPolicy,
    ) -> Result<Self, (Diagnosis, bool)> {
        let connecting = connect(place, source.address);
        let stream = match tokio::time::timeout(settings.connect_timeout, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err((nothing(&format!("{host} [{place}]: {error}")), false)),
            Err(_) => return Err((nothing(&format!("{host} [{place}]: no answer")), false)),
        };
        let peer = Peer {
            host: host.into(),
            address: place.ip(),
            source: source.name.clone(),
            tls: Box::default(),
        };
        let mut connection = Self {
            client: Client::new(&source.ehlo, tls),
            stream: Some(Stream::Clear(stream)),
            input: BytesMut::with_capacity(4_096),
            parser: ReplyParser::default(),
            settings: settings.clone(),
            peer,
        };
        let mut tls_failed = false;
        while !connection.client.is_ready() {
            if let Some(why) = connection.client.over() {
                return Err((why.clone(), tls_failed));
            }
            match connection.client.poll() {
                Some(Action::StartTls) => {
                    if let Err(why) = connection.start_tls(host).await {
                        tls_failed = true;
                        connection.client.on_failure(&why);
                        break;
                    }
                }
                Some(Action::Write(pieces)) => connection.write(pieces).await,
                Some(Action::Done(_) | Action::Close) => {}
                None => connection.read().await,
            }
        }
        match connection.client.over() {
            Some(why) => Err((why.clone(), tls_failed)),
            None => Ok(connection),
        }
    }

    /// Sends one message; gives one outcome for each recipient, whatever happens.
    pub async fn deliver(&mut self, delivery: Delivery) -> Vec<(RecipientIndex, Outcome)> {
        self.client.submit(delivery);
        loop {
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
        self.input.reserve(512);
        if let Some(stream) = &mut self.stream {
            // Whatever comes, nobody asked for it: the session is over.
            let _over = stream.read_buf(&mut self.input).await;
        }
        self.client.on_failure("closed while idle");
    }

    /// Takes leave (RFC 5321 4.1.1.10), for as long as that is quick.
    pub async fn quit(mut self) {
        if self.client.is_ready() {
            self.client.quit();
        }
        while let Some(action) = self.client.poll() {
            if let Action::Write(pieces) = action {
                self.write(pieces).await;
            }
        }
        if let Some(stream) = &mut self.stream {
            let _either_way = tokio::time::timeout(LEAVE_TIMEOUT, stream.shutdown()).await;
        }
    }

    async fn start_tls(&mut self, host: &str) -> Result<(), String> {
        // CVE-2021-38371: what came in clear behind the reply must never be read as if under TLS.
        if !self.input.is_empty() {
            return Err("octets behind the reply to STARTTLS".to_owned());
        }
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            Err(_) => ServerName::IpAddress(self.peer.address.into()),
        };
        let connector = TlsConnector::from(Arc::clone(&self.settings.tls_config));
        let Some(Stream::Clear(stream)) = self.stream.take() else {
            return Err("TLS twice".to_owned());
        };
        let handshake = connector.connect(name, stream);
        let stream = tokio::time::timeout(self.settings.connect_timeout, handshake)
            .await
            .map_err(|_| "TLS handshake: no answer".to_owned())?
            .map_err(|error| format!("TLS handshake: {error}"))?;
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str());
        let suite = session.negotiated_cipher_suite().and_then(|s| s.suite().as_str());
        self.peer.tls =
            format!("{} {}", version.unwrap_or("TLS"), suite.unwrap_or_default()).into();
        self.stream = Some(Stream::Tls(Box::new(stream)));
        self.client.on_tls();
        Ok(())
    }

    /// Writes all, unless the peer speaks first: everything it was asked has been answered by then,
    /// so whatever it says is out of step and must not be taken for a later answer.
    async fn write(&mut self, pieces: Vec<Bytes>) {
        match self.try_write(&pieces).await {
            Ok(()) => self.client.on_written(),
            Err(why) => self.client.on_failure(&why),
        }
    }

    async fn try_write(&mut self, pieces: &[Bytes]) -> Result<(), String> {
        let wait = self.settings.reply_timeout;
        let whole = match pieces {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        };
        for chunk in whole.chunks(WRITE_OCTETS) {
            self.refuse_early_reply().await?;
            let Some(stream) = &mut self.stream else {
                return Err("the connection is gone".to_owned());
            };
            // RFC 5321 4.5.3.2.5: a time-out for each block, not for the whole message.
            tokio::time::timeout(wait, stream.write_all(chunk))
                .await
                .map_err(|_| "the next hop does not read".to_owned())?
                .map_err(|error| format!("connection lost: {error}"))?;
        }
        let Some(stream) = &mut self.stream else {
            return Err("the connection is gone".to_owned());
        };
        tokio::time::timeout(wait, stream.flush())
            .await
            .map_err(|_| "the next hop does not read".to_owned())?
            .map_err(|error| format!("connection lost: {error}"))
    }

    /// Looks, without waiting, whether the peer has said what nobody asked for.
    async fn refuse_early_reply(&mut self) -> Result<(), String> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        self.input.reserve(2_048);
        tokio::select! {
            biased;
            read = stream.read_buf(&mut self.input) => match read {
                Ok(0) => return Err("the next hop closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("connection lost: {error}")),
            },
            () = std::future::ready(()) => {}
        }
        if self.input.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&self.input);
        Err(format!("the next hop spoke out of turn: {}", text.lines().next().unwrap_or_default()))
    }

    /// Reads until a whole reply is there, and feeds it. The time-out is for the whole reply: a
    /// peer that sends an octet now and then holds nobody.
    async fn read(&mut self) {
        let Some(wait) = self.client.timeout() else {
            return self.client.on_failure("nothing is awaited");
        };
        let wait = wait.min(self.settings.reply_timeout);
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
            self.input.reserve(2_048);
            match stream.read_buf(&mut self.input).await {
                Ok(0) => return Err("the next hop closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("connection lost: {error}")),
            }
        }
    }
}

async fn connect(place: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if place.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local.filter(|local| local.is_ipv4() == place.is_ipv4()) {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(place).await?;
    // Without it each message waits 40 ms for a delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}
