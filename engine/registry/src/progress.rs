//! How far webhooks have come, and what they were not able to take: kept with the registry, so that
//! a crash repeats a few events under the same ids and loses none.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use maily_core::clock::Timestamp;
use maily_journal::change::Change;

use crate::error::RegistryError;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;
use crate::webhook::Webhook;

/// The most events of a webhook that are set aside; with one more it is switched off.
pub const DEAD_LETTERS_MAX: usize = 1_000;

/// The number of a place in the log, and which of the events there.
pub type Place = (u64, Option<u32>);

/// How far a webhook has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Behind the last event that it took.
    pub place: Place,
    /// Which time an operator set the place: what was under way before does not move it.
    pub epoch: u32,
    /// Tries of the next event that failed.
    pub failures: u32,
    /// Since when.
    pub failing_since: Option<Timestamp>,
    /// Not tried before this time.
    pub next_try_at: Option<Timestamp>,
    /// Why the last try failed.
    pub error: Option<Box<str>>,
    /// Switched off by itself, until an operator changes or replays it.
    pub disabled: bool,
}

/// An event that a webhook did not take in all its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Where it stands in the log.
    pub place: (u64, u32),
    /// The event, as it is sent.
    pub body: Box<str>,
    /// When it was given up.
    pub given_up_at: Timestamp,
    /// Why.
    pub error: Box<str>,
    /// Whether it is to be tried again.
    pub again: bool,
}

fn names(webhook: &Webhook) -> [&[u8]; 2] {
    [webhook.project.as_str().as_bytes(), webhook.id.as_str().as_bytes()]
}

fn key(webhook: &Webhook) -> Bytes {
    shelf::key(Kind::Progress, &names(webhook))
}

fn letters_of(webhook: &Webhook) -> Bytes {
    shelf::key(Kind::DeadLetter, &names(webhook))
}

fn letter(webhook: &Webhook, (start, number): (u64, u32)) -> Bytes {
    let [project, id] = names(webhook);
    let place = [start.to_be_bytes().as_slice(), &number.to_be_bytes()].concat();
    shelf::key(Kind::DeadLetter, &[project, id, &place])
}

impl Registry {
    /// How far a webhook has come; none if it has not begun.
    pub fn progress(&self, webhook: &Webhook) -> Option<Progress> {
        self.shelf.get(&key(webhook))
    }

    /// Moves a webhook on, and sets aside an event that it did not take.
    ///
    /// # Errors
    /// It is gone; an operator moved it meanwhile; or too many events are set aside.
    pub async fn move_webhook(
        &self,
        webhook: &Webhook,
        progress: &Progress,
        aside: Option<&DeadLetter>,
    ) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        if self.webhook(&webhook.project, &webhook.id).is_none() {
            return Err(RegistryError::NotFound("webhook"));
        }
        if self.progress(webhook).is_some_and(|now| now.epoch != progress.epoch) {
            return Err(RegistryError::Changed("webhook"));
        }
        let mut changes = vec![shelf::put(key(webhook), progress)?];
        if let Some(aside) = aside {
            if self.shelf.keys(&letters_of(webhook), DEAD_LETTERS_MAX).len() >= DEAD_LETTERS_MAX {
                return Err(RegistryError::TooMany {
                    what: "dead letters",
                    most: DEAD_LETTERS_MAX,
                });
            }
            changes.push(shelf::put(letter(webhook, aside.place), aside)?);
        }
        self.shelf.change(changes).await
    }

    /// Has a webhook begin anew behind this place.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn rewind_webhook(
        &self,
        webhook: &Webhook,
        place: Option<Place>,
    ) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        let Some(before) = self.progress(webhook) else {
            let Some(place) = place else { return Ok(()) };
            let progress = Progress { place, epoch: 1, ..Progress::default() };
            self.shelf.change(vec![shelf::put(key(webhook), &progress)?]).await?;
            self.tell();
            return Ok(());
        };
        let place = place.unwrap_or(before.place);
        let epoch = before.epoch.wrapping_add(1);
        let progress = Progress { place, epoch, ..Progress::default() };
        self.shelf.change(vec![shelf::put(key(webhook), &progress)?]).await?;
        self.tell();
        Ok(())
    }

    /// Up to so many events that were set aside, behind this place.
    pub fn dead_letters(
        &self,
        webhook: &Webhook,
        after: Option<(u64, u32)>,
        limit: usize,
    ) -> Vec<DeadLetter> {
        let after = after.map(|place| letter(webhook, place));
        self.shelf.rows(&letters_of(webhook), after.as_deref(), limit)
    }

    /// Has an event that was set aside tried once more, or notes that it was and why it failed.
    ///
    /// # Errors
    /// There is none there.
    pub async fn put_dead_letter(
        &self,
        webhook: &Webhook,
        change: &DeadLetter,
    ) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        let key = letter(webhook, change.place);
        if !self.shelf.contains(&key) {
            return Err(RegistryError::NotFound("dead letter"));
        }
        self.shelf.change(vec![shelf::put(key, change)?]).await?;
        self.tell();
        Ok(())
    }

    /// An event that was set aside.
    pub fn dead_letter(&self, webhook: &Webhook, place: (u64, u32)) -> Option<DeadLetter> {
        self.shelf.get(&letter(webhook, place))
    }

    /// An event that was set aside has been taken after all.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn remove_dead_letter(
        &self,
        webhook: &Webhook,
        place: (u64, u32),
    ) -> Result<(), RegistryError> {
        self.shelf.change(vec![Change::Remove(letter(webhook, place))]).await
    }

    /// The rows that go with a webhook.
    pub(crate) fn rows_with(&self, webhook: &Webhook) -> Vec<Change> {
        let letters = self.shelf.keys(&letters_of(webhook), DEAD_LETTERS_MAX);
        letters.into_iter().chain([key(webhook)]).map(Change::Remove).collect()
    }
}
