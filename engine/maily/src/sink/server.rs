//! The listener of a sink: one task a connection.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tracing::debug;

use crate::sink::ledger::Ledger;
use crate::sink::session::Session;
use crate::sink::session::Sink;

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
