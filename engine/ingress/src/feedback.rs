//! What recipients tell us: that they want no more of it, by a link or by mail; and what hosts tell
//! us of mail that they had taken. It is on disk before it is answered.
//!
//! Mail to the address in List-Unsubscribe (RFC 2369 3.2) is taken from anyone: its subject carries
//! the token that we signed, and without one nothing happens to anybody.

use std::sync::Arc;

use maily_core::bounce::classify::Rules;
use maily_core::bounce::read;
use maily_core::bounce::read::kind::Kind;
use maily_core::clock::Clock;
use maily_core::event::Event;
use maily_core::event::SuppressionReason;
use maily_core::event::Unsubscribed;
use maily_core::event::UnsubscribedBy;
use maily_core::event::What;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::EnhancedStatus;
use maily_core::mail::shown::Shown;
use maily_core::smtp::reply::Reply;
use maily_core::tracking::links::Links;
use maily_core::tracking::links::Return;
use maily_events::recorder::RecordError;
use maily_events::recorder::Recorder;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;
use maily_events::suppression::SuppressError;
use maily_events::suppression::Suppressions;

use crate::returns;
use crate::wish::Wish;

/// Takes what recipients tell us, and what hosts tell us about their mail; clones share it.
#[derive(Clone)]
pub struct Feedback {
    /// Where mail that unsubscribes comes in; none if it does not.
    pub mailbox: Option<Mailbox>,
    /// Where complaints come in; none if they do not.
    pub complaints: Option<Mailbox>,
    /// By what tokens are known.
    pub links: Option<Arc<Links>>,
    /// What reports mean.
    pub rules: Arc<Rules>,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// Where it is told.
    pub events: Recorder,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
}

/// What somebody told us could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotWritten {
    /// Who must not be written to.
    #[error(transparent)]
    Suppress(#[from] SuppressError),
    /// That it happened.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// One of our addresses that a message was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    /// That in List-Unsubscribe.
    Unsubscribe,
    /// That for complaints.
    Complaints,
    /// The return path of this recipient's message.
    Return(QueueId, RecipientIndex),
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

    /// Takes those recipients out of an envelope that are ours.
    pub(crate) fn for_us(&self, envelope: &mut Envelope) -> Vec<Ours> {
        let mut all = Vec::new();
        envelope.recipients.retain(|recipient| {
            let ours = self.ours(&recipient.forward_path.0);
            all.extend(ours);
            ours.is_none()
        });
        all
    }

    fn ours(&self, mailbox: &Mailbox) -> Option<Ours> {
        let is = |own: &Option<Mailbox>| own.as_ref().is_some_and(|own| same(own, mailbox));
        if is(&self.mailbox) {
            return Some(Ours::Unsubscribe);
        }
        if is(&self.complaints) {
            return Some(Ours::Complaints);
        }
        match self.links.as_ref()?.returned(mailbox)? {
            Return::Ours(id, recipient) => Some(Ours::Return(id, recipient)),
            Return::Forged => None,
        }
    }

    /// A message came to one of our addresses; gives the reply to it.
    pub(crate) async fn on_mail(&self, ours: Ours, message: &[u8]) -> Reply {
        let done = match ours {
            Ours::Unsubscribe => self.on_unsubscribing(message).await,
            Ours::Complaints => self.on_complaint(message).await,
            Ours::Return(id, recipient) => self.on_return(id, recipient, message).await,
        };
        done.unwrap_or_else(|error| {
            tracing::error!(%error, ?ours, "what somebody told us could not be written");
            let text = "could not be written, try again later";
            Reply::new(451, EnhancedStatus::new(4, 3, 0), text)
        })
    }

    async fn on_unsubscribing(&self, message: &[u8]) -> Result<Reply, NotWritten> {
        let subject = Shown::header(message).subject;
        let wish = self.links.as_ref().and_then(|links| wish_in(&subject, links));
        let Some(wish) = wish else {
            return Ok(refused("this address only takes what our List-Unsubscribe links say"));
        };
        self.unsubscribe(wish, UnsubscribedBy::Mail).await?;
        Ok(taken("unsubscribed"))
    }

    /// A complaint counts if it holds a link or a return path of ours: the address of the recipient
    /// is often taken out of it, and anybody can write one.
    async fn on_complaint(&self, message: &[u8]) -> Result<Reply, NotWritten> {
        let text = String::from_utf8_lossy(returns::beginning(message));
        let complaint = self.links.as_ref().and_then(|links| returns::about(&text, links));
        let Some(about) = complaint else {
            return Ok(refused("no mail of ours is in this complaint"));
        };
        let at = self.clock.now();
        if let Some((subject, id)) = &about.subject {
            let reason = SuppressionReason::Complained;
            let said = Said { at, reason, message: Some(*id), until: None };
            self.suppressions.suppress(subject, said).await?;
        }
        let what = What::Complained(Box::new(returns::complained(&text, about.recipient)));
        self.events.record_synced(&Event { at, id: about.id, what }).await?;
        Ok(taken("noted"))
    }

    /// A report came to the return path of a recipient's message.
    async fn on_return(
        &self,
        id: QueueId,
        recipient: RecipientIndex,
        message: &[u8],
    ) -> Result<Reply, NotWritten> {
        let reading = read::read(message, &self.rules);
        let what = match reading.kind {
            Kind::Bounce | Kind::Delay => {
                What::Returned(Box::new(returns::returned(&reading, recipient, &self.rules)))
            }
            Kind::Arf => {
                let text = String::from_utf8_lossy(returns::beginning(message));
                What::Complained(Box::new(returns::complained(&text, recipient)))
            }
            Kind::DsnSuccess | Kind::AutoReply => return Ok(taken("noted")),
            Kind::NotABounce => {
                return Ok(refused("this address only takes reports about mail of ours"));
            }
        };
        // The log is where everything follows from: it is on disk before it is acknowledged.
        self.events.record_synced(&Event { at: self.clock.now(), id, what }).await?;
        Ok(taken("noted"))
    }
}

fn taken(text: &str) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), text)
}

fn refused(text: &str) -> Reply {
    Reply::new(550, EnhancedStatus::new(5, 7, 1), text)
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
    use maily_core::tracking::keys::Key;
    use maily_core::tracking::keys::Keys;
    use maily_core::tracking::token::Origin;
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
            complaints: None,
            rules: Arc::new(Rules::shipped().unwrap()),
            links: Some(links(7)),
            suppressions: suppressions.clone(),
            events: Recorder::open(&folder.path().join("events"), 1 << 20).unwrap(),
            clock: Arc::new(Still),
        };
        let said = async |subject: &str| {
            let message = format!("From: x@y.example\r\nSubject: {subject}\r\n\r\nplease\r\n");
            feedback.on_mail(Ours::Unsubscribe, message.as_bytes()).await.code
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
