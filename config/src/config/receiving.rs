//! How mail comes in: who we are, where we listen, who may hand us mail and how much.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use ipnet::Ipv4Net;
use maily_core::mail::address::Domain;
use maily_core::mail::address::Mailbox;
use serde::Deserialize;

use crate::section::section;
use crate::value;
use crate::value::PasswordHash;
use crate::value::Secret;

section! {
    /// Who this daemon is.
    #[serde(default, deny_unknown_fields)]
    pub struct Node, "[node]" {
        /// The name in the greeting, in EHLO and in Received fields. Set it: a public name whose
        /// address points back to it.
        hostname: Domain = localhost(), default "localhost";
        /// Tells the daemons of one house apart; it is part of each message id.
        id: u16 = 0, default 0;
        /// Where mail to the postmaster goes (RFC 5321 4.5.1): to <postmaster> and to postmaster at
        /// the hostname, from anyone. If it is not set, there is no postmaster.
        postmaster: Option<Mailbox> = None, example "postmaster@example.net";
    }
}

section! {
    /// Where clients connect. Write one table for each; the first one replaces the default.
    #[serde(deny_unknown_fields)]
    pub struct Listener, "[[listener]]" {
        /// Address and port. Must be given.
        address: SocketAddr = loopback(), default "127.0.0.1:25";
        /// "none"; "starttls", offered; or "implicit", from the first octet on (RFC 8314).
        #[serde(default)]
        tls: ListenerTls = ListenerTls::None, default "none";
        /// Networks of load balancers, whose connections must open with a PROXY header of version
        /// 2. Only theirs may.
        #[serde(default, deserialize_with = "value::networks")]
        proxy_protocol_from: Vec<IpNet> = Vec::new(), default [];
    }
}

section! {
    /// The certificate that listeners show. Both or none.
    #[serde(default, deny_unknown_fields)]
    pub struct Tls, "[tls]" {
        /// PEM file with the certificate and then its issuers.
        certificate: Option<PathBuf> = None, example "/etc/maily/tls/fullchain.pem";
        /// PEM file with the private key.
        key: Option<PathBuf> = None, example "/etc/maily/tls/key.pem";
    }
}

section! {
    /// What SMTP clients may do.
    #[serde(default, deny_unknown_fields)]
    pub struct Smtp, "[smtp]" {
        /// Networks that may send to anyone without a password. A network of prefix 0 is refused.
        #[serde(deserialize_with = "value::networks")]
        relay_networks: Vec<IpNet> = loopbacks(), default ["127.0.0.0/8", "::1"];
        /// The largest message (RFC 1870).
        #[serde(deserialize_with = "value::size")]
        message_size: u64 = 50 << 20, default "50MiB";
        /// How much of messages that are being received may be in memory, over all sessions. From
        /// half of it on, new ones are refused for now (452). At least twice message_size.
        #[serde(deserialize_with = "value::size")]
        receiving_size: u64 = 256 << 20, default "256MiB";
        /// The most recipients of one message. RFC 5321 4.5.3.1.8 asks for at least 100.
        recipients_max: u32 = 1_000, default 1000;
        /// The most messages in one session.
        transactions_max: u32 = 10_000, default 10_000;
        /// The most sessions at once.
        sessions_max: u32 = 2_000, default 2000;
        /// The most sessions at once from one address.
        sessions_per_address_max: u32 = 200, default 200;
        /// A session without a whole command for so long is closed, and one that is silent for so
        /// long inside a message (RFC 5321 4.5.3.2.7).
        #[serde(deserialize_with = "value::duration")]
        idle_timeout: Duration = Duration::from_secs(300), default "5m";
        /// A message must have been received within this time.
        #[serde(deserialize_with = "value::duration")]
        data_timeout: Duration = Duration::from_secs(600), default "10m";
        /// After so many wrong passwords the session is closed.
        auth_failures_max: u32 = 3, default 3;
    }
}

section! {
    /// Who may authenticate. Write one table for each, with password_hash or password.
    #[serde(deny_unknown_fields)]
    pub struct User, "[[user]]" {
        /// The name that the client gives. Must be given.
        name: String = String::new(), example "newsletter";
        /// The argon2 hash of the password, in PHC form.
        #[serde(default)]
        password_hash: Option<PasswordHash> = None,
            example "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";
        /// Or where the password lies: { file = "/path" } or { env = "NAME" }.
        #[serde(default)]
        password: Option<Secret> = None, example { env = "MAILY_NEWSLETTER" };
        /// The tenant whose mail this is; the user's name if not set.
        #[serde(default)]
        tenant: Option<String> = None, example "example";
        /// "transactional", if one person waits for each message, as if not set; or "bulk". A
        /// field X-Maily-Class in a message can make it bulk, but not the other way round.
        #[serde(default)]
        class: Option<UserClass> = None, example "bulk";
    }
}

/// How urgent a user's mail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserClass {
    /// One person waits for each message.
    Transactional,
    /// Mailings.
    Bulk,
}

/// How a listener does TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerTls {
    /// Not at all.
    #[default]
    None,
    /// When the client asks (RFC 3207).
    Starttls,
    /// From the first octet on (RFC 8314).
    Implicit,
}

/// The name of a node that was given none.
pub(crate) fn localhost() -> Domain {
    match Domain::parse("localhost") {
        Ok(name) => name,
        Err(error) => unreachable!("localhost is a domain: {error}"),
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 25))
}

fn loopbacks() -> Vec<IpNet> {
    let four = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    vec![four.into(), IpNet::from(std::net::IpAddr::from(Ipv6Addr::LOCALHOST))]
}
