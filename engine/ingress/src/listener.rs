//! A listening socket and the sessions it makes, within their limits.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ipnet::IpNet;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

use maily_core::smtp::proxy;
use maily_core::smtp::proxy::Source;
use maily_core::smtp::server::Server;
use maily_core::smtp::server::config::Client;
use maily_core::smtp::server::config::ServerConfig;

use crate::counters::Counters;
use crate::seats::Seats;
use crate::session::Session;
use crate::session::Shared;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1_024;

/// How long a load balancer may take for its header.
const PROXY_TIMEOUT: Duration = Duration::from_secs(10);

/// A listener's settings.
pub struct Listener {
    /// What its sessions share.
    pub shared: Arc<Shared>,
    /// What they are told.
    pub server: Arc<ServerConfig>,
    /// TLS from the first octet (RFC 8314 3.3).
    pub implicit_tls: bool,
    /// Networks that may relay without authentication.
    pub relay_networks: Vec<IpNet>,
    /// Networks of load balancers: their connections begin with a PROXY header, and no others'.
    pub proxies: Vec<IpNet>,
    /// How many sessions there may be; one value for all listeners.
    pub seats: Seats,
}

/// Binds a listening socket.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Who is at the other end.
#[derive(Clone, Copy)]
struct Peer {
    address: IpAddr,
    /// Whether it is on this machine: what a load balancer says of others is not enough for that.
    local: bool,
}

/// Reads the header of a load balancer and nothing behind it, so that TLS may follow.
async fn read_proxy(stream: &mut TcpStream) -> io::Result<Source> {
    let mut header = BytesMut::new();
    let mut octets = proxy::PREFIX_OCTETS;
    loop {
        let more = octets - header.len();
        let read = (&mut *stream).take(more as u64).read_buf(&mut header).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        if let Some((source, _)) = proxy::parse(&header).map_err(invalid)? {
            return Ok(source);
        }
        octets = proxy::header_octets(&header).unwrap_or(proxy::PREFIX_OCTETS);
    }
}

/// Returns when the daemon wants to end.
async fn drained(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        // Whoever could say so is gone: it ends with the process.
        std::future::pending::<()>().await;
    }
}

impl Listener {
    /// Takes connections until the daemon wants to end, then waits for its sessions: those in the
    /// middle of a message may finish it.
    ///
    /// A session keeps the settings that it began with.
    pub async fn serve(
        settings: watch::Receiver<Arc<Self>>,
        listener: TcpListener,
        mut draining: watch::Receiver<bool>,
    ) {
        let mut tasks = tokio::task::JoinSet::new();
        let for_sessions = draining.clone();
        loop {
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let this = Arc::clone(&settings.borrow());
                        let draining = for_sessions.clone();
                        tasks.spawn(async move {
                            let session = this.session(stream, peer, draining);
                            if let Err(error) = session.await {
                                tracing::debug!(%error, %peer, "smtp session ended");
                            }
                        });
                    }
                    Err(error) => {
                        // Out of descriptors: wait for some to come back rather than spin.
                        tracing::warn!(%error, "connection could not be taken");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = drained(&mut draining) => break,
            }
        }
        drop(listener);
        while tasks.join_next().await.is_some() {}
    }

    async fn session(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        draining: watch::Receiver<bool>,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let Some(mut seat) = self.seats.take() else { return self.turn_away(stream).await };
        let Peer { address, local } = self.peer(&mut stream, peer.ip().to_canonical()).await?;
        if !seat.name(address) {
            return self.turn_away(stream).await;
        }
        let counters = &self.shared.door.counters;
        Counters::one(&counters.sessions);
        let client = Client {
            tls: self.implicit_tls,
            local,
            may_relay: self.relay_networks.iter().any(|network| network.contains(&address)),
        };
        let server = Server::new(Arc::clone(&self.server), client);
        let live = self.shared.sessions.come_in(&address.to_string());
        let session = Session::new(server, Arc::clone(&self.shared), address, draining, live);
        match self.shared.tls.clone().filter(|_| self.implicit_tls) {
            Some(acceptor) => session.run_tls(acceptor, stream).await,
            None => session.run(stream).await,
        }
    }

    /// Whom we talk to: the one who connected, or whom a load balancer names.
    async fn peer(&self, stream: &mut TcpStream, address: IpAddr) -> io::Result<Peer> {
        let direct = Peer { address, local: address.is_loopback() };
        if !self.proxies.iter().any(|network| network.contains(&address)) {
            return Ok(direct);
        }
        match tokio::time::timeout(PROXY_TIMEOUT, read_proxy(stream)).await?? {
            Source::Local => Ok(direct),
            Source::Client(client) => Ok(Peer { address: client.ip(), local: false }),
        }
    }

    /// Under TLS the client would not understand it; it is closed without a word.
    async fn turn_away(&self, mut stream: TcpStream) -> io::Result<()> {
        Counters::one(&self.shared.door.counters.no_seat);
        if self.implicit_tls {
            return Ok(());
        }
        let host = &self.server.hostname;
        let text = format!("421 4.7.0 {host} too many connections, try again later\r\n");
        tokio::time::timeout(PROXY_TIMEOUT, stream.write_all(text.as_bytes())).await?
    }
}
