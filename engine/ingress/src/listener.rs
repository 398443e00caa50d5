//! A listening socket and the sessions it makes, within their limits.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;

use maily_core::smtp::server::Server;
use maily_core::smtp::server::config::Client;
use maily_core::smtp::server::config::ServerConfig;

use crate::session::Session;
use crate::session::Shared;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1_024;

/// Sessions now, by address.
type Sessions = Arc<Mutex<HashMap<IpAddr, u32>>>;

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
    /// Sessions in all.
    pub sessions_max: u32,
    /// Sessions from one address.
    pub sessions_per_address_max: u32,
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

/// Counts a session for as long as it lives.
struct Seat {
    sessions: Sessions,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut sessions = self.sessions.lock();
        if let Some(count) = sessions.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                sessions.remove(&self.address);
            }
        }
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
    pub async fn serve(self, listener: TcpListener, mut draining: watch::Receiver<bool>) {
        let this = Arc::new(self);
        let sessions = Sessions::default();
        let mut tasks = tokio::task::JoinSet::new();
        let for_sessions = draining.clone();
        loop {
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let (this, sessions) = (Arc::clone(&this), Arc::clone(&sessions));
                        let draining = for_sessions.clone();
                        tasks.spawn(async move {
                            let session = this.session(stream, peer, sessions, draining);
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
        sessions: Sessions,
        draining: watch::Receiver<bool>,
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let address = peer.ip().to_canonical();
        let Some(_seat) = self.seat(&sessions, address) else {
            let host = &self.server.hostname;
            let text = format!("421 4.7.0 {host} too many connections, try again later\r\n");
            return stream.write_all(text.as_bytes()).await;
        };
        let client = Client {
            tls: self.implicit_tls,
            local: address.is_loopback(),
            may_relay: self.relay_networks.iter().any(|network| network.contains(&address)),
        };
        let session = Session {
            server: Server::new(Arc::clone(&self.server), client),
            shared: Arc::clone(&self.shared),
            client: address,
            draining,
        };
        match self.shared.tls.clone().filter(|_| self.implicit_tls) {
            Some(acceptor) => {
                let accepting = acceptor.accept(stream);
                let stream = tokio::time::timeout(self.shared.idle_timeout, accepting).await??;
                session.run(stream).await
            }
            None => session.run(stream).await,
        }
    }

    fn seat(&self, sessions: &Sessions, address: IpAddr) -> Option<Seat> {
        let mut taken = sessions.lock();
        let all: u32 = taken.values().sum();
        let own = taken.get(&address).copied().unwrap_or(0);
        if all >= self.sessions_max || own >= self.sessions_per_address_max {
            return None;
        }
        taken.insert(address, own + 1);
        drop(taken);
        Some(Seat { sessions: Arc::clone(sessions), address })
    }
}
