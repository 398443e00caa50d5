//! How programs, operators and recipients reach us by HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use maily_core::mail::address::Domain;
use maily_core::mail::address::Mailbox;

use crate::section::section;
use crate::value;
use crate::value::BaseUrl;
use crate::value::Rate;

section! {
    /// What operators registered: projects, tokens, templates; and the audit log.
    #[serde(default, deny_unknown_fields)]
    pub struct Registry, "[registry]" {
        /// The folder. Whoever can read it can act as anyone: it is for the daemon alone. It is
        /// made when a listener of the API is switched on, or by maily project and maily token.
        folder: PathBuf = "/var/lib/maily/registry".into(), default "/var/lib/maily/registry";
    }
}

section! {
    /// The listeners for HTTP. Each is switched on by itself.
    #[serde(default, deny_unknown_fields)]
    pub struct Http, "[http]" {
        /// The most connections at once, of all of them.
        connections_max: u32 = 2_000, default 2000;
        /// The most connections at once from one address.
        connections_per_address_max: u32 = 200, default 200;
        /// For recipients: tracking and unsubscribing.
        public: Public = Public::default(), table {};
        /// For programs and people with a token.
        api: Api = Api::default(), table {};
        /// For operators on this machine.
        admin: Admin = Admin::default(), table {};
        /// What events are sent to.
        webhooks: Webhooks = Webhooks::default(), table {};
    }
}

section! {
    /// For recipients: tracking and unsubscribing. Without an address there is none.
    #[serde(default, deny_unknown_fields)]
    pub struct Public, "[http.public]" {
        /// Where it listens.
        listen: Option<SocketAddr> = None, example "192.0.2.1:443";
        /// PEM file with the certificate and then its issuers. Without one it speaks plain HTTP,
        /// for a proxy that does TLS.
        certificate: Option<PathBuf> = None, example "/etc/maily/tls/links.pem";
        /// PEM file with the private key.
        key: Option<PathBuf> = None, example "/etc/maily/tls/links.key";
        /// How recipients reach it: what links in mail begin with. Without it mail has no links of
        /// ours: nothing is tracked, and there is no List-Unsubscribe by HTTPS.
        base_url: Option<BaseUrl> = None, example "https://links.example.net";
        /// Our own address for unsubscribing by mail, beside the link: it stands in
        /// List-Unsubscribe, and its domain's MX must lead here. Everyone may write to it.
        unsubscribe_mailbox: Option<Mailbox> = None, example "unsubscribe@links.example.net";
    }
}

section! {
    /// What comes back: reports of hosts that had taken a message first, and complaints. It takes
    /// http.public.base_url, whose keys sign where reports come back to.
    #[serde(default, deny_unknown_fields)]
    pub struct Bounces, "[bounces]" {
        /// Mail that is written late (by HTTP, or as a template) is sent with a return path in this
        /// domain, one for each recipient; its MX must lead here, and its SPF record must name the
        /// addresses that we send from. Without it reports go to the sender.
        domain: Option<Domain> = None, example "b.example.net";
        /// Our own address for complaints (RFC 5965), to register with feedback loops. Everyone may
        /// write to it; a complaint counts only if it holds a link or return path of ours.
        complaints_mailbox: Option<Mailbox> = None, example "fbl@b.example.net";
        /// The rules that say what replies and reports mean; those that ship without it. `maily
        /// bounces classify --rules` tries one. Read anew on reload.
        rules: Option<PathBuf> = None, example "/etc/maily/bounces.rules";
    }
}

section! {
    /// For programs and people with a token: /openapi.json says what it can, /docs shows it.
    /// Without an address there is none.
    #[serde(default, deny_unknown_fields)]
    pub struct Api, "[http.api]" {
        /// Where it listens. Without a certificate it must be an address of this machine alone.
        listen: Option<SocketAddr> = None, example "127.0.0.1:8025";
        /// PEM file with the certificate and then its issuers.
        certificate: Option<PathBuf> = None, example "/etc/maily/tls/fullchain.pem";
        /// PEM file with the private key.
        key: Option<PathBuf> = None, example "/etc/maily/tls/key.pem";
        /// How often each token may ask; as many as this may come at once.
        requests: Rate = Rate::per_second(1_000), default "1000/s";
    }
}

section! {
    /// For operators on this machine: the same routes on a Unix socket. Whoever can open it, its
    /// owner and its group, owns the daemon. Without a path there is none.
    #[serde(default, deny_unknown_fields)]
    pub struct Admin, "[http.admin]" {
        /// The file of the socket. maily project and maily token use it.
        listen: Option<PathBuf> = None, example "/run/maily/admin.sock";
    }
}

section! {
    /// How events are sent to webhooks, which projects register.
    #[serde(default, deny_unknown_fields)]
    pub struct Webhooks, "[http.webhooks]" {
        /// Private, loopback and other special networks to which events may be sent all the same.
        #[serde(deserialize_with = "value::networks")]
        allow_networks: Vec<IpNet> = Vec::new(), default [];
        /// The pause after a failure; each is twice as long as the one before.
        #[serde(deserialize_with = "value::duration")]
        delay_min: Duration = Duration::from_secs(5), default "5s";
        /// The longest pause.
        #[serde(deserialize_with = "value::duration")]
        delay_max: Duration = Duration::from_secs(3_600), default "1h";
        /// An event that was not taken for so long is set aside; the next one comes.
        #[serde(deserialize_with = "value::duration")]
        give_up_after: Duration = Duration::from_secs(86_400), default "1d";
    }
}
