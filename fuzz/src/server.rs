//! The SMTP server session: DATA, BDAT, STARTTLS and AUTH in one machine.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;

use maily_core::clock::Timestamp;
use maily_core::mail::id::QueueId;
use maily_core::mail::message::header_fields;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::reply_parser::ReplyParser;
use maily_core::smtp::server::Action;
use maily_core::smtp::server::Server;
use maily_core::smtp::server::Transaction;
use maily_core::smtp::server::config::Client;
use maily_core::smtp::server::config::ServerConfig;
use maily_core::smtp::server::trace::Header;
use maily_core::smtp::server::trace::Stamp;

/// Octets of a message in a session with a small limit.
const SMALL: u64 = 64;

/// What came of some input.
#[derive(Debug, Default, PartialEq)]
struct Result {
    taken: Vec<Transaction>,
    output: Vec<u8>,
    tls: bool,
    closed: bool,
}

/// The first octet chooses the world, the second the pieces in which the rest comes.
pub fn session(data: &[u8]) {
    let Some((&[world, piece], input)) = data.split_first_chunk::<2>() else { return };
    let whole = run(world, input, input.len().max(1));
    check(&whole);
    let pieces = run(world, input, usize::from(piece % 64) + 1);
    check(&pieces);
    // Where input is thrown away, or is refused before it is whole, the pieces matter.
    if !whole.tls && !pieces.tls && world & 1 == 0 {
        assert_eq!(whole, pieces, "the answer hangs on how the input was cut");
    }
}

fn run(world: u8, input: &[u8], piece: usize) -> Result {
    let bit = |bit: u8| world & 1 << bit != 0;
    let message_octets_max = if bit(0) { SMALL } else { 1 << 20 };
    let config = ServerConfig {
        auth: bit(1),
        starttls: bit(2),
        postmaster: bit(3).then(|| "a@b.c".parse().expect("an address")),
        message_octets_max,
        recipients_max: 4,
        transactions_max: 4,
        ..ServerConfig::default()
    };
    let client = Client { tls: bit(4), local: bit(5), may_relay: bit(6) };
    let mut server = Server::new(Arc::new(config), client);
    let mut result = Result::default();
    for piece in input.chunks(piece) {
        server.input().extend_from_slice(piece);
        go_on(&mut server, &mut result, bit(7));
        if result.closed {
            break;
        }
        let held_max = message_octets_max as usize * 2 + 64_000 + piece.len() + 16_384;
        assert!(server.held_octets() <= held_max, "{} held", server.held_octets());
    }
    result
}

fn go_on(server: &mut Server, result: &mut Result, full: bool) {
    // Each turn takes octets or answers a question: it must come to an end.
    for _ in 0..1_000_000 {
        match server.poll() {
            Action::Read => break,
            Action::Close => {
                result.closed = true;
                break;
            }
            Action::StartTls => {
                result.tls = true;
                server.on_tls();
            }
            Action::Admit { .. } => {
                let reply = Reply::bare(452, "full");
                server.on_admission(full.then_some(&reply));
            }
            Action::Authenticate { user, password } => {
                let right = user == password;
                server.on_authenticated(right.then_some(user));
            }
            Action::Accept(transaction) => {
                result.taken.push(*transaction);
                server.on_settled(&Reply::bare(250, "OK"));
            }
        }
    }
    result.output.append(server.output());
}

fn check(result: &Result) {
    let mut replies = BytesMut::from(result.output.as_slice());
    while !replies.is_empty() {
        let reply = ReplyParser::default().parse(&mut replies);
        assert!(matches!(reply, Ok(Some(_))), "we said what is no reply: {replies:?}");
    }
    for transaction in &result.taken {
        assert!(!transaction.envelope.recipients.is_empty());
        assert!(transaction.trusted || transaction.envelope.recipients.len() <= 4);
        check_text(&transaction.message);
        let (now, id) = (Timestamp::from_secs(1), QueueId::from_u64(1));
        let client = IpAddr::from([192, 0, 2, 1]);
        let stamp = Stamp { host: "mx.example", client, id, now };
        let header = Header::read(&transaction.message);
        let stored = stamp.apply(transaction, &header);
        check_text(&stored);
        let (before, after) = (header.received, Header::read(&stored));
        assert_eq!(after.received, before + 1, "one trace field");
        assert!(after.date && !after.message_id.is_empty());
        let own = |name: &[u8]| name.to_ascii_lowercase().starts_with(b"x-maily-");
        assert!(!header_fields(&stored).any(|field| own(field.name)), "our own field is left");
    }
}

/// Only CRLF line ends, no NUL, no line over 1,000 octets.
fn check_text(text: &[u8]) {
    assert!(text.is_empty() || text.ends_with(b"\r\n"));
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.len() <= 1_000 && line.ends_with(b"\r\n"));
        let inner = &line[..line.len() - 2];
        assert!(!inner.contains(&b'\r') && !inner.contains(&0));
    }
}
