//! What recipients tell us: that they want no more of it, by a link or by mail. It is on disk
//! before it is answered.
//!
//! Mail to the address in List-Unsubscribe (RFC 2369 3.2) is taken from anyone: its subject carries
//! the token that we signed, and without one nothing happens to anybody.

use std::sync::Arc;

use maily_core::clock::Clock;
use maily_core::event::Event;
use maily_core::event::SuppressionReason;
use maily_core::event::Unsubscribed;
use maily_core::event::UnsubscribedBy;
use maily_core::event::What;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::shown::Shown;
use maily_core::smtp::reply::Reply;
use maily_core::tracking::links::Links;
use maily_core::tracking::token::Kind;
use maily_core::tracking::token::Origin;
use maily_core::tracking::token::Payload;
use maily_core::tracking::token::verify;
use maily_events::recorder::Recorder;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;
use maily_events::suppression::SuppressError;
use maily_events::suppression::Suppressions;

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

/// Takes what recipients tell us; clones share it.
#[derive(Clone)]
pub struct Feedback {
    /// Where mail that unsubscribes comes in; none if it does not.
    pub mailbox: Option<Mailbox>,
    /// By what tokens are known.
    pub links: Option<Arc<Links>>,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// Where it is told.
    pub events: Recorder,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
}

impl Feedback {
    /// Somebody wants no more of it: returns when that is on disk.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn unsubscribe(&self, wish: Wish, how: UnsubscribedBy) -> Result<(), SuppressError> {
        let (at, id) = (self.clock.now(), wish.origin.id);
        let Wish { project, list, mailbox, .. } = wish;
        let subject = Subject::new(&project, &list, &mailbox);
        let reason = SuppressionReason::Unsubscribed;
        let said = Said { at, reason, message: Some(id), until: None };
        self.suppressions.suppress(&subject, said).await?;
        let told = Unsubscribed { project, list, mailbox, how };
        self.events.record(&Event { at, id, what: What::Unsubscribed(Box::new(told)) });
        Ok(())
    }

    /// Takes the recipient out of an envelope that is ours; true if it was there.
    pub(crate) fn is_for_us(&self, envelope: &mut Envelope) -> bool {
        let Some(own) = &self.mailbox else { return false };
        let before = envelope.recipients.len();
        envelope.recipients.retain(|recipient| !same(&recipient.forward_path.0, own));
        envelope.recipients.len() < before
    }

    /// A message came to our address; gives the reply to it.
    pub(crate) async fn on_mail(&self, message: &[u8]) -> Reply {
        let subject = Shown::header(message).subject;
        let wish = self.links.as_ref().and_then(|links| wish_in(&subject, links));
        let Some(wish) = wish else {
            let text = "this address only takes what our List-Unsubscribe links say";
            return Reply::new(550, EnhancedStatus::new(5, 7, 1), text);
        };
        match self.unsubscribe(wish, UnsubscribedBy::Mail).await {
            Ok(()) => Reply::new(250, EnhancedStatus::new(2, 0, 0), "unsubscribed"),
            Err(error) => {
                tracing::error!(%error, "somebody could not be unsubscribed by mail");
                let text = "could not be written, try again later";
                Reply::new(451, EnhancedStatus::new(4, 3, 0), text)
            }
        }
    }
}

/// Whether two addresses are one: upper and lower case do not matter, for nobody's mailbox is taken
/// away by it.
fn same(one: &Mailbox, other: &Mailbox) -> bool {
    one.to_string().eq_ignore_ascii_case(&other.to_string())
}

/// What a subject says: a mail program may have put something before the token, or a space into it
/// where it broke the line.
fn wish_in(subject: &str, links: &Links) -> Option<Wish> {
    let words: Vec<_> = subject.split_whitespace().collect();
    let alone = words.iter().find_map(|word| Wish::of_token(word, links));
    alone.or_else(|| {
        let place = words.iter().position(|word| word.eq_ignore_ascii_case("unsubscribe"))?;
        Wish::of_token(&words.get(place + 1..)?.concat(), links)
    })
}

#[cfg(test)]
mod tests {
    use maily_core::clock::Timestamp;
    use maily_core::mail::envelope::RecipientIndex;
    use maily_core::mail::id::QueueId;
    use maily_core::tracking::keys::Key;
    use maily_core::tracking::keys::Keys;
    use maily_journal::journal::Options;

    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(7)
        }
    }

    fn links(secret: u8) -> Arc<Links> {
        let keys = Keys::new(Key::new(1, &[secret; 32]).unwrap(), Vec::new()).unwrap();
        Arc::new(Links::new("https://l.example", keys).unwrap())
    }

    fn token(links: &Links) -> String {
        let (id, recipient) = (QueueId::from_u64(7), RecipientIndex(0));
        let origin = Origin { id, recipient, minted_at_secs: 1 };
        let ann = "ann@a.example".parse().unwrap();
        links.unsubscribe(origin, "shop", "news", &ann).rsplit('/').next().unwrap().to_owned()
    }

    #[test]
    fn a_token_is_found_though_a_mail_program_did_something_to_the_subject() {
        let links = links(7);
        let token = token(&links);
        let (begin, end) = token.split_at(40);
        for subject in [
            format!("unsubscribe {token}"),
            format!("Re: unsubscribe {token}"),
            token.clone(),
            format!("Unsubscribe {begin} {end}"),
        ] {
            assert!(wish_in(&subject, &links).is_some(), "{subject}");
        }
        for subject in ["", "unsubscribe", "unsubscribe me", &token[1..], "unsubscribe x y z"] {
            assert_eq!(wish_in(subject, &links), None, "{subject}");
        }
    }

    #[tokio::test]
    async fn who_has_our_token_is_unsubscribed_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let suppressions = folder.path().join("suppressions");
        let suppressions = Suppressions::open(&suppressions, &Options::small()).unwrap();
        let feedback = Feedback {
            mailbox: Some("u@l.example".parse().unwrap()),
            links: Some(links(7)),
            suppressions: suppressions.clone(),
            events: Recorder::open(&folder.path().join("events"), 1 << 20).unwrap(),
            clock: Arc::new(Still),
        };
        let said = async |subject: &str| {
            let message = format!("From: x@y.example\r\nSubject: {subject}\r\n\r\nplease\r\n");
            feedback.on_mail(message.as_bytes()).await.code
        };
        assert_eq!(said(&format!("unsubscribe {}", token(&links(8)))).await, 550);
        assert_eq!(said("unsubscribe ann@a.example").await, 550);
        assert!(suppressions.is_empty());
        assert_eq!(said(&format!("unsubscribe {}", token(&links(7)))).await, 250);
        let ann = "ann@a.example".parse().unwrap();
        let now = Timestamp::from_secs(8);
        assert!(suppressions.is_suppressed(now, "shop", "news", &ann).is_some());
        assert!(suppressions.is_suppressed(now, "shop", "other", &ann).is_none());
    }
}
