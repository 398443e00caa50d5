//! Servers that others wrote get our mail.

use std::path::Path;
use std::process::Command;

use maily::dev::dns::Zone;

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::process::Running;
use crate::support::process::free;
use crate::support::process::wait_for;
use crate::support::tools::python;
use crate::support::world::DOMAIN;
use crate::support::world::World;

/// Starts aiosmtpd, which keeps messages in `folder`.
fn aiosmtpd(folder: &Path) -> (std::net::SocketAddr, Running) {
    let address = free();
    let child = Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/server.py"))
        .args([address.ip().to_string(), address.port().to_string()])
        .arg(folder)
        .spawn()
        .unwrap();
    let running = Running(child);
    wait_for("aiosmtpd to listen", || Client::connect(address).is_some());
    (address, running)
}

#[test]
fn aiosmtpd_gets_our_mail_octet_for_octet() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("aiosmtpd");
    std::fs::create_dir(&kept).unwrap();
    let (server, _running) = aiosmtpd(&kept);
    let world = World::start(folder.path());
    let mut zone = Zone::default();
    zone.mx(DOMAIN, 10, "mx.sink.example");
    zone.address("mx.sink.example", server.ip());
    let dns = world.answer(zone);
    let daemon = Daemon::start(folder.path(), dns, server.port(), "");
    let (mut client, _) = Client::connect(daemon.smtp).unwrap();
    client.say("EHLO client.example\r\n");
    let mail = "MAIL FROM:<\u{438}\u{432}\u{430}\u{43d}@client.example> SMTPUTF8 BODY=8BITMIME";
    assert!(client.say(&format!("{mail}\r\n")).starts_with("250"));
    for number in 0..10 {
        let rcpt = client.say(&format!("RCPT TO:<r{number}@{DOMAIN}>\r\n"));
        assert!(rcpt.starts_with("250"), "{rcpt}");
    }
    assert!(client.say("DATA\r\n").starts_with("354"));
    let text = "Date: Wed, 25 Nov 2026 22:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\r\n\
                ..a dot\r\n..\r\n\u{43c}\u{438}\u{440}\r\n";
    assert!(client.say(&format!("{text}.\r\n")).starts_with("250"));
    wait_for("aiosmtpd's copy", || kept.join("1.eml").exists());
    let message = std::fs::read(kept.join("1.eml")).unwrap();
    let got = String::from_utf8(message).unwrap();
    let (trace, rest) = got.split_once("\r\nDate: ").unwrap();
    assert!(trace.contains("by mail.maily.example with "), "{trace}");
    assert_eq!(format!("Date: {rest}"), text.replace("\r\n..", "\r\n."));
    let envelope = std::fs::read_to_string(kept.join("1.envelope")).unwrap();
    let mut lines = envelope.lines();
    assert_eq!(lines.next(), Some("\u{438}\u{432}\u{430}\u{43d}@client.example"));
    assert!(lines.next().unwrap().contains("SMTPUTF8"), "{envelope}");
    assert_eq!(lines.count(), 10, "{envelope}");
}
