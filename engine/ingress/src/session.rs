//! One SMTP connection: the loop around [`Server`], which makes all the decisions.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use maily_core::mail::outcome::EnhancedStatus;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::server::Action;
use maily_core::smtp::server::Server;

use crate::accept::FrontDoor;
use crate::auth::Users;

/// Octets asked of the socket at once.
const READ_OCTETS: usize = 32 << 10;
/// The pause after a wrong password.
const LOGIN_PAUSE: Duration = Duration::from_secs(1);

/// What all sessions of a listener share.
pub struct Shared {
    /// Where mail goes.
    pub door: FrontDoor,
    /// Who may log in.
    pub users: Users,
    /// Our side of TLS.
    pub tls: Option<TlsAcceptor>,
    /// How long a client may say nothing (RFC 5321 4.5.3.2.7: at least five minutes).
    pub idle_timeout: Duration,
    /// How long it may say nothing in the middle of a message.
    pub data_timeout: Duration,
}

/// A connection with its session.
pub struct Session {
    /// The session without I/O.
    pub server: Server,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Who is at the other end.
    pub client: IpAddr,
    /// Becomes true when the daemon wants to end.
    pub draining: watch::Receiver<bool>,
}

impl Session {
    /// Talks until the end; starts TLS when the client asks.
    pub async fn run<S>(mut self, mut stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if !self.talk(&mut stream).await? {
            return Ok(());
        }
        let Some(acceptor) = self.shared.tls.clone() else { return Ok(()) };
        let accepting = acceptor.accept(stream);
        let mut stream = tokio::time::timeout(self.shared.idle_timeout, accepting).await??;
        self.server.on_tls();
        self.talk(&mut stream).await?;
        Ok(())
    }

    /// Talks until the end (false) or until TLS is to start (true).
    async fn talk<S>(&mut self, stream: &mut S) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            match self.server.poll() {
                Action::Read => {
                    self.flush(stream).await?;
                    if !self.read(stream).await? {
                        return Ok(false);
                    }
                }
                Action::StartTls => {
                    self.flush(stream).await?;
                    return Ok(true);
                }
                Action::Authenticate { user, password } => {
                    let right = self.shared.users.prove(&user, password).await;
                    if !right {
                        tokio::time::sleep(LOGIN_PAUSE).await;
                    }
                    self.server.on_authenticated(right.then_some(user));
                }
                Action::Accept(transaction) => {
                    let reply = self.shared.door.accept(*transaction, self.client).await;
                    self.server.on_settled(&reply);
                }
                Action::Close => {
                    self.flush(stream).await?;
                    stream.shutdown().await?;
                    return Ok(false);
                }
            }
        }
    }

    async fn flush<S>(&mut self, stream: &mut S) -> io::Result<()>
    where
        S: AsyncWrite + Unpin,
    {
        let output = self.server.output();
        if output.is_empty() {
            return Ok(());
        }
        let writing = async {
            stream.write_all(output).await?;
            stream.flush().await
        };
        tokio::time::timeout(self.shared.idle_timeout, writing).await??;
        self.server.output().clear();
        Ok(())
    }

    /// Reads some; false at the end of input.
    async fn read<S>(&mut self, stream: &mut S) -> io::Result<bool>
    where
        S: AsyncRead + Unpin,
    {
        let in_text = self.server.in_text();
        let wait = if in_text { self.shared.data_timeout } else { self.shared.idle_timeout };
        let input = self.server.input();
        input.reserve(READ_OCTETS);
        let reading = tokio::time::timeout(wait, stream.read_buf(input));
        let draining = async {
            // A message that is being sent may come to its end.
            if in_text || self.draining.wait_for(|draining| *draining).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            read = reading => match read {
                Ok(octets) => return Ok(octets? > 0),
                Err(_) => {
                    let text = "nothing was said for too long";
                    self.server.end(&Reply::new(421, EnhancedStatus::new(4, 4, 2), text));
                }
            },
            () = draining => {
                let text = "going down, try again later";
                self.server.end(&Reply::new(421, EnhancedStatus::new(4, 3, 2), text));
            }
        }
        Ok(true)
    }
}
