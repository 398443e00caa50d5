//! Whom a message is for, and why it is not sent to them after all.

use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_core::mail::outcome::Outcome;
use maily_core::render::mailing::Mailing;
use maily_spool::submission::Stored;

/// Whom a message is for, and of what it is one.
#[derive(Clone, Copy, Debug)]
pub struct Addressed<'a> {
    /// Whose it is.
    pub mailing: &'a Mailing,
    /// The message.
    pub stored: &'a Stored,
    /// Its recipient.
    pub to: &'a Mailbox,
}

/// Why a message is not sent, though nothing is wrong with it. Nobody is told by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The recipient must not be written to.
    Suppressed(SuppressionReason),
    /// The sender took it back, or a plugin does not want it sent: who, and why.
    Cancelled(Box<str>),
}

/// Why there is no message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// It is not wanted any more.
    Dropped(Dropped),
    /// A plugin wants somebody to look at it first.
    Held(Outcome),
    /// It cannot be written, now or ever.
    Failed(Outcome),
}

/// Who may still say no when a message's turn has come.
pub trait Veto: Send + Sync {
    /// Why this message is not sent after all; none if it is.
    fn why_not(&self, addressed: Addressed<'_>) -> Option<Dropped>;
    /// Why no mail of this project is sent to them, whatever it is; none if some is. Must not
    /// block.
    fn why_nobody(&self, project: &str, to: &Mailbox) -> Option<SuppressionReason>;
}
