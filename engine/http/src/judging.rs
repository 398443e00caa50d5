//! Draws the consequences of what came back: who must not be written to any more. It follows the
//! event log as webhooks do. Where its place is lost, or all that it drew, it begins at the oldest
//! event that is kept, and comes to the same.
//!
//! Only an address that is said to be dead is given up at once. A mailbox that is full or closed is
//! given up for a while if it stays so (see [`Strikes`]); what is about the message, its sender or
//! its host says nothing of the recipient.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use maily_api::event::Event;
use maily_api::event::EventType;
use maily_core::bounce::reason::Class;
use maily_core::bounce::reason::Reason;
use maily_core::bounce::reason::Scope;
use maily_core::clock::Clock;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_events::strikes::Strikes;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;
use maily_events::suppression::SuppressError;
use maily_events::suppression::Suppressions;

use crate::event_id::EventId;
use crate::inputs::text;
use crate::place;
use crate::reading::Reader;
use crate::reading::Selection;
use crate::times;

/// Events that are judged before the place is written down.
const EVENTS_AT_ONCE: usize = 200;
/// How long what could not be written waits to be tried again.
const AGAIN_IN: Duration = Duration::from_secs(5);
/// How long a mailbox that was full or closed too often is not written to.
pub const REST: Duration = Duration::from_secs(90 * 86_400);

/// What it looks at.
const TYPES: [EventType; 6] = [
    EventType::Delivered,
    EventType::Bounced,
    EventType::Expired,
    EventType::Complained,
    EventType::Unsubscribed,
    EventType::Tagged,
];

/// Who draws them.
pub struct Judge {
    /// Where events are.
    pub reader: Reader,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// Who has failed, and not often enough.
    pub strikes: Strikes,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// The file that says how far it has come.
    pub place: PathBuf,
    /// Whether the daemon ends.
    pub draining: watch::Receiver<bool>,
}

/// What follows from an event for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consequence {
    /// Nothing is sent to them any more.
    Suppress(SuppressionReason),
    /// It counts.
    Strike,
    /// What counted before counts no more.
    Clear,
    /// The bounce of this message was none of a dead address.
    TakeBack,
}

impl Judge {
    /// Judges until the daemon ends.
    pub async fn run(self) {
        let mut draining = self.draining.clone();
        tokio::select! {
            () = self.follow() => {}
            _ = draining.wait_for(|draining| *draining) => {}
        }
    }

    async fn follow(&self) {
        let known = place::read(&self.place).filter(|_| !self.suppressions.is_new());
        // What somebody said to us was written when it was said; only if all is lost it is drawn
        // from the log again.
        let again = known.is_none().then(|| self.reader.newest());
        let mut after = known.unwrap_or_else(|| self.reader.oldest());
        loop {
            after = self.turn(after, again).await;
        }
    }

    /// Judges what there is behind this place; gives the place behind it. What was said to us
    /// before the place `again` is drawn again.
    async fn turn(&self, after: EventId, again: Option<EventId>) -> EventId {
        let (reader, now) = (self.reader.clone(), self.clock.now());
        let selection = Selection { project: None, types: TYPES.to_vec() };
        let reading = tokio::task::spawn_blocking(move || {
            reader.read(after, EVENTS_AT_ONCE, &selection, now)
        });
        let told = match reading.await {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what came back is judged from the oldest event on");
                tokio::time::sleep(AGAIN_IN).await;
                return self.reader.oldest();
            }
            Err(_) => return after,
        };
        for (id, event) in &told.events {
            let said_to_us = event.kind == EventType::Unsubscribed;
            if said_to_us && again.is_none_or(|again| *id >= again) {
                continue;
            }
            while let Err(error) = self.judge(event).await {
                tracing::error!(%error, "what follows from an event could not be written");
                tokio::time::sleep(AGAIN_IN).await;
            }
        }
        if told.next != after
            && let Err(error) = place::write(&self.place, told.next)
        {
            let path = self.place.display();
            tracing::error!(%error, %path, "how far events have been judged could not be written");
        }
        if !told.more {
            self.reader.wait(told.seen).await;
        }
        told.next
    }

    async fn judge(&self, event: &Event) -> Result<(), SuppressError> {
        let Some(consequence) = consequence(event) else { return Ok(()) };
        let mailbox = text(event, "recipient").and_then(|text| Mailbox::parse(text).ok());
        let (Some(mailbox), Some(project)) = (mailbox, &event.project) else { return Ok(()) };
        let at = times::parse(&event.time).unwrap_or_else(|| self.clock.now());
        let list = match event.kind {
            EventType::Unsubscribed => text(event, "list").unwrap_or_default(),
            _ => "",
        };
        let subject = Subject::new(project, list, &mailbox);
        let message = text(event, "message").and_then(|id| id.parse().ok());
        let said = |reason, until| Said { at, reason, message, until };
        match consequence {
            Consequence::Suppress(reason) => {
                self.suppressions.suppress(&subject, said(reason, None)).await
            }
            Consequence::Strike => {
                if self.strikes.strike(&subject, at).await? {
                    let until = Some(at + REST);
                    let said = said(SuppressionReason::Bounced, until);
                    self.suppressions.suppress(&subject, said).await?;
                }
                Ok(())
            }
            Consequence::TakeBack => {
                // What somebody else said of the address, or another message, stays.
                let known = self.suppressions.get(&subject);
                let same = known.is_some_and(|known| {
                    known.reason == SuppressionReason::Bounced && known.message == message
                });
                if same {
                    self.suppressions.release(&subject).await?;
                }
                self.strikes.clear(&subject).await
            }
            Consequence::Clear if self.strikes.is_empty() => Ok(()),
            Consequence::Clear => self.strikes.clear(&subject).await,
        }
    }
}

fn consequence(event: &Event) -> Option<Consequence> {
    match event.kind {
        EventType::Delivered => Some(Consequence::Clear),
        EventType::Complained => Some(Consequence::Suppress(SuppressionReason::Complained)),
        EventType::Unsubscribed => Some(Consequence::Suppress(SuppressionReason::Unsubscribed)),
        EventType::Bounced | EventType::Expired => of_failure(event),
        EventType::Tagged => of_plugins(event),
        _ => None,
    }
}

/// What plugins decided about a report: their word stands in the log behind the report's own.
fn of_plugins(event: &Event) -> Option<Consequence> {
    let suppress = event.data.get("suppress")?.as_bool()?;
    let reason = match EventType::of(text(event, "about")?)? {
        EventType::Bounced | EventType::Expired if !suppress => return Some(Consequence::TakeBack),
        EventType::Bounced | EventType::Expired => SuppressionReason::Bounced,
        EventType::Complained => SuppressionReason::Complained,
        EventType::Unsubscribed => SuppressionReason::Unsubscribed,
        _ => return None,
    };
    suppress.then_some(Consequence::Suppress(reason))
}

fn of_failure(event: &Event) -> Option<Consequence> {
    let reason = Reason::of_word(text(event, "reason")?)?;
    let hard = event.data.get("hard").and_then(serde_json::Value::as_bool) == Some(true);
    match reason.class() {
        Class::BadAddress if hard && event.kind == EventType::Bounced => {
            Some(Consequence::Suppress(SuppressionReason::Bounced))
        }
        Class::BadAddress | Class::Inactive | Class::MailboxFull => Some(Consequence::Strike),
        // A rule of the recipient's, or a host that only says later that there is nobody.
        Class::Policy if reason.scope() == Scope::Recipient => Some(Consequence::Strike),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn follows(kind: EventType, reason: &str, hard: bool) -> Option<Consequence> {
        consequence(&Event {
            id: "1-0".into(),
            schema: 1,
            kind,
            time: "2026-11-26T00:00:00Z".into(),
            project: Some("shop".into()),
            data: json!({ "recipient": "ann@x.example", "reason": reason, "hard": hard }),
        })
    }

    #[test]
    fn only_a_dead_address_is_given_up_at_once_and_much_says_nothing_of_it() {
        let gone = Some(Consequence::Suppress(SuppressionReason::Bounced));
        assert_eq!(follows(EventType::Bounced, "userunknown", true), gone);
        assert_eq!(follows(EventType::Bounced, "userunknown", false), Some(Consequence::Strike));
        for reason in ["mailboxfull", "suspend", "filtered"] {
            assert_eq!(follows(EventType::Bounced, reason, false), Some(Consequence::Strike));
            assert_eq!(follows(EventType::Expired, reason, false), Some(Consequence::Strike));
            assert_eq!(follows(EventType::Deferred, reason, false), None, "still tried");
        }
        let all = Reason::ALL.iter().map(|reason| reason.word());
        let other = |word: &&str| {
            !["userunknown", "hasmoved", "mailboxfull", "suspend", "filtered"].contains(word)
        };
        for reason in all.filter(other) {
            assert_eq!(follows(EventType::Bounced, reason, true), None, "{reason}");
        }
        let complained = Some(Consequence::Suppress(SuppressionReason::Complained));
        assert_eq!(follows(EventType::Complained, "", false), complained);
    }
}
