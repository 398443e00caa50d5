//! The world of a dialog: what its words in `with:` mean, for a session and for a daemon.
//!
//! `relay`: the client may relay by its network. `remote`: it is not on this machine; over a socket
//! a PROXY header says so. `starttls`, `implicit`: TLS. `users`: ann may log in, with the password
//! secret. `postmaster`: there is one. `size=`, `recipients=`, `transactions=`, `wrong=`: limits.
//! `full=disk`, `full=queue`: there is no room.

use std::net::IpAddr;
use std::path::Path;

use maily_config::config::Config;
use maily_config::config::receiving::Listener;
use maily_config::config::receiving::ListenerTls;
use maily_config::config::receiving::User;
use maily_config::value::Secret;
use maily_core::smtp::server::admission::Admission;
use maily_core::smtp::server::config::Client;
use maily_core::smtp::server::config::ServerConfig;

/// The daemon's name.
pub(crate) const HOST: &str = "mx.example";
/// Where a remote client comes from.
pub(crate) const REMOTE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// The words of a dialog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World<'a>(pub(crate) &'a str);

impl World<'_> {
    pub(crate) fn has(self, word: &str) -> bool {
        self.0.split(' ').any(|given| given == word)
    }

    fn number<N: std::str::FromStr>(self, word: &str, default: N) -> N {
        let given = |w: &str| w.strip_prefix(word)?.strip_prefix('=')?.parse().ok();
        self.0.split(' ').find_map(given).unwrap_or(default)
    }

    /// The client's address.
    pub(crate) fn client_address(self) -> IpAddr {
        if self.has("remote") { REMOTE } else { IpAddr::from([127, 0, 0, 1]) }
    }

    pub(crate) fn client(self) -> Client {
        Client {
            tls: self.has("implicit"),
            local: !self.has("remote"),
            may_relay: self.has("relay"),
        }
    }

    pub(crate) fn admission(self) -> Admission {
        match () {
            () if self.has("full=disk") => Admission::Disk,
            () if self.has("full=queue") => Admission::Queue,
            () => Admission::Open,
        }
    }

    pub(crate) fn server(self) -> ServerConfig {
        let default = ServerConfig::default();
        ServerConfig {
            open: Vec::new(),
            links: None,
            hostname: HOST.into(),
            postmaster: self.has("postmaster").then(|| "ann@example.net".parse().unwrap()),
            starttls: self.has("starttls"),
            auth: self.has("users"),
            message_octets_max: self.number("size", default.message_octets_max),
            recipients_max: self.number("recipients", default.recipients_max),
            transactions_max: self.number("transactions", default.transactions_max),
            logins_failed_max: self.number("wrong", default.logins_failed_max),
        }
    }

    /// A daemon's configuration with its files in this folder.
    pub(crate) fn config(self, folder: &Path) -> Config {
        let (mut config, server) = (Config::default(), self.server());
        config.node.hostname = HOST.parse().unwrap();
        config.node.postmaster = server.postmaster;
        config.spool.folder = folder.join("spool");
        config.spool.segment_size = 1 << 20;
        config.spool.disk_reserve = if self.has("full=disk") { u64::MAX } else { 1 << 20 };
        config.spool.waiting_max = if self.has("full=queue") { 0 } else { 1_000 };
        config.events.folder = folder.join("events");
        config.events.segment_size = 1 << 20;
        let tls = match () {
            () if self.has("starttls") => ListenerTls::Starttls,
            () if self.has("implicit") => ListenerTls::Implicit,
            () => ListenerTls::None,
        };
        let proxies =
            if self.has("remote") { vec!["127.0.0.0/8".parse().unwrap()] } else { vec![] };
        let address = "127.0.0.1:0".parse().unwrap();
        config.listener = vec![Listener { address, tls, proxy_protocol_from: proxies }];
        config.tls.certificate = Some(folder.join("cert.pem"));
        config.tls.key = Some(folder.join("key.pem"));
        let network = self.client_address().into();
        config.smtp.relay_networks = if self.has("relay") { vec![network] } else { vec![] };
        config.smtp.message_size = server.message_octets_max;
        config.smtp.recipients_max = server.recipients_max as u32;
        config.smtp.transactions_max = server.transactions_max;
        config.smtp.auth_failures_max = server.logins_failed_max;
        if self.has("users") {
            config.user = vec![User {
                name: "ann".to_owned(),
                password_hash: None,
                password: Some(Secret::File(folder.join("password"))),
                tenant: None,
                class: None,
            }];
        }
        // Nobody answers there: what is taken stays in the spool.
        config.dns.servers = vec!["127.0.0.1:1".parse().unwrap()];
        config
    }
}
