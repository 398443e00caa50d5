//! Programs that run for as long as a test needs them.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::sync::Mutex;
use std::time::Duration;

/// How often, and in which steps, we look for what must come.
const LOOKS: u32 = 1_200;
const STEP: Duration = Duration::from_millis(50);

/// Waits until something has happened; fails after a minute.
pub(crate) fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if happened() {
            return;
        }
        std::thread::sleep(STEP);
    }
    panic!("waited a minute for {what}");
}

/// A loopback address that belongs to this process alone, so that its ports do, too.
pub(crate) fn own_address() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + high % 64, middle, low).into()
}

/// The ports that this test was given: the kernel may name one again whose listener is gone.
static GIVEN: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());

/// A port at our own address that nobody has, and that was not given before.
pub(crate) fn free() -> SocketAddr {
    let mut given = GIVEN.lock().unwrap();
    loop {
        let address = TcpListener::bind((own_address(), 0)).unwrap().local_addr().unwrap();
        if !given.contains(&address) {
            given.push(address);
            return address;
        }
    }
}

/// Runs a program to its end; fails with what it said unless it ended well.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// A child that is killed with its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}
