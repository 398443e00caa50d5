//! The daemon as an operator runs it: a process with a configuration file.

use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use argon2::Argon2;
use argon2::PasswordHasher;

use crate::support::process::Running;
use crate::support::process::free;
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
    _process: Running,
}

impl Daemon {
    /// Starts one in `folder` that asks this name server and delivers to port `next`. Mail needs a
    /// password, unless it comes from `relay_networks`; `more` is added to the configuration.
    pub(crate) fn start(folder: &Path, dns: SocketAddr, next: u16, more: &str) -> Self {
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
        let config = folder.join("maily.toml");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_maily"))
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let mut process = Running(child);
        wait_for("the daemon to listen", || {
            if let Some(status) = process.0.try_wait().unwrap() {
                let said = std::fs::read_to_string(folder.join("log")).unwrap();
                panic!("the daemon ended with {status}: {said}");
            }
            TcpStream::connect(smtps).is_ok()
        });
        Self { smtp, smtps, ops, ca, _process: process }
    }
}

/// Makes `cert.pem` and `key.pem` in a folder, for a name and an address.
fn certificate(folder: &Path, name: &str, address: SocketAddr) -> PathBuf {
    let names = [name.to_owned(), address.ip().to_string()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let path = folder.join("cert.pem");
    std::fs::write(&path, made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    path
}
