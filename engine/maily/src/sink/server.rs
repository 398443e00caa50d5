//! The listener of a sink: one task a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use maily_core::clock::Clock;

use crate::sink::behaviour::Behaviour;
use crate::sink::ledger::Ledger;
use crate::sink::session::Session;

/// What all sessions of one sink share.
#[derive(Clone)]
pub struct Sink {
    /// The name in the greeting.
    pub name: Arc<str>,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Where it counts.
    pub ledger: Arc<Ledger>,
    /// STARTTLS, if it is offered.
    pub tls: Option<TlsAcceptor>,
    /// Tells greylisting the time.
    pub clock: Arc<dyn Clock>,
    /// Whether each Message-ID is kept in the ledger; counting alone is cheaper.
    pub remember: bool,
}

impl Sink {
    /// Listens here; returns the address, and a future that serves until it is dropped.
    pub async fn bind(
        self,
        address: SocketAddr,
    ) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        Ok((local, self.serve(listener)))
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    Ledger::count(&self.ledger.connections);
                    let sink = self.clone();
                    tokio::spawn(async move {
                        if let Err(error) = Session::run(sink, stream).await {
                            debug!(%error, "sink session ended");
                        }
                    });
                }
                // Out of descriptors: wait for some to come back rather than spin.
                Err(error) => {
                    debug!(%error, "accept");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }
}
