//! A daemon as a process, with a name server and hops of its own around it.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use maily::dev::dns;
use maily::dev::dns::Zone;

use crate::hop::{Got, Hop};
use crate::process::{Running, wait_for};
use crate::start;

/// What is around a daemon, and the daemon.
pub(crate) struct World {
    folder: tempfile::TempDir,
    smtp: SocketAddr,
    daemon: Running,
    /// Where reports to the sender arrive.
    pub(crate) home: Hop,
    /// `hop.example` and `other.example`: offers no DSN.
    pub(crate) hop: Hop,
    /// `dsn.example`: offers DSN.
    pub(crate) dsn: Hop,
    _runtime: tokio::runtime::Runtime,
}

/// What MAIL and RCPT say: each path with its parameters.
pub(crate) struct Sent<'a> {
    pub(crate) mail: &'a str,
    pub(crate) recipients: &'a [&'a str],
    pub(crate) message: &'a str,
}

/// A message from the sender whose reports come home.
pub(crate) const fn sent<'a>(recipients: &'a [&'a str]) -> Sent<'a> {
    Sent {
        mail: "<sender@home.example>",
        recipients,
        message: "Message-ID: <1@home.example>\r\nSubject: hello\r\n\r\nThe body.\r\n",
    }
}

impl World {
    /// Starts all; `retry` goes into the configuration's table of this name.
    pub(crate) fn start(retry: &str) -> Self {
        let first = Hop::listen(own(1, 0), &["ENHANCEDSTATUSCODES", "SMTPUTF8"]);
        let port = first.address.port();
        let hop = Hop::listen(own(2, port), &["ENHANCEDSTATUSCODES", "SMTPUTF8"]);
        let dsn = Hop::listen(own(3, port), &["ENHANCEDSTATUSCODES", "DSN"]);
        let mut zone = Zone::default();
        for (domain, number) in [
            ("home.example", 1),
            ("hop.example", 2),
            ("other.example", 2),
            ("dsn.example", 3),
            // Nobody listens there.
            ("dead.example", 4),
        ] {
            let host = format!("mx{number}.example");
            zone.mx(domain, 10, &host);
            zone.address(&host, own(number, port).ip());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (dns, serve) = runtime.block_on(dns::bind(zone)).unwrap();
        runtime.spawn(serve);
        let folder = tempfile::tempdir().unwrap();
        let smtp = TcpListener::bind(own(9, 0)).unwrap().local_addr().unwrap();
        let text = format!(
            "[node]\nhostname = \"mail.maily.example\"\n\
             [spool]\nfolder = \"{0}/spool\"\nsegment_size = \"1MiB\"\n\
             [events]\nfolder = \"{0}/events\"\n\
             [[listener]]\naddress = \"{smtp}\"\n\
             [dns]\nservers = [\"{dns}\"]\n\
             [egress]\nport = {port}\nallow_networks = [\"127.0.0.0/8\"]\n\
             [retry]\n{retry}\n",
            folder.path().display(),
        );
        std::fs::write(folder.path().join("maily.toml"), text).unwrap();
        let daemon = start(folder.path(), smtp);
        Self { folder, smtp, daemon, home: first, hop, dsn, _runtime: runtime }
    }

    /// Hands in a message; gives the queue id that the daemon told.
    pub(crate) fn send(&self, sent: &Sent<'_>) -> String {
        let stream = TcpStream::connect(self.smtp).unwrap();
        let mut replies = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        let mut say = |text: String| -> String {
            stream.write_all(text.as_bytes()).unwrap();
            loop {
                let mut line = String::new();
                assert!(replies.read_line(&mut line).unwrap() > 0, "the daemon hung up");
                if line.as_bytes().get(3) == Some(&b' ') {
                    assert!(line.starts_with('2') || line.starts_with('3'), "{text}: {line}");
                    return line;
                }
            }
        };
        say(String::new());
        say("EHLO client.example\r\n".to_owned());
        say(format!("MAIL FROM:{}\r\n", sent.mail));
        for to in sent.recipients {
            say(format!("RCPT TO:{to}\r\n"));
        }
        say("DATA\r\n".to_owned());
        let told = say(format!("{}.\r\n", sent.message));
        say("QUIT\r\n".to_owned());
        told.trim_end().rsplit(' ').next().unwrap().to_owned()
    }

    /// Waits for this many messages at a hop, and for an empty queue: so no more will come.
    pub(crate) fn got(&self, hop: &Hop, count: usize) -> Vec<Got> {
        wait_for("messages at a hop", || hop.got().len() >= count);
        self.wait_until_empty();
        let got = hop.got();
        assert_eq!(got.len(), count, "{got:#?}");
        got
    }

    /// Waits until nothing is in the spool.
    pub(crate) fn wait_until_empty(&self) {
        wait_for("an empty queue", || self.maily("queue", "--spool", &[]).1 == 1);
    }

    /// What `maily trace` prints, and its exit code.
    pub(crate) fn trace(&self, arguments: &[&str]) -> (String, i32) {
        self.maily("trace", "--events", arguments)
    }

    fn maily(&self, command: &str, option: &str, arguments: &[&str]) -> (String, i32) {
        let folder = if command == "queue" { "spool" } else { "events" };
        let output = Command::new(env!("CARGO_BIN_EXE_maily"))
            .arg(command)
            .arg(option)
            .arg(self.folder().join(folder))
            .args(arguments)
            .output()
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
    }

    /// Where the daemon keeps its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks the daemon to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        let pid = self.daemon.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.daemon.0.wait().unwrap().success(), "an ordered end is exit 0");
    }

    /// Ends the daemon as a crash does.
    pub(crate) fn kill(&mut self) {
        self.daemon.0.kill().unwrap();
        self.daemon.0.wait().unwrap();
    }

    /// Starts it again on the same files.
    pub(crate) fn start_again(&mut self) {
        self.daemon = start(self.folder.path(), self.smtp);
    }
}

/// An address that no other test on this machine uses, because the process has it.
fn own(number: u8, port: u16) -> SocketAddr {
    let pid = std::process::id();
    let [_, _, high, low] = pid.to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 128 | high & 127, low, number)), port)
}
