//! Webhooks: where the events of a project are sent, and the secret that signs them.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;

use crate::base62;
use crate::name::Name;

/// A secret that was replaced signs for so long beside the new one.
pub const RETIRING: Duration = Duration::from_secs(86_400);
/// The most webhooks of a project.
pub const WEBHOOKS_MAX: usize = 100;
/// Octets of a secret: 24 to 64 by Standard Webhooks.
pub const SECRET_OCTETS: usize = 32;
/// Octets of an id.
pub(crate) const ID_OCTETS: usize = 8;

/// The id of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookId(Box<str>);

impl WebhookId {
    pub(crate) fn of(octets: &[u8; ID_OCTETS]) -> Self {
        Self(base62::encode(octets).into())
    }

    /// The id with this text, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == base62::digits(ID_OCTETS) && base62::is_base62(text);
        good.then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What signs the events of a webhook. Unlike a token's it must be there in full to sign, so it is
/// kept; it hides itself from logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret(pub [u8; SECRET_OCTETS]);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// What an operator says about a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDraft {
    /// Where events go.
    pub url: Box<str>,
    /// The kinds of events, such as `message.bounced`; all if empty.
    pub events: Vec<Box<str>>,
    /// Whether it waits for now.
    pub paused: bool,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose events it gets.
    pub project: Name,
    /// What the operator says.
    pub draft: WebhookDraft,
    /// What signs.
    pub secret: SigningSecret,
    /// What signs beside it for a while after it was made.
    pub retiring: Option<(SigningSecret, Timestamp)>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as the audit log says it.
    pub created_by: Box<str>,
}

impl Webhook {
    /// All secrets that sign now, the newest first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        let retiring = self.retiring.as_ref().filter(move |(_, until)| now < *until);
        std::iter::once(&self.secret).chain(retiring.map(|(secret, _)| secret))
    }
}
