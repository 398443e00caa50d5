//! Runs dialogs over a socket against a daemon: one for each world that they need.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use maily::clock::WallClock;
use maily::wire::Daemon;
use maily_spool::body::Body;
use maily_spool::spool::Spool;

use crate::memory::lines;
use crate::script;
use crate::script::Script;
use crate::script::Step;
use crate::world::HOST;
use crate::world::World;

/// How long the daemon may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client's side of a connection, in clear or not.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Runs all, those of one world at the same time; gives what failed.
pub(crate) async fn run_all(scripts: Vec<Script>) -> Vec<String> {
    let mut worlds: BTreeMap<String, Vec<Script>> = BTreeMap::new();
    for script in scripts {
        worlds.entry(script.with.clone()).or_default().push(script);
    }
    let mut faults = Vec::new();
    for (with, scripts) in worlds {
        let folder = tempfile::tempdir().unwrap();
        let roots = certificate(folder.path());
        std::fs::write(folder.path().join("password"), "secret\n").unwrap();
        let config = World(&with).config(folder.path());
        let daemon = Daemon::start(&config, Arc::new(WallClock::start())).await.unwrap();
        let mut running = JoinSet::new();
        for script in scripts {
            let (address, spool, roots) = (daemon.smtp[0], daemon.spool.clone(), roots.clone());
            running.spawn(async move { run(&script, address, spool, roots).await });
        }
        faults.extend(running.join_all().await.into_iter().filter_map(Result::err));
        daemon.stop(Duration::from_secs(5)).await.unwrap();
    }
    faults
}

/// Writes a certificate and its key; gives what a client needs to trust it.
fn certificate(folder: &Path) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// A connection and what came over it.
struct Talk {
    stream: Box<dyn Stream>,
    roots: Arc<ClientConfig>,
    spool: Spool,
    octets: Vec<u8>,
    said: Vec<String>,
    closed: bool,
    message: Vec<String>,
}

async fn run(
    script: &Script,
    address: SocketAddr,
    spool: Spool,
    roots: Arc<ClientConfig>,
) -> Result<(), String> {
    let world = World(&script.with);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    if world.has("remote") {
        stream.write_all(&proxy_header(stream.local_addr().unwrap())).await.unwrap();
    }
    let (octets, said, message) = (Vec::new(), Vec::new(), Vec::new());
    let stream = Box::new(stream);
    let mut talk = Talk { stream, roots, spool, octets, said, closed: false, message };
    if world.has("implicit") {
        talk.tls().await?;
    }
    let greeting = script::Wanted::Beginning("220 ".to_owned());
    talk.answer(&greeting).await?;
    for (number, step) in &script.steps {
        let done = talk.step(step).await;
        done.map_err(|why| format!("{} (line {number}): {why}", script.name))?;
    }
    // The daemon says no more, and ends when we do.
    let _closed_by_the_daemon = talk.stream.shutdown().await;
    talk.read_all().await;
    match talk.said.as_slice() {
        [] => Ok(()),
        left => Err(format!("{}: nobody wanted {left:?}", script.name)),
    }
}

/// A client at [`crate::world::REMOTE`] and a TLV that means nothing to us.
fn proxy_header(to: SocketAddr) -> Vec<u8> {
    let mut header = maily_core::smtp::proxy::SIGNATURE.to_vec();
    header.extend([0x21, 0x11, 0, 12 + 4]);
    header.extend([192, 0, 2, 7, 127, 0, 0, 1]);
    header.extend([0x12, 0x34]);
    header.extend(to.port().to_be_bytes());
    header.extend([0xea, 0, 1, 0]);
    header
}

impl Talk {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(octets) => {
                let sent = self.stream.write_all(octets).await;
                sent.map_err(|error| format!("not sent: {error}"))
            }
            Step::Tls => self.tls().await,
            Step::Answer(wanted) => self.answer(wanted).await,
            Step::Closed => {
                self.read_all().await;
                match (self.closed, self.said.as_slice()) {
                    (true, []) => Ok(()),
                    (closed, said) => Err(format!("closed: {closed}, said {said:?}")),
                }
            }
            Step::Message(wanted) => script::take(&mut self.message, wanted),
        }
    }

    async fn answer(&mut self, wanted: &script::Wanted) -> Result<(), String> {
        while !script::is_there(&self.said, wanted) && !self.closed {
            if tokio::time::timeout(PATIENCE, self.read()).await.is_err() {
                return Err(format!("no answer, wanted {wanted:?}"));
            }
        }
        if let Some(id) =
            self.said.first().and_then(|line| line.strip_prefix("250 2.0.0 queued as "))
        {
            let stored = self.spool.get(id.parse().unwrap()).map_err(|error| error.to_string())?;
            if let Body::Stored(message) = &stored.submission.body {
                self.message = lines(message);
            }
        }
        script::take(&mut self.said, wanted)
    }

    async fn read_all(&mut self) {
        let reading = async {
            while !self.closed {
                self.read().await;
            }
        };
        // What is not closed by then says so itself.
        let _open = tokio::time::timeout(PATIENCE, reading).await;
    }

    async fn read(&mut self) {
        match self.stream.read_buf(&mut self.octets).await {
            // A peer that closed with octets of ours unread ends in an error here.
            Ok(0) | Err(_) => self.closed = true,
            Ok(_) => {}
        }
        while let Some(end) = self.octets.windows(2).position(|window| window == b"\r\n") {
            let line = self.octets.drain(..end + 2).take(end).collect();
            self.said.push(String::from_utf8(line).unwrap());
        }
    }

    async fn tls(&mut self) -> Result<(), String> {
        let nobody = Box::new(tokio::io::empty());
        let stream = std::mem::replace(&mut self.stream, nobody as Box<dyn Stream>);
        let name = ServerName::try_from(HOST).unwrap();
        let connecting = TlsConnector::from(Arc::clone(&self.roots)).connect(name, stream);
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        let stream = connected.map_err(|_| "no TLS in time")?;
        self.stream = Box::new(stream.map_err(|error| format!("no TLS: {error}"))?);
        Ok(())
    }
}
