//! What a message says: octets, or a template with one recipient's variables (late binding).

use bytes::Bytes;

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Header and body as they are sent, with CRLF line ends, without dot-stuffing.
    Stored(Bytes),
    /// Rendered at the attempt from a template that the spool also keeps.
    Template {
        /// Which template: its content's SHA-256.
        template: [u8; 32],
        /// This recipient's variables, in an encoding that the renderer knows.
        variables: Bytes,
    },
}

impl Body {
    /// The octets that go into a record's body part.
    pub const fn octets(&self) -> &Bytes {
        match self {
            Self::Stored(octets) | Self::Template { variables: octets, .. } => octets,
        }
    }
}
