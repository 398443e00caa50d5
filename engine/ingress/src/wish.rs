//! That somebody wants no more of it, as a token of ours says it.

use maily_core::mail::address::Mailbox;
use maily_core::tracking::links::Links;
use maily_core::tracking::token::Kind;
use maily_core::tracking::token::Origin;
use maily_core::tracking::token::Payload;
use maily_core::tracking::token::verify;

/// Who wants no more of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// By which message.
    pub origin: Origin,
    /// Whose mail.
    pub project: Box<str>,
    /// Of which list; empty for all of it.
    pub list: Box<str>,
    /// Who.
    pub mailbox: Mailbox,
}

impl Wish {
    /// What a token says; none if we did not sign it.
    pub fn of_token(token: &str, links: &Links) -> Option<Self> {
        match verify(Kind::Unsubscribe, token, links.keys()) {
            Ok(Payload::Unsubscribe { origin, project, list, mailbox }) => {
                Some(Self { origin, project, list, mailbox })
            }
            _ => None,
        }
    }
}
