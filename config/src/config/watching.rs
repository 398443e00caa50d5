//! What operators watch: the ops listener and the diagnostic log.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::section::section;

section! {
    /// The listener for health checks and metrics. Without an address there is none.
    #[serde(default, deny_unknown_fields)]
    pub struct Ops, "[ops]" {
        /// Where it listens. It asks for no password: keep it on a private address.
        listen: Option<SocketAddr> = None, example "127.0.0.1:9925";
    }
}

section! {
    /// The diagnostic log, on standard error.
    #[serde(default, deny_unknown_fields)]
    pub struct Log, "[log]" {
        /// How a line looks: "text" or "json".
        format: LogFormat = LogFormat::Text, default "text";
        /// What is logged, as tracing filters are written: "info,maily_delivery=debug".
        filter: String = "info".to_owned(), default "info";
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}
