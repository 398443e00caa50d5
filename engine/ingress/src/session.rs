//! One SMTP connection: the loop around [`Server`], which makes all the decisions.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use maily_core::clock::Timestamp;
use maily_core::live::Phase;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::server::Action;
use maily_core::smtp::server::Server;
use maily_core::smtp::server::Transaction;
use maily_core::smtp::server::admission::Admission;
use maily_live::session::Live;
use maily_live::sessions::Sessions;

use crate::auth::Users;
use crate::counters::Counters;
use crate::door::FrontDoor;
use crate::gate::Gate;
use crate::gate::Held;
use crate::throttle::Throttle;
use crate::throttle::Verdict;

/// Octets asked of the socket at once while a client is idle or sends commands: what a session
/// costs that does nothing.
const IDLE_READ_OCTETS: usize = 4 << 10;
/// Octets asked of it while much is coming.
const BUSY_READ_OCTETS: usize = 32 << 10;
/// The pause after a wrong password.
const LOGIN_PAUSE: Duration = Duration::from_secs(1);

/// What all sessions of a listener share.
pub struct Shared {
    /// Where mail goes.
    pub door: FrontDoor,
    /// Whether there is room for more.
    pub gate: Arc<Gate>,
    /// Who may log in.
    pub users: Arc<Users>,
    /// Who has guessed passwords; one for all listeners.
    pub throttle: Arc<Mutex<Throttle>>,
    /// Our side of TLS.
    pub tls: Option<TlsAcceptor>,
    /// Who looks on.
    pub sessions: Arc<Sessions>,
    /// How long a client may take for a command (RFC 5321 4.5.3.2.7: at least five minutes), and be
    /// silent inside a message.
    pub idle_timeout: Duration,
    /// How long it may take for a message.
    pub data_timeout: Duration,
}

/// A connection with its session.
pub struct Session {
    server: Server,
    shared: Arc<Shared>,
    client: IpAddr,
    draining: watch::Receiver<bool>,
    held: Held,
    /// When the client last got further, and how far.
    since: (Timestamp, u64),
    /// When the message that is being received began.
    message_since: Option<Timestamp>,
    /// The last read filled what it was given.
    busy: bool,
    live: Live,
    /// Octets that were read and not told of.
    read: u64,
}

/// As which operators see TLS.
fn tls_words<S>(stream: &TlsStream<S>) -> String {
    let (_, session) = stream.get_ref();
    let version = session.protocol_version().and_then(|version| version.as_str());
    let suite = session.negotiated_cipher_suite().and_then(|s| s.suite().as_str());
    format!("{} {}", version.unwrap_or("TLS"), suite.unwrap_or_default())
}

impl Session {
    /// A session with the client at this address. `draining` becomes true when the daemon wants to
    /// end; `live` is who looks on.
    pub fn new(
        server: Server,
        shared: Arc<Shared>,
        client: IpAddr,
        draining: watch::Receiver<bool>,
        live: Live,
    ) -> Self {
        let held = Held::none(Arc::clone(&shared.gate));
        let since = (shared.door.clock.now(), 0);
        let (message_since, busy, read) = (None, false, 0);
        Self { server, shared, client, draining, held, since, message_since, busy, live, read }
    }

    /// Talks until the end; starts TLS when the client asks.
    pub async fn run<S>(mut self, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let done = self.converse(stream).await;
        self.tell_end(done)
    }

    /// The same, under TLS from the first octet (RFC 8314 3.3).
    pub async fn run_tls<S>(mut self, acceptor: TlsAcceptor, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let done = async {
            let mut stream = self.shake_hands(acceptor, stream).await?;
            self.talk(&mut stream).await.map(|_| ())
        };
        let done = done.await;
        self.tell_end(done)
    }

    async fn converse<S>(&mut self, mut stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if !self.talk(&mut stream).await? {
            return Ok(());
        }
        let Some(acceptor) = self.shared.tls.clone() else { return Ok(()) };
        let mut stream = self.shake_hands(acceptor, stream).await?;
        self.server.on_tls();
        self.talk(&mut stream).await?;
        Ok(())
    }

    async fn shake_hands<S>(&mut self, acceptor: TlsAcceptor, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.live.enter(Phase::Tls);
        let accepting = tokio::time::timeout(self.shared.idle_timeout, acceptor.accept(stream));
        let stream = tokio::select! {
            accepted = accepting => accepted??,
            // Under TLS the client would not understand why.
            () = self.live.asked_to_leave() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        Counters::one(&self.shared.door.counters.sessions_tls);
        self.live.tls(&tls_words(&stream));
        Ok(stream)
    }

    /// Tells who looks on how far it is.
    fn tell(&mut self) {
        let phase = self.server.phase();
        self.live.tell(self.server.said(), phase, std::mem::take(&mut self.read));
    }

    /// Tells how it ended.
    fn tell_end(&mut self, done: io::Result<()>) -> io::Result<()> {
        self.tell();
        if let Err(error) = &done {
            self.live.fail(format_args!("the connection broke: {error}"));
        }
        done
    }

    /// Tells that the client closed the connection.
    fn tell_gone(&mut self) {
        self.tell();
        let words = format_args!("the client closed the connection");
        if self.server.phase().is_harmless() {
            self.live.note(words)
        } else {
            self.live.fail(words)
        }
    }

    /// Talks until the end (false) or until TLS is to start (true).
    async fn talk<S>(&mut self, stream: &mut S) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            let action = self.server.poll();
            self.tell();
            match action {
                Action::Read => {
                    if !self.held.set(self.server.held_octets()) {
                        self.server.shed();
                        continue;
                    }
                    self.flush(stream).await?;
                    if !self.read(stream).await? {
                        self.tell_gone();
                        return Ok(false);
                    }
                }
                Action::StartTls => {
                    self.flush(stream).await?;
                    return Ok(true);
                }
                Action::Admit { octets } => {
                    let admission = if *self.draining.borrow() {
                        Admission::Draining
                    } else {
                        self.shared.gate.admission(octets)
                    };
                    self.shared.door.counters.admission(admission);
                    self.server.on_admission(admission.refusal().as_ref());
                }
                Action::Authenticate { user, password } => self.authenticate(user, password).await,
                Action::Accept(transaction) => self.accept(*transaction).await,
                Action::Close => {
                    self.flush(stream).await?;
                    stream.shutdown().await?;
                    return Ok(false);
                }
            }
        }
    }

    async fn accept(&mut self, transaction: Transaction) {
        // The message is no longer the server's, but still in memory until it is on disk.
        self.held.set(self.server.held_octets() + transaction.message.len());
        let users = &self.shared.users;
        let user = transaction.user.as_deref().and_then(|name| users.get(name));
        let reply = self.shared.door.accept(transaction, self.client, user).await;
        self.live.put_down(reply.is_positive());
        self.server.on_settled(&reply);
    }

    async fn authenticate(&mut self, user: Box<str>, password: Box<str>) {
        let (shared, client) = (&self.shared, self.client);
        let now = shared.door.clock.now();
        let verdict = shared.throttle.lock().verdict(client, &user, now);
        match verdict {
            Verdict::Prove => {}
            Verdict::Delay(delay) => tokio::time::sleep(delay).await,
            Verdict::Refuse => {
                let text = "too many failed logins, try again later";
                return self.server.end(&Reply::new(421, EnhancedStatus::new(4, 7, 0), text));
            }
        }
        let right = shared.users.prove(&user, password).await;
        let now = shared.door.clock.now();
        if right {
            shared.throttle.lock().on_right(client, &user, now);
            self.live.user(&user);
        } else {
            shared.throttle.lock().on_wrong(client, &user, now);
            Counters::one(&shared.door.counters.logins_wrong);
            tracing::info!(%client, user, "a wrong password");
            tokio::time::sleep(LOGIN_PAUSE).await;
        }
        self.server.on_authenticated(right.then_some(user));
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

    /// How long to wait for the next octets. A command must be whole in its time and a message in
    /// its own, however many octets come meanwhile: who drips them does not stay for ever.
    fn patience(&mut self) -> Duration {
        let now = self.shared.door.clock.now();
        let progress = self.server.progress();
        if progress != self.since.1 {
            self.since = (now, progress);
        }
        let Shared { idle_timeout, data_timeout, .. } = *self.shared;
        if self.server.in_text() {
            let begun = *self.message_since.get_or_insert(now);
            data_timeout.saturating_sub(now.since(begun)).min(idle_timeout)
        } else {
            self.message_since = None;
            idle_timeout.saturating_sub(now.since(self.since.0))
        }
    }

    /// Reads some; false at the end of input.
    async fn read<S>(&mut self, stream: &mut S) -> io::Result<bool>
    where
        S: AsyncRead + Unpin,
    {
        let (in_text, patience) = (self.server.in_text(), self.patience());
        let octets = if in_text || self.busy { BUSY_READ_OCTETS } else { IDLE_READ_OCTETS };
        let octets = octets.max(self.server.expected_octets());
        let input = self.server.input();
        input.reserve(octets);
        let room = input.capacity() - input.len();
        let reading = tokio::time::timeout(patience, stream.read_buf(input));
        let draining = async {
            // A message that is being sent may come to its end.
            if in_text || self.draining.wait_for(|draining| *draining).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            read = reading => match read {
                Ok(octets) => {
                    let octets = octets?;
                    self.busy = octets >= room;
                    self.read += octets as u64;
                    return Ok(octets > 0);
                }
                Err(_) => {
                    let text = if in_text { "the message took too long" } else { "too slow" };
                    self.server.end(&Reply::new(421, EnhancedStatus::new(4, 4, 2), text));
                }
            },
            () = draining => {
                let refusal = Admission::Draining.refusal();
                refusal.iter().for_each(|reply| self.server.end(reply));
            }
            () = self.live.asked_to_leave() => {
                let text = "closed by an operator, try again later";
                self.server.end(&Reply::new(421, EnhancedStatus::new(4, 3, 2), text));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
