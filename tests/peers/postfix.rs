//! Postfix behind Maily, and Postfix in front of it.

use std::net::SocketAddr;

use maily::dev::dns::Zone;

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::postfix::Postfix;
use crate::support::world::DOMAIN;
use crate::support::world::World;

/// What the sender wrote: without the fields that hosts put in front on the way.
fn without_trace(mut message: &[u8]) -> &[u8] {
    let added: [&[u8]; 4] = [b"Received:", b"Return-Path:", b"X-Original-To:", b"Delivered-To:"];
    while added.iter().any(|field| message.starts_with(field)) {
        loop {
            let end = message.windows(2).position(|octets| octets == b"\r\n").unwrap() + 2;
            message = &message[end..];
            if !message.starts_with(b"\t") && !message.starts_with(b" ") {
                break;
            }
        }
    }
    message
}

const MESSAGE: &str = "From: a@client.example\r\nTo: b@sink.example\r\nSubject: dots\r\n\
    Date: Wed, 25 Nov 2026 22:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\n\
    .a dot\r\n..two dots\r\n.\r\nGr\u{fc}\u{df}e, \u{43c}\u{438}\u{440}\r\n";

/// Hands it in with its dots stuffed (RFC 5321 4.5.2).
fn hand_in(address: SocketAddr, recipients: &[String]) {
    let (mut client, _) = Client::connect(address).unwrap();
    assert!(client.say("EHLO client.example\r\n").starts_with("250"));
    let mail = client.say("MAIL FROM:<a@client.example> BODY=8BITMIME\r\n");
    assert!(mail.starts_with("250"), "{mail}");
    for recipient in recipients {
        let rcpt = client.say(&format!("RCPT TO:<{recipient}>\r\n"));
        assert!(rcpt.starts_with("250"), "{rcpt}");
    }
    assert!(client.say("DATA\r\n").starts_with("354"));
    let stuffed = MESSAGE.replace("\r\n.", "\r\n..");
    let taken = client.say(&format!("{stuffed}.\r\n"));
    assert!(taken.starts_with("250"), "{taken}");
    client.say("QUIT\r\n");
}

#[test]
fn postfix_gets_our_mail_under_tls_and_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let postfix = Postfix::start(folder.path(), "virtual_mailbox_domains = sink.example");
    let world = World::start(folder.path());
    let mut zone = Zone::default();
    zone.mx(DOMAIN, 10, "mx.sink.example");
    zone.address("mx.sink.example", postfix.address.ip());
    let dns = world.answer(zone);
    let daemon = Daemon::start(folder.path(), dns, postfix.address.port(), "");
    hand_in(daemon.smtp, &[format!("b@{DOMAIN}")]);
    let many: Vec<_> = (0..50).map(|number| format!("r{number}@{DOMAIN}")).collect();
    hand_in(daemon.smtp, &many);
    for message in postfix.mailbox(51) {
        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(without_trace(&message) == MESSAGE.as_bytes(), "{text}");
        assert!(text.contains("(using TLSv1.3 with cipher"), "not under TLS: {text}");
        assert!(text.contains("by mail.maily.example with ESMTP id"), "{text}");
    }
}

#[test]
fn postfix_relays_to_us_and_its_mail_goes_on_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path());
    let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), "");
    let (ip, port) = (daemon.smtp.ip(), daemon.smtp.port());
    // Without mailboxes of its own: they are for all domains.
    let more = format!(
        "relayhost = [{ip}]:{port}\nsmtp_tls_security_level = encrypt\nvirtual_mailbox_domains ="
    );
    let postfix = Postfix::start(folder.path(), &more);
    let many: Vec<_> = (0..20).map(|number| format!("r{number}@{DOMAIN}")).collect();
    hand_in(postfix.address, &many);
    hand_in(postfix.address, &[format!("b@{DOMAIN}")]);
    let kept = world.kept(2);
    assert_eq!(kept.len(), 2, "{}", postfix.log());
    for each in &kept {
        let text = String::from_utf8_lossy(&each.message).into_owned();
        assert!(each.without_trace() == MESSAGE.as_bytes(), "{text}");
        assert!(text.contains("by mail.maily.example with ESMTPS id"), "not under TLS: {text}");
        assert!(text.contains("by postfix.sink.example (Postfix) with ESMTP"), "{text}");
        assert!(each.envelope.contains("BODY=8BITMIME"), "{}", each.envelope);
    }
    let recipients: usize = kept.iter().map(|each| each.envelope.matches("RCPT").count()).sum();
    assert_eq!(recipients, 21);
}
