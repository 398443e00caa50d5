//! What a server session is told: its name, what it offers, and its limits.

use std::sync::Arc;

use crate::mail::address::Mailbox;
use crate::tracking::links::Links;

/// RFC 4954 4: a line of an AUTH exchange may have 12,288 octets, and its CRLF.
pub const AUTH_LINE_OCTETS_MAX: usize = 12_290;
/// A client that makes more mistakes in a session is sent away.
pub const ERRORS_MAX: u32 = 100;
/// Octets of a line in a message that is already refused, before we no longer wait for its end.
pub const UNENDED_LINE_OCTETS_MAX: usize = 64_000;
/// Commands that bring no message nearer, such as NOOP, from one message to the next.
pub const COMMANDS_IDLE_MAX: u32 = 1_000;

/// What all sessions of a listener share.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The name in greeting and EHLO.
    pub hostname: Box<str>,
    /// Who gets mail for `<Postmaster>`.
    pub postmaster: Option<Mailbox>,
    /// Our own addresses to which everyone may write, such as that in List-Unsubscribe.
    pub open: Vec<Mailbox>,
    /// By what the addresses are known to which reports come back: everyone may write to these too.
    pub links: Option<Arc<Links>>,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// Whether there is anybody who could authenticate.
    pub auth: bool,
    /// Octets of a message (RFC 1870).
    pub message_octets_max: u64,
    /// Recipients of a message; at least 100 (RFC 5321 4.5.3.1.8).
    pub recipients_max: usize,
    /// Messages of a session.
    pub transactions_max: u32,
    /// Failed logins of a session.
    pub logins_failed_max: u32,
}

impl Default for ServerConfig {
    /// 50 MiB, 1,000 recipients, 10,000 messages, 5 failed logins.
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            postmaster: None,
            open: Vec::new(),
            links: None,
            starttls: false,
            auth: false,
            message_octets_max: 50 << 20,
            recipients_max: 1_000,
            transactions_max: 10_000,
            logins_failed_max: 5,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// TLS is there from the start.
    pub tls: bool,
    /// It is on this machine: AUTH may go in clear.
    pub local: bool,
    /// Its network may relay without authentication. Others reach only the postmaster.
    pub may_relay: bool,
}
