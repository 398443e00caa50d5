//! The daemon as an operator runs it: a process with a configuration file.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use argon2::Argon2;
use argon2::PasswordHasher;

use crate::support::process::Running;
use crate::support::process::free;
use crate::support::process::run;
use crate::support::process::wait_for;

/// Who may log in.
pub(crate) const USER: &str = "newsletter";
/// The password.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A running daemon.
pub(crate) struct Daemon {
    /// SMTP with STARTTLS.
    pub(crate) smtp: SocketAddr,
    /// SMTP under TLS from the first octet.
    pub(crate) smtps: SocketAddr,
    /// Health and metrics.
    pub(crate) ops: SocketAddr,
    /// The certificate that clients are to trust.
    pub(crate) ca: PathBuf,
    folder: PathBuf,
    process: Running,
}

impl Daemon {
    /// Starts one in `folder` that asks this name server and delivers to port `next`. Mail needs a
    /// password, unless it comes from `relay_networks`; `more` is added to the configuration.
    pub(crate) fn start(folder: &Path, dns: SocketAddr, next: u16, more: &str) -> Self {
        Self::start_in(folder, dns, next, more, &[])
    }

    /// The same with more variables in its environment.
    pub(crate) fn start_in(
        folder: &Path,
        dns: SocketAddr,
        next: u16,
        more: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let (smtp, smtps, ops) = (free(), free(), free());
        let ca = certificate(folder, "mail.maily.example", smtp);
        let hash = Argon2::default().hash_password(PASSWORD.as_bytes()).unwrap().to_string();
        let text = format!(
            "[node]\nhostname = \"mail.maily.example\"\n\
             [spool]\nfolder = \"{0}/spool\"\n[events]\nfolder = \"{0}/events\"\n\
             [[listener]]\naddress = \"{smtp}\"\ntls = \"starttls\"\n\
             [[listener]]\naddress = \"{smtps}\"\ntls = \"implicit\"\n\
             [tls]\ncertificate = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n\
             [[user]]\nname = \"{USER}\"\npassword_hash = \"{hash}\"\n\
             [dns]\nservers = [\"{dns}\"]\n\
             [egress]\nport = {next}\nallow_networks = [\"127.0.0.0/8\"]\n\
             [retry]\ndelay_min = \"500ms\"\ndelay_max = \"2s\"\n\
             [ops]\nlisten = \"{ops}\"\n{more}\n",
            folder.display(),
        );
        std::fs::write(folder.join("maily.toml"), text).unwrap();
        let process = spawn(folder, environment);
        let mut this = Self { smtp, smtps, ops, ca, folder: folder.to_owned(), process };
        this.wait_until_it_listens();
        this
    }

    /// Starts it again, with the files that it left.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(&self.folder, &[]);
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&mut self) {
        wait_for("the daemon to listen", || {
            self.must_run();
            TcpStream::connect(self.smtps).is_ok()
        });
    }

    /// Fails with what it said if it has ended.
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.process.0.try_wait().unwrap() {
            panic!("the daemon ended with {status}: {}", self.log());
        }
    }

    /// Another file of its configuration, read after the first.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let beside = self.folder.join("conf.d");
        std::fs::create_dir_all(&beside).unwrap();
        std::fs::write(beside.join(name), text).unwrap();
    }

    /// What it has said on standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Sends it a signal, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        run(Command::new("kill").args([&format!("-{name}"), &pid]));
    }

    /// Has it read its configuration; waits until the log holds so many lines with these words.
    pub(crate) fn hang_up(&self, words: &str, times: usize) {
        self.signal("HUP");
        wait_for(words, || self.log().matches(words).count() >= times);
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.process.0.wait().unwrap()
    }

    /// Asks its ops listener; gives status and body.
    pub(crate) fn ask(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.ops).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

fn spawn(folder: &Path, environment: &[(&str, &str)]) -> Running {
    // What it says goes on at the end of what it said before a restart.
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maily"));
    command.arg("serve").arg("--config").arg(folder.join("maily.toml"));
    command.envs(environment.iter().copied());
    Running(command.stderr(Stdio::from(log)).spawn().unwrap())
}

/// Makes `cert.pem` and `key.pem` in a folder, for a name and an address.
pub(crate) fn certificate(folder: &Path, name: &str, address: SocketAddr) -> PathBuf {
    let names = [name.to_owned(), address.ip().to_string()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let path = folder.join("cert.pem");
    std::fs::write(&path, made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    path
}
