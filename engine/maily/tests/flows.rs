//! The whole daemon as a process, from a client's socket to a next hop's.
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maily::clock::WallClock;
use maily::sink::behaviour::Behaviour;
use maily::sink::ledger::Ledger;
use maily::sink::session::Sink;

#[path = "flows/crash.rs"]
mod crash;
#[path = "flows/full.rs"]
mod full;
#[path = "flows/hop.rs"]
mod hop;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../tests/support/process.rs"]
mod process;
#[path = "flows/reports.rs"]
mod reports;
#[path = "flows/world.rs"]
mod world;

use process::Running;
use process::free;
use process::wait_for;

/// Clients that hand in mail at once.
const CLIENTS: u64 = 8;

/// A next hop on this machine, as a runtime that lives as long as it.
struct NextHop {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    _runtime: tokio::runtime::Runtime,
}

fn next_hop(behaviour: Behaviour) -> NextHop {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ledger = Arc::new(Ledger::default());
    let sink = Sink {
        name: "hop.example".into(),
        behaviour,
        ledger: Arc::clone(&ledger),
        tls: Some(maily::tls::self_signed("hop.example").unwrap()),
        clock: Arc::new(WallClock::start()),
        remember: true,
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (address, serve) = runtime.block_on(sink.bind(any)).unwrap();
    runtime.spawn(serve);
    NextHop { address, ledger, _runtime: runtime }
}

/// A daemon's configuration on disk.
fn configure(folder: &Path, hop: SocketAddr) -> SocketAddr {
    let free = free();
    let text = format!(
        "[spool]\nfolder = \"{0}/spool\"\nsegment_size = \"1MiB\"\ndisk_reserve = \"4MiB\"\n\
         [events]\nfolder = \"{0}/events\"\nsegment_size = \"1MiB\"\n\
         [[listener]]\naddress = \"{free}\"\n\
         [egress]\nallow_networks = [\"127.0.0.0/8\"]\n\
         [[route]]\ndomain = \"*\"\nhost = \"127.0.0.1\"\nport = {1}\n\
         [retry]\ndelay_min = \"500ms\"\ndelay_max = \"2s\"\n",
        folder.display(),
        hop.port(),
    );
    std::fs::write(folder.join("maily.toml"), text).unwrap();
    free
}

fn start(folder: &Path, address: SocketAddr) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_maily"))
        .args(["serve", "--config"])
        .arg(folder.join("maily.toml"))
        .stderr(Stdio::null())
        .spawn();
    let running = Running(child.unwrap());
    wait_for("the daemon to listen", || TcpStream::connect(address).is_ok());
    running
}

/// Hands in messages until the connection breaks or `enough`; keeps the numbers that got a 250.
fn hand_in(
    address: SocketAddr,
    numbers: &AtomicU64,
    enough: &AtomicBool,
    acknowledged: &Mutex<Vec<u64>>,
) {
    let Ok(stream) = TcpStream::connect(address) else { return };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut say = |text: &str, code: &str| -> bool {
        if stream.write_all(text.as_bytes()).is_err() {
            return false;
        }
        let mut line = String::new();
        matches!(replies.read_line(&mut line), Ok(octets) if octets > 0) && line.starts_with(code)
    };
    if !say("", "220") || !say("HELO client.example\r\n", "250") {
        return;
    }
    while !enough.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let body = "one line of the message\r\n".repeat(40);
        let message = format!("Message-ID: <{number}@client.example>\r\n\r\n{body}.\r\n");
        let whole = say("MAIL FROM:<>\r\n", "250")
            && say(&format!("RCPT TO:<r{number}@d{}.example>\r\n", number % 7), "250")
            && say("DATA\r\n", "354")
            && say(&message, "250");
        if !whole {
            break;
        }
        acknowledged.lock().unwrap().push(number);
    }
}

/// Hands in mail with several clients until the end has come; gives the numbers that got a 250. The
/// end sees those that have it so far.
fn load(address: SocketAddr, numbers: &AtomicU64, end: impl FnOnce(&Mutex<Vec<u64>>)) -> Vec<u64> {
    let enough = AtomicBool::new(false);
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| hand_in(address, numbers, &enough, &acknowledged));
        }
        end(&acknowledged);
        enough.store(true, Ordering::Relaxed);
    });
    acknowledged.into_inner().unwrap()
}

fn came(ledger: &Ledger, number: u64) -> u32 {
    let key = (
        format!("<{number}@client.example>").into(),
        format!("r{number}@d{}.example", number % 7).into(),
    );
    ledger.taken().get(&key).copied().unwrap_or(0)
}

fn missing(ledger: &Ledger, numbers: &[u64]) -> usize {
    let taken = ledger.taken();
    let key = |number: &u64| {
        let (id, to) =
            (format!("<{number}@client.example>"), format!("r{number}@d{}.example", number % 7));
        (id.into(), to.into())
    };
    numbers.iter().filter(|number| !taken.contains_key(&key(number))).count()
}

#[test]
fn term_ends_in_order_and_what_waits_is_delivered_later() {
    let folder = tempfile::tempdir().unwrap();
    let hop = next_hop(Behaviour::Greylist(Duration::from_secs(2)));
    let address = configure(folder.path(), hop.address);
    let numbers = AtomicU64::new(0);
    let mut daemon = start(folder.path(), address);
    let acknowledged = load(address, &numbers, |_| std::thread::sleep(Duration::from_millis(300)));
    let pid = daemon.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(daemon.0.wait().unwrap().success(), "an ordered end is exit 0");
    assert!(missing(&hop.ledger, &acknowledged) > 0, "greylisted mail still waits");
    let daemon = start(folder.path(), address);
    wait_for("deferred mail", || missing(&hop.ledger, &acknowledged) == 0);
    drop(daemon);
    for number in acknowledged {
        assert_eq!(came(&hop.ledger, number), 1, "message {number}");
    }
}
