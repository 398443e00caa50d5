//! Both SMTP sessions, sans-IO: a message of 10 KiB handed in, and sent on.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;
use criterion::Criterion;
use criterion::Throughput;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::smtp::client;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::content::Content;
use maily_core::smtp::delivery::Delivery;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::reply_parser::ReplyParser;
use maily_core::smtp::server;
use maily_core::smtp::server::config::Client;
use maily_core::smtp::server::config::ServerConfig;

use crate::signing::message;

/// What a socket gives at once.
const READ_OCTETS: usize = 16 * 1_024;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("smtp");
    benches.throughput(Throughput::Elements(1));
    let wire = [
        b"MAIL FROM:<sender@sender.example>\r\nRCPT TO:<user@d0001.test>\r\nDATA\r\n".as_slice(),
        &message(10_240),
        b".\r\n",
    ]
    .concat();
    let config = ServerConfig { transactions_max: u32::MAX, ..ServerConfig::default() };
    let trusted = Client { may_relay: true, local: true, tls: false };
    let mut session = server::Server::new(Arc::new(config), trusted);
    session.input().extend_from_slice(b"EHLO source.example\r\n");
    take(&mut session);
    benches.bench_function("server_takes", |bencher| {
        bencher.iter(|| {
            let mut taken = 0;
            for octets in black_box(&wire).chunks(READ_OCTETS) {
                session.input().extend_from_slice(octets);
                taken += take(&mut session);
            }
            assert_eq!(taken, 1, "the message was not taken");
        });
    });
    let mut session = client::Client::new(client::Options {
        ehlo_name: "mail.example".into(),
        tls: TlsPolicy::Off,
        login: None,
        login_in_clear: false,
    });
    answer(&mut session, "220 mx.example\r\n");
    answer(&mut session, "250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
    let content = Content { head: Bytes::new(), message: message(10_240) };
    benches.bench_function("client_sends", |bencher| {
        bencher.iter(|| {
            session.submit(delivery(black_box(&content)));
            act(&mut session);
            let mut done = 0;
            for text in
                ["250 2.1.0 ok\r\n", "250 2.1.5 ok\r\n", "354 go on\r\n", "250 2.0.0 ok\r\n"]
            {
                done += answer(&mut session, text);
            }
            assert_eq!(done, 1, "the message was not sent");
        });
    });
    benches.finish();
}

/// Runs the server until it wants more; gives how many messages it took.
fn take(session: &mut server::Server) -> usize {
    let mut taken = 0;
    loop {
        match session.poll() {
            server::Action::Admit { .. } => session.on_admission(None),
            server::Action::Accept(transaction) => {
                black_box(transaction);
                taken += 1;
                session.on_settled(&Reply::new(250, EnhancedStatus::new(2, 0, 0), "queued"));
            }
            _ => break,
        }
    }
    session.output().clear();
    taken
}

/// Feeds a reply to the client; gives how many deliveries are over.
fn answer(session: &mut client::Client, text: &str) -> usize {
    let mut input = BytesMut::from(text);
    let mut parser = ReplyParser::default();
    while let Ok(Some(reply)) = parser.parse(&mut input) {
        session.on_reply(&reply);
    }
    act(session)
}

fn act(session: &mut client::Client) -> usize {
    let mut done = 0;
    while let Some(action) = session.poll() {
        match action {
            client::Action::Write(pieces) => {
                let octets = black_box(&pieces).iter().map(Bytes::len).sum();
                session.on_written(octets);
            }
            client::Action::Done(_) => done += 1,
            client::Action::StartTls | client::Action::Close => {}
        }
    }
    done
}

fn delivery(content: &Content) -> Delivery {
    let to = Mailbox::parse("user@d0001.test").ok().map(Recipient::plain);
    Delivery {
        reverse_path: ReversePath::Null,
        recipients: to.into_iter().map(|to| (RecipientIndex(0), to)).collect(),
        ret: None,
        envelope_id: None,
        smtputf8: false,
        content: content.clone(),
    }
}
