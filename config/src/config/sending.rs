//! How mail goes out: names, connections, routes, limits, retries and signatures.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use maily_core::mail::address::Domain;
use serde::Deserialize;

use crate::config::receiving::localhost;
use crate::section::section;
use crate::value;
use crate::value::NextHops;
use crate::value::Rate;
use crate::value::RouteDomain;
use crate::value::Secret;

section! {
    /// How names are looked up.
    #[serde(default, deny_unknown_fields)]
    pub struct Dns, "[dns]" {
        /// Resolvers, each with its port. None: those of the system.
        servers: Vec<SocketAddr> = Vec::new(), default [];
        /// How long one question may take.
        #[serde(deserialize_with = "value::duration")]
        timeout: Duration = Duration::from_secs(5), default "5s";
    }
}

section! {
    /// How mail is sent.
    #[serde(default, deny_unknown_fields)]
    pub struct Egress, "[egress]" {
        /// The port of mail exchangers.
        port: u16 = 25, default 25;
        /// Private, loopback and other special networks to which mail may be sent all the same.
        #[serde(deserialize_with = "value::networks")]
        allow_networks: Vec<IpNet> = Vec::new(), default [];
        /// How long a connection may take to open.
        #[serde(deserialize_with = "value::duration")]
        connect_timeout: Duration = Duration::from_secs(30), default "30s";
        /// How long a reply may take. Where RFC 5321 4.5.3.2 has a shorter time, that one holds.
        #[serde(deserialize_with = "value::duration")]
        reply_timeout: Duration = Duration::from_secs(600), default "10m";
        /// How long an open connection waits for another message.
        #[serde(deserialize_with = "value::duration")]
        idle_timeout: Duration = Duration::from_secs(5), default "5s";
        /// The most connections in all, to whatever sites.
        connections_max: u32 = 1_000, default 1000;
        /// "off"; "may", when offered; "require"; or "verify", with a valid certificate.
        tls: EgressTls = EgressTls::May, default "may";
        /// PEM file with issuers to trust instead of those of the system.
        ca_file: Option<PathBuf> = None, example "/etc/maily/tls/ca.pem";
    }
}

section! {
    /// An address from which mail is sent. Write one table for each.
    #[serde(deny_unknown_fields)]
    pub struct Source, "[[source]]" {
        /// Its name in logs and events. Must be given.
        name: String = String::new(), example "out1";
        /// The local address. None: the system chooses.
        #[serde(default)]
        address: Option<IpAddr> = None, example "192.0.2.1";
        /// The name in EHLO. None: node.hostname.
        #[serde(default)]
        ehlo: Option<Domain> = None, example "out1.example.net";
        /// Its share of the mail of its pools, beside the weights of the others. None: 1.
        #[serde(default)]
        weight: Option<u32> = None, example 3;
    }
}

section! {
    /// Sources that stand in for one another. Write one table for each. The pool "default" is for
    /// all mail that no other is for; where it is not given it has all sources.
    #[serde(deny_unknown_fields)]
    pub struct Pool, "[[pool]]" {
        /// Its name. Must be given.
        name: String = String::new(), example "marketing";
        /// The names of its sources; at least one. Must be given.
        sources: Vec<String> = Vec::new(), example ["out1"];
        /// The tenants whose mail goes by it. A tenant is named in one pool at most.
        #[serde(default)]
        tenants: Vec<String> = Vec::new(), example ["shop"];
    }
}

section! {
    /// Where and how the mail of some domains is sent. Write one table for each.
    #[serde(deny_unknown_fields)]
    pub struct Route, "[[route]]" {
        /// The domain; ".example.net" for all below it; or "*" for all that have no route of their
        /// own. Must be given.
        domain: RouteDomain = RouteDomain::Any, example "*";
        /// The name or address of the next hop, with ":port" if it has its own; or a list of them,
        /// tried in that order. None: the domain's mail exchangers.
        #[serde(default)]
        host: NextHops = NextHops::default(), example ["a.example.net", "b.example.net:2525"];
        /// The port of hosts that have none of their own. None: egress.port.
        #[serde(default)]
        port: Option<u16> = None, example 587;
        /// As egress.tls, which holds where this is not given.
        #[serde(default)]
        tls: Option<EgressTls> = None, example "verify";
        /// The name to authenticate with: under TLS, or to a host on this machine.
        #[serde(default)]
        user: Option<String> = None, example "maily";
        /// Where the password lies: { file = "/path" } or { env = "NAME" }.
        #[serde(default)]
        password: Option<Secret> = None, example { file = "/etc/maily/secrets/relay" };
    }
}

section! {
    /// How much is sent to one site from one source. A site is a set of mail exchangers. Within a
    /// rate, as many may go at once as a tenth of a second allows, and always one.
    #[serde(default, deny_unknown_fields)]
    pub struct Limits, "[limits]" {
        /// The most connections.
        connections_max: u32 = 20, default 20;
        /// The connections to begin with; more follow as they succeed.
        connections_initial: u32 = 5, default 5;
        /// The most messages in a time. None: no limit.
        message_rate: Option<Rate> = None, example "100/s";
        /// The most new connections in a time. None: no limit.
        connection_rate: Option<Rate> = None, example "1000/h";
    }
}

section! {
    /// Limits of one site, where they differ from [limits]. Write one table for each.
    #[serde(deny_unknown_fields)]
    pub struct Site, "[[site]]" {
        /// The site, or a domain whose mail exchangers are the site: for the latter, the limits
        /// hold from when that domain is first looked up. Must be given.
        r#match: String = String::new(), example "example.com";
        /// The most connections.
        #[serde(default)]
        connections_max: Option<u32> = None, example 10;
        /// The most messages in a time.
        #[serde(default)]
        message_rate: Option<Rate> = None, example "10/s";
        /// The most new connections in a time.
        #[serde(default)]
        connection_rate: Option<Rate> = None, example "60/m";
    }
}

section! {
    /// When a deferred message is tried again: delay_min <= delay_max < expire_after.
    #[serde(default, deny_unknown_fields)]
    pub struct Retry, "[retry]" {
        /// The wait after the first attempt.
        #[serde(deserialize_with = "value::duration")]
        delay_min: Duration = Duration::from_secs(300), default "5m";
        /// The longest wait.
        #[serde(deserialize_with = "value::duration")]
        delay_max: Duration = Duration::from_secs(4 * 3_600), default "4h";
        /// Each wait is so many times the one before.
        factor: f64 = 2.0, default 2.0;
        /// The part of a wait that is left to chance, from 0 to 1.
        jitter: f64 = 0.2, default 0.2;
        /// After this time a message is given up (RFC 5321 4.5.4.1).
        #[serde(deserialize_with = "value::duration")]
        expire_after: Duration = Duration::from_secs(4 * 86_400), default "4d";
        /// After this time the author is told, once, that the message still waits; of bulk mail
        /// only if NOTIFY=DELAY asks for it.
        #[serde(deserialize_with = "value::duration")]
        delay_notice_after: Duration = Duration::from_secs(4 * 3_600), default "4h";
        /// What becomes of a message whose last reply was lost: "retry", perhaps twice delivered;
        /// or "settle", perhaps lost.
        in_doubt: InDoubt = InDoubt::Retry, default "retry";
    }
}

section! {
    /// Which mail is signed, and with which key (RFC 6376). Write one table for each. A domain may
    /// have several keys, best one RSA and one Ed25519: each makes a signature.
    #[serde(deny_unknown_fields)]
    pub struct Dkim, "[[dkim]]" {
        /// The domain of the author in From, and of the signature. It also signs for the domains
        /// below it that have no key of their own. Must be given.
        domain: Domain = localhost(), example "example.net";
        /// The selector: the key is published at selector._domainkey.domain. Must be given.
        selector: String = String::new(), example "s1";
        /// PEM file with the private key: RSA of 2048 to 4096 bits, or Ed25519. Must be given.
        key: PathBuf = PathBuf::new(), example "/etc/maily/dkim/example.net.pem";
    }
}

/// How mail is protected on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EgressTls {
    /// Never.
    Off,
    /// When the peer offers it, whatever its certificate (RFC 7435).
    May,
    /// Always, whatever the certificate.
    Require,
    /// Always, with a certificate that is valid for the peer's name.
    Verify,
}

/// What becomes of a message whose last reply was lost (RFC 1047).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InDoubt {
    /// It is tried again.
    Retry,
    /// It counts as delivered.
    Settle,
}
