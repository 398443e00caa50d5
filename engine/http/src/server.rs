//! Answers on a listener: TCP, with TLS or without, or a Unix socket. HTTP/1.1.
//!
//! Whoever is slow or many is bounded: connections in all and from one address, the head of a
//! request in size and time, and how long we try to write. When the daemon ends, a connection ends
//! with the answer that it is at.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use maily_ingress::listener;
use maily_ingress::seats::Seat;
use maily_ingress::seats::Seats;

use crate::presence::Presence;

/// The head of a request must be whole within this time; a connection that is kept has as long
/// until the next one.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The fields of a request.
pub const FIELDS_MAX: usize = 64;
/// The octets of a request's head.
pub const HEAD_OCTETS_MAX: usize = 32 << 10;
/// A client that takes nothing of an answer for so long is left.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// A TLS handshake must be done within this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Who may open the admin socket: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// What a listener does; it may change while it runs.
#[derive(Clone)]
pub struct Front {
    /// What it answers.
    pub router: Router,
    /// TLS from the first octet on, if it has a certificate.
    pub tls: Option<TlsAcceptor>,
    /// How many connections there may be.
    pub seats: Seats,
}

/// A bound socket.
#[derive(Debug)]
pub enum Bound {
    /// For clients anywhere.
    Tcp(TcpListener),
    /// For processes of this machine; the file is removed at the end.
    Unix(UnixListener, SocketFile),
}

/// The file of a socket, for as long as it is bound.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What is left is replaced by the next start.
        let _left = std::fs::remove_file(&self.0);
    }
}

/// Binds an address.
///
/// # Errors
/// It is taken, or not permitted.
pub fn bind_tcp(address: std::net::SocketAddr) -> io::Result<Bound> {
    listener::bind(address).map(Bound::Tcp)
}

/// Binds the file of a Unix socket, for its owner and group. One that a daemon left behind is
/// replaced, one that somebody answers on is not; nothing but a socket ever is.
///
/// # Errors
/// It is in use, or not permitted.
pub fn bind_unix(path: &Path) -> io::Result<Bound> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        Ok(_) => return Err(io::Error::other("there is something else than a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(Bound::Unix(listener, file))
}

impl Bound {
    /// Where it listens, if it is an address.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, peer.ip().to_canonical()))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted::Unix(stream, uid))
            }
        }
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, std::net::IpAddr),
    Unix(UnixStream, u32),
}

/// Returns when the daemon wants to end.
async fn drained(mut draining: watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        // Whoever could say so is gone: it ends with the process.
        std::future::pending::<()>().await;
    }
}

/// Answers until the daemon wants to end, then waits for the answers that are under way. A
/// connection keeps the settings that it began with.
pub async fn serve(
    front: watch::Receiver<Arc<Front>>,
    bound: Bound,
    draining: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let mut end = std::pin::pin!(drained(draining.clone()));
    loop {
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            accepted = bound.accept() => match accepted {
                Ok(accepted) => {
                    let front = Arc::clone(&front.borrow());
                    tasks.spawn(front.connection(accepted, draining.clone()));
                }
                Err(error) => {
                    // Out of descriptors: wait for some to come back rather than spin.
                    tracing::warn!(%error, "HTTP connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut end => break,
        }
    }
    drop(bound);
    while tasks.join_next().await.is_some() {}
}

impl Front {
    /// One connection from its beginning to its end. Without a seat it is closed without a word.
    async fn connection(self: Arc<Self>, accepted: Accepted, draining: watch::Receiver<bool>) {
        let Some(mut seat) = self.seats.take() else { return };
        match accepted {
            Accepted::Unix(stream, uid) => {
                self.answer(stream, Presence::Local { uid }, seat, draining).await;
            }
            Accepted::Tcp(stream, address) => {
                if !seat.name(address) {
                    return;
                }
                let presence = Presence::Remote(address);
                let Some(tls) = &self.tls else {
                    return self.answer(stream, presence, seat, draining).await;
                };
                let shaking = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
                match shaking.await {
                    Ok(Ok(stream)) => self.answer(stream, presence, seat, draining).await,
                    Ok(Err(error)) => tracing::debug!(%error, %address, "no TLS came about"),
                    Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
                }
            }
        }
    }

    async fn answer<S>(
        &self,
        stream: S,
        presence: Presence,
        seat: Seat,
        draining: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(presence);
            let answering = self.router.clone().call(request.map(Body::new));
            async move {
                let Ok(answer) = answering.await;
                Ok::<_, Infallible>(answer)
            }
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(FIELDS_MAX)
            .max_header_size(HEAD_OCTETS_MAX)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let mut end = std::pin::pin!(drained(draining));
        let mut ending = false;
        let ended = loop {
            tokio::select! {
                ended = &mut connection => break ended,
                () = &mut end, if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "HTTP connection ended");
        }
        drop(seat);
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
