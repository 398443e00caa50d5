//! A private Postfix, on a port of its own, that starts and ends with its test. It asks no name
//! server.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::support::client::Client;
use crate::support::daemon::certificate;
use crate::support::process::Running;
use crate::support::process::free;
use crate::support::process::wait_for;
use crate::support::tools::tool;

/// Who owns the mailbox: nobody.
const NOBODY: u32 = 65_534;

/// The services of a Postfix that receives, relays and fills a mailbox; none in a chroot.
const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// The number of a user of this machine.
fn user(name: &str) -> u32 {
    let told = Command::new("id").args(["-u", name]).output().unwrap();
    String::from_utf8(told.stdout).unwrap().trim().parse().unwrap()
}

/// One that runs.
pub(crate) struct Postfix {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    folder: PathBuf,
    _process: Running,
}

impl Postfix {
    /// Starts one below `folder`; `more` is added to its main.cf.
    pub(crate) fn start(folder: &Path, more: &str) -> Self {
        // Its processes are not root, and must get into their folders.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (folder, address) = (folder.join("postfix"), free());
        for part in ["etc", "queue", "data", "mail", "tls"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        chown(folder.join("mail"), Some(NOBODY), Some(NOBODY)).unwrap();
        // Its master gives up root before it writes there.
        chown(folder.join("data"), Some(user("postfix")), None).unwrap();
        certificate(&folder.join("tls"), "mx.sink.example", address);
        let main = format!(
            "compatibility_level = 3.6\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             meta_directory = /etc/postfix\n\
             queue_directory = {0}/queue\ndata_directory = {0}/data\n\
             maillog_file = {0}/log\nmaillog_file_prefixes = {0}\n\
             inet_interfaces = loopback-only\ninet_protocols = ipv4\n\
             myhostname = postfix.sink.example\nmydestination =\nmynetworks = 127.0.0.0/8\n\
             smtpd_relay_restrictions = permit_mynetworks, reject\n\
             smtpd_peername_lookup = no\ndisable_dns_lookups = yes\n\
             smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\n\
             smtpd_tls_cert_file = {0}/tls/cert.pem\nsmtpd_tls_key_file = {0}/tls/key.pem\n\
             virtual_mailbox_base = {0}/mail\nvirtual_mailbox_maps = static:all/\n\
             virtual_uid_maps = static:{NOBODY}\nvirtual_gid_maps = static:{NOBODY}\n{more}\n",
            folder.display(),
        );
        std::fs::write(folder.join("etc/main.cf"), main).unwrap();
        let listen = format!("{address} inet n - n - - smtpd\n{SERVICES}");
        std::fs::write(folder.join("etc/master.cf"), listen).unwrap();
        let child = Command::new(tool("postfix"))
            .arg("-c")
            .arg(folder.join("etc"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("said")).unwrap())
            .spawn()
            .unwrap();
        let mut process = Running(child);
        wait_for("postfix to listen", || {
            let ended = process.0.try_wait().unwrap();
            let read = |name| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(ended.is_none(), "postfix: {ended:?}\n{}\n{}", read("said"), read("log"));
            Client::connect(address).is_some()
        });
        Self { address, folder, _process: process }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits for this many messages in its mailbox; gives all with the line ends of mail.
    pub(crate) fn mailbox(&self, count: usize) -> Vec<Vec<u8>> {
        let new = self.folder.join("mail/all/new");
        let files = || std::fs::read_dir(&new).into_iter().flatten().map(|file| file.unwrap());
        for _ in 0..1_200 {
            if files().count() >= count {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(files().count(), count, "{}", self.log());
        let read = |file: std::fs::DirEntry| {
            let text = std::fs::read(file.path()).unwrap();
            let lines = text.split(|octet| *octet == b'\n').collect::<Vec<_>>();
            lines.join(b"\r\n".as_slice())
        };
        files().map(read).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("postfix said:\n{}", self.log());
        }
        let mut stop = Command::new(tool("postfix"));
        stop.arg("-c").arg(self.folder.join("etc")).arg("stop");
        // It may have ended by itself; what is left is killed with its process.
        let _ended = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
