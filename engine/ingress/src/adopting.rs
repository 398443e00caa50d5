//! Messages by SMTP that are templates: taken as if they had come by HTTP, a message for each
//! recipient, which is written when its turn comes.

use std::net::IpAddr;

use bytes::Bytes;

use maily_core::event::Origin;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::Stream;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::render::adopted::Wishes;
use maily_core::render::adopted::shown_names;
use maily_core::render::binding::Binding;
use maily_core::render::compiled::CompileError;
use maily_core::render::compiled::Compiled;
use maily_core::render::fault::Code;
use maily_core::render::fault::Fault;
use maily_core::smtp::reply::Reply;
use maily_core::smtp::server::Transaction;

use crate::door::FrontDoor;
use crate::inject::Injection;
use crate::inject::Refusal;

/// The project of mail whose sender is known by their address alone.
pub const PROJECT_OF_NOBODY: &str = "default";

/// A message that is a template.
pub(crate) struct Letter {
    /// As it came, with what we and plugins wrote into its header.
    pub(crate) message: Bytes,
    /// What it asks for.
    pub(crate) wishes: Wishes,
    /// Whose it is.
    pub(crate) stream: Stream,
    /// From where it came.
    pub(crate) client: IpAddr,
    /// A plugin wants somebody to look at it first.
    pub(crate) held: bool,
}

/// What a letter comes to: the encoded mailing, whether it needs SMTPUTF8, and each recipient with
/// their encoded binding.
type Made = (Bytes, bool, Vec<(Recipient, Bytes)>);

impl Letter {
    /// # Errors
    /// All that is wrong with it.
    fn read(
        self,
        recipients: Vec<Recipient>,
        unsubscribe: Option<&Mailbox>,
    ) -> Result<Made, Vec<Fault>> {
        let project = match &*self.stream.tenant {
            "" => PROJECT_OF_NOBODY,
            tenant => tenant,
        };
        let names = shown_names(&self.message);
        let variables = self.wishes.variables.clone();
        let of = (project, &*self.stream.campaign);
        let mailing = self.wishes.mailing(&self.message, of, unsubscribe)?;
        // What cannot be compiled now is refused now, not at the attempt.
        Compiled::new(&mailing, None).map_err(faults)?;
        let bind = |recipient: Recipient| {
            let to = &recipient.forward_path.0;
            let name = names.iter().find(|named| named.mailbox == *to);
            let name = name.map_or("", |named| &named.name);
            let binding = Binding::new(name, variables.clone())?;
            Ok((recipient, binding.encode()))
        };
        let bound: Result<Vec<_>, Fault> = recipients.into_iter().map(bind).collect();
        let bound = bound.map_err(|fault| vec![fault])?;
        let too_long = |_| vec![Fault::new("", Code::TooLong, "too long for a template")];
        let octets = mailing.encode().map_err(too_long)?;
        Ok((octets, mailing.needs_smtputf8(), bound))
    }
}

fn faults(why: CompileError) -> Vec<Fault> {
    match why {
        CompileError::Faults(faults) => faults,
        CompileError::Template(at) => vec![Fault::new(&*at.part, Code::Template, &*at.to_string())],
        // Nothing is asked for by name.
        CompileError::NoSuchTemplate => Vec::new(),
    }
}

/// The reply to a message that cannot be a template.
pub(crate) fn refusal(faults: &[Fault]) -> Reply {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    let text = format!("the message cannot be a template (X-Maily-Vars): {first}");
    Reply::new(554, EnhancedStatus::new(5, 6, 0), &text)
}

fn not_stored(text: &str) -> Reply {
    Reply::new(451, EnhancedStatus::new(4, 3, 0), text)
}

impl FrontDoor {
    /// Takes a message for each recipient of a transaction; gives the reply to the end of data.
    pub(crate) async fn adopt(&self, letter: Letter, transaction: Transaction) -> Reply {
        let unsubscribe = self.feedback.mailbox.clone();
        let (stream, client, held) = (letter.stream.clone(), letter.client, letter.held);
        let mut envelope = transaction.envelope;
        let recipients = std::mem::take(&mut envelope.recipients);
        // Templates are compiled, which takes a while.
        let making =
            tokio::task::spawn_blocking(move || letter.read(recipients, unsubscribe.as_ref()));
        let (mailing, smtputf8, recipients) = match making.await {
            Ok(Ok(made)) => made,
            Ok(Err(faults)) => return refusal(&faults),
            Err(error) => {
                tracing::error!(%error, "a template by SMTP could not be read");
                return not_stored("could not be read, try again later");
            }
        };
        envelope.smtputf8 = smtputf8;
        let injection = Injection {
            mailing,
            envelope,
            recipients,
            stream,
            not_before: None,
            expire_after: None,
            origin: Origin::Smtp {
                client,
                helo: transaction.helo,
                user: transaction.user.unwrap_or_default(),
                tls: transaction.tls,
            },
            held,
            claim: None,
        };
        match self.inject_admitted(injection).await {
            Ok(ids) => {
                let first = ids.first().map(ToString::to_string).unwrap_or_default();
                Reply::new(250, EnhancedStatus::new(2, 0, 0), &format!("queued as {first}"))
            }
            Err(Refusal::NoRoom(_)) => {
                let text = "no room on disk, try again later";
                Reply::new(452, EnhancedStatus::new(4, 3, 1), text)
            }
            Err(_) => not_stored("could not be stored, try again later"),
        }
    }
}
