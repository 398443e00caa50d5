//! What a client session is given to deliver: one message for some recipients of one destination.

use crate::mail::envelope::Recipient;
use crate::mail::envelope::RecipientIndex;
use crate::mail::envelope::Ret;
use crate::mail::envelope::ReversePath;
use crate::smtp::content::Content;

/// One message for some recipients of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Who gets it; at least one.
    pub recipients: Vec<(RecipientIndex, Recipient)>,
    /// `RET=`.
    pub ret: Option<Ret>,
    /// `ENVID=`.
    pub envelope_id: Option<Box<str>>,
    /// Whether SMTPUTF8 was given with it.
    pub smtputf8: bool,
    /// What it says.
    pub content: Content,
}

impl Delivery {
    /// Whether it can only go with SMTPUTF8 (RFC 6531 3.2).
    pub fn needs_smtputf8(&self) -> bool {
        let ascii = self.reverse_path.mailbox().is_none_or(|mailbox| mailbox.is_ascii())
            && self.recipients.iter().all(|(_, to)| to.forward_path.0.is_ascii());
        self.smtputf8 || !ascii
    }
}
