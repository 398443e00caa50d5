//! Two daemons: one relays through the other, with verified TLS and a password (RFC 4954).
#![expect(clippy::unwrap_used, reason = "a test that cannot do its part must fail")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use maily::clock::WallClock;
use maily::sink::behaviour::Behaviour;
use maily::sink::ledger::Ledger;
use maily::sink::session::Sink;
use maily::wire::Daemon;
use maily_config::load;
use maily_core::clock::Clock;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Writes `NAME-ca.pem`, and `NAME.pem` and `NAME.key` for 127.0.0.1, signed with it.
fn certificates(folder: &Path, name: &str) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let write = |suffix: &str, text: String| {
        std::fs::write(folder.join(format!("{name}{suffix}")), text).unwrap();
    };
    write("-ca.pem", authority.pem());
    write(".pem", leaf.pem());
    write(".key", key.serialize_pem());
}

/// A daemon of this name, with its files in a folder of its own.
async fn daemon(folder: &Path, name: &str, rest: &str) -> Daemon {
    let text = format!(
        "[node]\nhostname = \"{name}.example\"\n\
         [spool]\nfolder = \"{0}/{name}/spool\"\nsegment_size = \"1MiB\"\n\
         [events]\nfolder = \"{0}/{name}/events\"\n\
         [egress]\nallow_networks = [\"127.0.0.0/8\"]\nca_file = \"{0}/right-ca.pem\"\n\
         [retry]\ndelay_min = \"1s\"\ndelay_max = \"2s\"\n{rest}",
        folder.display(),
    );
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    let config = load::load(&path).unwrap();
    Daemon::start(&config, Arc::new(WallClock::start()) as Arc<dyn Clock>).await.unwrap()
}

async fn sink() -> (SocketAddr, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let sink = Sink {
        name: "sink.example".into(),
        behaviour: Behaviour::Accept,
        ledger: Arc::clone(&ledger),
        tls: None,
        clock: Arc::new(WallClock::start()),
        remember: true,
    };
    let (address, serve) = sink.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    tokio::spawn(serve);
    (address, ledger)
}

fn hand_in(address: SocketAddr, number: u32) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let message = format!("Message-ID: <{number}@client.example>\r\n\r\nhello\r\n.\r\n");
    let rcpt = format!("RCPT TO:<r{number}@d.example>\r\n");
    for text in ["", "HELO client\r\n", "MAIL FROM:<>\r\n", &rcpt, "DATA\r\n", &message] {
        stream.write_all(text.as_bytes()).unwrap();
        let mut line = String::new();
        replies.read_line(&mut line).unwrap();
        assert!(line.starts_with('2') || line.starts_with('3'), "{text}: {line}");
    }
}

/// The daemon that hands on to the relay, with this password and this much trust.
async fn front(folder: &Path, name: &str, relay: SocketAddr, route: &str) -> Daemon {
    let rest = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\ndomain = \"*\"\nhost = \"{relay}\"\ntls = \"verify\"\n{route}"
    );
    daemon(folder, name, &rest).await
}

async fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited a minute for {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_through_a_relay_only_with_its_password_and_a_certificate_we_trust() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ["right", "other"].iter().for_each(|name| certificates(folder, name));
    std::fs::write(folder.join("password"), "correct horse\n").unwrap();
    std::fs::write(folder.join("wrong"), "incorrect horse\n").unwrap();
    let (sink, ledger) = sink().await;
    let relay = |certificate: &str| {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"starttls\"\n\
             [tls]\ncertificate = \"{0}/{certificate}.pem\"\nkey = \"{0}/{certificate}.key\"\n\
             [smtp]\nrelay_networks = []\n\
             [[user]]\nname = \"maily\"\npassword = {{ file = \"{0}/password\" }}\n\
             [[route]]\ndomain = \"*\"\nhost = \"{sink}\"\n",
            folder.display(),
        )
    };
    let trusted = daemon(folder, "trusted", &relay("right")).await;
    let strange = daemon(folder, "strange", &relay("other")).await;
    let login = |file: &str| {
        format!("user = \"maily\"\npassword = {{ file = \"{}/{file}\" }}\n", folder.display())
    };
    let cases = [
        ("good", &trusted, login("password"), true),
        ("badpassword", &trusted, login("wrong"), false),
        ("nopassword", &trusted, String::new(), false),
        ("untrusted", &strange, login("password"), false),
    ];
    for (number, (name, relay, route, passes)) in (0..).zip(cases) {
        let front = front(folder, name, relay.smtp[0], &route).await;
        hand_in(front.smtp[0], number);
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = Arc::clone(&front.counters);
        wait_for(name, || {
            read(&counters.delivered) + read(&counters.deferred) + read(&counters.bounced) > 0
        })
        .await;
        assert_eq!(read(&front.counters.delivered) > 0, passes, "{name}");
        front.stop(Duration::from_secs(5)).await.unwrap();
    }
    wait_for("the sink", || ledger.taken().len() == 1).await;
    let taken = ledger.taken();
    assert!(taken.keys().all(|(id, _)| &**id == "<0@client.example>"), "{taken:?}");
}
