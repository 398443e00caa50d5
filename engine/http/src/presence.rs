//! Who is at the other end of a connection.

use std::net::IpAddr;

/// The other end, as the kernel says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A client somewhere.
    Remote(IpAddr),
    /// A process of this machine, which the file's permissions let in (SO_PEERCRED).
    Local {
        /// Its effective user.
        uid: u32,
    },
}

impl Presence {
    /// As the audit log says it.
    pub fn name(self) -> String {
        match self {
            Self::Remote(address) => address.to_string(),
            Self::Local { .. } => "local".to_owned(),
        }
    }
}
