//! Clients that others wrote hand in mail; the sink gets it octet for octet.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::daemon::PASSWORD;
use crate::support::daemon::USER;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools::python;
use crate::support::tools::tool;
use crate::support::world::DOMAIN;
use crate::support::world::Kept;
use crate::support::world::World;

/// The end of each message that is handed in: lines that begin with dots, and a dot alone.
const DOTS: &str = ".a dot\r\n..two dots\r\n.\r\nthe end\r\n";

fn message(subject: &str, body: &str) -> String {
    format!(
        "From: a@client.example\r\nTo: b@{DOMAIN}\r\nSubject: {subject}\r\n\
         Date: Wed, 25 Nov 2026 22:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\r\n{body}"
    )
}

/// A world with a daemon in it.
fn start(folder: &Path, more: &str) -> (World, Daemon) {
    let world = World::start(folder);
    let daemon = Daemon::start(folder, world.dns, world.sink.port(), more);
    (world, daemon)
}

#[track_caller]
fn same(kept: &Kept, handed_in: &[u8]) {
    let (got, given) = (kept.without_trace(), handed_in);
    assert!(got == given, "got {:?}\ngiven {:?}", bytes_of(got), bytes_of(given));
}

fn bytes_of(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

#[test]
fn swaks_logs_in_under_starttls_and_its_mail_arrives_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (world, daemon) = start(folder.path(), "");
    let message = message("swaks", DOTS);
    let file = folder.path().join("message");
    // It adds the last line end by itself.
    std::fs::write(&file, message.replace("\r\n", "\n").trim_end()).unwrap();
    for (number, mechanism) in ["PLAIN", "LOGIN"].iter().enumerate() {
        run(Command::new(tool("swaks"))
            .args(["--server", &daemon.smtp.ip().to_string()])
            .args(["--port", &daemon.smtp.port().to_string()])
            .args(["--tls", "--auth", mechanism, "--auth-user", USER])
            .args(["--auth-password", PASSWORD, "--pipeline"])
            .args(["--from", "a@client.example"])
            .args(["--to", &format!("b{number}@{DOMAIN}")])
            .args(["--data", &format!("@{}", file.display())]));
        let kept = world.kept(number + 1);
        same(&kept[number], message.as_bytes());
        assert!(kept[number].envelope.contains(&format!("RCPT TO:<b{number}@{DOMAIN}>")));
    }
}

#[test]
fn swaks_with_a_wrong_password_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_world, daemon) = start(folder.path(), "");
    let output = Command::new(tool("swaks"))
        .args(["--server", &daemon.smtp.ip().to_string()])
        .args(["--port", &daemon.smtp.port().to_string()])
        .args(["--tls", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "wrong"])
        .args(["--from", "a@client.example", "--to", &format!("b@{DOMAIN}")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(28), "swaks's code for a refused login: {said}");
    assert!(said.contains("535 5.7.8"), "{said}");
}

#[test]
fn msmtp_trusts_the_certificate_and_its_mail_arrives_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (world, daemon) = start(folder.path(), "");
    let message = message("msmtp", DOTS);
    for (number, (address, starttls)) in
        [(daemon.smtp, "on"), (daemon.smtps, "off")].iter().enumerate()
    {
        let mut msmtp = Command::new(tool("msmtp"))
            .args(["--file=/dev/null", &format!("--host={}", address.ip())])
            .args([&format!("--port={}", address.port()), "--auth=plain"])
            .args([&format!("--user={USER}"), &format!("--passwordeval=echo '{PASSWORD}'")])
            .args(["--tls=on", &format!("--tls-starttls={starttls}")])
            .args([&format!("--tls-trust-file={}", daemon.ca.display())])
            .args(["--from=a@client.example", &format!("b@{DOMAIN}")])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = message.replace("\r\n", "\n");
        msmtp.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = msmtp.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        same(&world.kept(number + 1)[number], message.as_bytes());
    }
}

#[test]
fn python_sends_eight_bit_international_and_to_many() {
    let folder = tempfile::tempdir().unwrap();
    let (world, daemon) = start(folder.path(), "");
    let eight_bit = message("8 bit", "Grüße, мир\r\n.\r\n");
    let file = folder.path().join("message");
    std::fs::write(&file, &eight_bit).unwrap();
    run(Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/client.py"))
        .args([daemon.smtp.to_string(), daemon.smtps.to_string()])
        .arg(&daemon.ca)
        .args([USER, PASSWORD])
        .arg(&file));
    // One by each listener, one with an international mailbox, one to a hundred recipients.
    let kept = world.kept(4);
    assert_eq!(kept.len(), 4, "{kept:#?}");
    for each in &kept {
        same(each, eight_bit.as_bytes());
        assert!(each.envelope.contains("BODY=8BITMIME"), "{}", each.envelope);
    }
    let international = kept.iter().filter(|each| each.envelope.contains("SMTPUTF8"));
    let international: Vec<_> = international.collect();
    assert_eq!(international.len(), 1);
    assert!(international[0].envelope.contains(&format!("RCPT TO:<пётр@{DOMAIN}>")));
    let many = kept.iter().find(|each| each.envelope.matches("RCPT TO:").count() == 100);
    assert!(many.unwrap().envelope.contains(&format!("<r99@{DOMAIN}>")));
}

#[test]
fn nodemailer_reuses_a_connection_and_its_mail_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let (world, daemon) = start(folder.path(), "");
    run(Command::new(tool("node"))
        .env("NODE_PATH", "/usr/share/nodejs")
        .env("NODE_EXTRA_CA_CERTS", &daemon.ca)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/client.js"))
        .args([daemon.smtp.ip().to_string(), daemon.smtp.port().to_string()])
        .args([USER, PASSWORD, "20"]));
    let kept = world.kept(20);
    for each in &kept {
        let text = String::from_utf8(each.body().to_vec()).unwrap();
        assert!(text.contains("nodemailer"), "{text}");
        assert!(String::from_utf8_lossy(&each.message).contains("with ESMTPSA id"));
    }
}

#[test]
fn prometheus_reads_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let (world, daemon) = start(folder.path(), "");
    let (mut client, _) = Client::connect(daemon.smtp).unwrap();
    client.say("HELO client.example\r\n");
    assert!(client.hand_in(1));
    world.each_came_once(&[1]);
    let settled = || daemon.ask("/metrics").1.contains("\nmaily_spool_messages 0\n");
    wait_for("the settlement", settled);
    let expected = [
        "maily_messages_accepted_total=1",
        "maily_recipients_accepted_total=1",
        "maily_recipients_total{delivered}=1",
        "maily_recipients_total{bounced}=0",
        "maily_failures_total{greylisting}=0",
        "maily_attempts_total=1",
        "maily_attempts_tls_total=1",
        "maily_delivery_seconds_count=1",
        "maily_delivery_seconds_bucket{+Inf}=1",
        "maily_refused_total{login}=0",
        "maily_queue_entries{deferred}=0",
        "maily_events_failures_total=0",
    ];
    run(Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peers/metrics.py"))
        .arg(format!("http://{}/metrics", daemon.ops))
        .args(expected));
}
