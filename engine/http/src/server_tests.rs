//! Tests of the listener: who is slow, large or many is bounded.

use axum::routing::get;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;

struct Running {
    address: std::net::SocketAddr,
    draining: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

fn start(seats: Seats) -> Running {
    let big = "x".repeat(8 << 20);
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/big", get(move || async move { big }));
    let bound = bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
    let address = bound.address().unwrap();
    let (draining, drain) = watch::channel(false);
    let (_, front) = watch::channel(Arc::new(Front { router, tls: None, seats }));
    let serving = tokio::spawn(serve(front, bound, drain));
    Running { address, draining, serving }
}

fn seats() -> Seats {
    Seats::new(100, 100)
}

/// Says something and reads to the end.
async fn talk(address: std::net::SocketAddr, words: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be closed before all is said.
    let _closed = stream.write_all(words).await;
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_is_answered_and_the_end_waits_for_it() {
    let running = start(seats());
    let words = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = talk(running.address, words).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
    // A connection that is kept, idle, ends when the daemon does.
    let mut kept = TcpStream::connect(running.address).await.unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut octets = [0; 12];
    kept.read_exact(&mut octets).await.unwrap();
    assert_eq!(&octets, b"HTTP/1.1 200");
    running.draining.send_replace(true);
    running.serving.await.unwrap();
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"here"));
}

#[tokio::test]
async fn a_head_one_above_its_limits_is_refused() {
    let running = start(seats());
    let fields = |count: usize| "X: y\r\n".repeat(count);
    let asked = |fields: &str| format!("GET / HTTP/1.1\r\nConnection: close\r\n{fields}\r\n");
    let answer = talk(running.address, asked(&fields(FIELDS_MAX - 1)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = talk(running.address, asked(&fields(FIELDS_MAX)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("X: {}\r\n", "y".repeat(HEAD_OCTETS_MAX));
    let answer = talk(running.address, asked(&long).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn one_connection_above_the_seats_is_closed() {
    let running = start(Seats::new(100, 1));
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut octets = [0; 12];
    first.read_exact(&mut octets).await.unwrap();
    assert_eq!(talk(running.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_or_takes_nothing_is_left() {
    let running = start(seats());
    assert_eq!(talk(running.address, b"GET / HTTP/1.1\r\nHost:").await, "");
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    idle.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"here"), "closed after the answer, when no more was asked");
    let mut deaf = TcpStream::connect(running.address).await.unwrap();
    deaf.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(WRITE_TIMEOUT * 2).await;
    let mut answer = Vec::new();
    let _reset = deaf.read_to_end(&mut answer).await;
    assert!(answer.len() < 8 << 20, "{} octets were taken", answer.len());
}

#[tokio::test]
async fn a_socket_is_for_owner_and_group_and_a_stale_one_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a stale one");
    let bound = bind_unix(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(bound);
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(bind_unix(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
