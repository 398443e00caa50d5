//! A line on which each octet takes its time, and on which nothing may come at all for a while.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use crate::support::process::own_address;

/// How often it is looked whether a line that holds back does so still.
const LOOK: Duration = Duration::from_millis(5);

/// A line to a server.
pub(crate) struct SlowLine {
    pub(crate) address: SocketAddr,
    held: Arc<AtomicBool>,
}

impl SlowLine {
    /// A line on which there and back takes this long.
    pub(crate) fn to(server: SocketAddr, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((own_address(), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::new(AtomicBool::new(false));
        let hold = Arc::clone(&held);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let Ok(far) = TcpStream::connect(server) else { continue };
                let (near_back, far_back) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                carry(near, far, round_trip / 2, Arc::clone(&hold));
                carry(far_back, near_back, round_trip / 2, Arc::clone(&hold));
            }
        });
        Self { address, held }
    }

    /// Nothing comes through until it is let go.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }
}

/// Carries octets from one end to the other, each so much later, and many at the same time.
fn carry(mut from: TcpStream, mut to: TcpStream, late: Duration, held: Arc<AtomicBool>) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(octets) = from.read(&mut buffer) {
            let gone = send.send((Instant::now() + late, buffer[..octets].to_vec())).is_err();
            if octets == 0 || gone {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, octets) in receive {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            while held.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
            }
            if octets.is_empty() || to.write_all(&octets).is_err() {
                break;
            }
        }
        let _gone = to.shutdown(std::net::Shutdown::Write);
    });
}
