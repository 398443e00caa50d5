//! The registry's webhooks: making, changing and removing them.

use bytes::Bytes;
use tokio::sync::watch;

use maily_core::clock::Timestamp;
use maily_journal::change::Change;

use crate::chance;
use crate::chance::Chance;
use crate::error::RegistryError;
use crate::name::Name;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;
use crate::webhook::ID_OCTETS;
use crate::webhook::RETIRING;
use crate::webhook::SECRET_OCTETS;
use crate::webhook::SigningSecret;
use crate::webhook::WEBHOOKS_MAX;
use crate::webhook::Webhook;
use crate::webhook::WebhookDraft;
use crate::webhook::WebhookId;

fn key(project: &Name, id: &WebhookId) -> Bytes {
    shelf::key(Kind::Webhook, &[project.as_str().as_bytes(), id.as_str().as_bytes()])
}

fn all_of(project: &Name) -> Bytes {
    shelf::key(Kind::Webhook, &[project.as_str().as_bytes()])
}

impl Registry {
    /// Makes a webhook, with a secret of its own.
    ///
    /// # Errors
    /// There is no such project, or there are too many.
    pub async fn create_webhook(
        &self,
        project: &Name,
        draft: WebhookDraft,
        by: Box<str>,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Webhook, RegistryError> {
        let _turn = self.writing.lock().await;
        if self.project(project).is_none() {
            return Err(RegistryError::NotFound("project"));
        }
        if self.shelf.keys(&all_of(project), WEBHOOKS_MAX).len() >= WEBHOOKS_MAX {
            return Err(RegistryError::TooMany { what: "webhooks", most: WEBHOOKS_MAX });
        }
        let webhook = Webhook {
            id: WebhookId::of(&chance::octets::<ID_OCTETS>(chance)?),
            project: project.clone(),
            draft,
            secret: SigningSecret(chance::octets::<SECRET_OCTETS>(chance)?),
            retiring: None,
            created_at: now,
            created_by: by,
        };
        let key = key(project, &webhook.id);
        if self.shelf.contains(&key) {
            return Err(RegistryError::Exists("webhook"));
        }
        self.shelf.change(vec![shelf::put(key, &webhook)?]).await?;
        self.tell();
        Ok(webhook)
    }

    /// The webhook of this project with this id.
    pub fn webhook(&self, project: &Name, id: &WebhookId) -> Option<Webhook> {
        self.shelf.get(&key(project, id))
    }

    /// Up to so many webhooks of this project behind this one, by id.
    pub fn webhooks(
        &self,
        project: &Name,
        after: Option<&WebhookId>,
        limit: usize,
    ) -> Vec<Webhook> {
        let after = after.map(|id| key(project, id));
        self.shelf.rows(&all_of(project), after.as_deref(), limit)
    }

    /// All webhooks of all projects: what sends events asks for them.
    pub fn all_webhooks(&self) -> Vec<Webhook> {
        self.shelf.rows(&shelf::key(Kind::Webhook, &[]), None, usize::MAX)
    }

    /// Gives a webhook another address, other events, or a pause. Its secret stays.
    ///
    /// # Errors
    /// There is none of this id in this project.
    pub async fn change_webhook(
        &self,
        project: &Name,
        id: &WebhookId,
        draft: WebhookDraft,
    ) -> Result<Webhook, RegistryError> {
        let _turn = self.writing.lock().await;
        let before = self.webhook(project, id).ok_or(RegistryError::NotFound("webhook"))?;
        let webhook = Webhook { draft, ..before };
        self.shelf.change(vec![shelf::put(key(project, id), &webhook)?]).await?;
        self.tell();
        Ok(webhook)
    }

    /// Gives a webhook another secret; the one before it signs beside it for [`RETIRING`].
    ///
    /// # Errors
    /// There is none of this id in this project, or there is no randomness.
    pub async fn renew_secret(
        &self,
        project: &Name,
        id: &WebhookId,
        now: Timestamp,
        chance: &dyn Chance,
    ) -> Result<Webhook, RegistryError> {
        let _turn = self.writing.lock().await;
        let before = self.webhook(project, id).ok_or(RegistryError::NotFound("webhook"))?;
        let secret = SigningSecret(chance::octets::<SECRET_OCTETS>(chance)?);
        let retiring = Some((before.secret.clone(), now + RETIRING));
        let webhook = Webhook { secret, retiring, ..before };
        self.shelf.change(vec![shelf::put(key(project, id), &webhook)?]).await?;
        self.tell();
        Ok(webhook)
    }

    /// Says when a webhook is made, changed, moved by an operator, or removed.
    pub fn webhooks_changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells those who send.
    pub(crate) fn tell(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Removes a webhook.
    ///
    /// # Errors
    /// There is none of this id in this project.
    pub async fn remove_webhook(
        &self,
        project: &Name,
        id: &WebhookId,
    ) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        let webhook = self.webhook(project, id).ok_or(RegistryError::NotFound("webhook"))?;
        let mut changes = self.rows_with(&webhook);
        changes.push(Change::Remove(key(project, id)));
        self.shelf.change(changes).await?;
        self.tell();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::tests::Counted;
    use crate::progress::DEAD_LETTERS_MAX;
    use crate::progress::DeadLetter;
    use crate::progress::Progress;
    use crate::project::Project;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn draft(url: &str) -> WebhookDraft {
        WebhookDraft { url: url.into(), events: Vec::new(), paused: false }
    }

    async fn registry(folder: &std::path::Path) -> Registry {
        let registry = Registry::open(folder).unwrap();
        for project in ["a", "b"] {
            let project = Project {
                name: name(project),
                description: None,
                created_at: Timestamp::EPOCH,
                created_by: "uid:0".into(),
            };
            registry.create_project(&project).await.unwrap();
        }
        registry
    }

    async fn make(
        registry: &Registry,
        project: &str,
        chance: &Counted,
    ) -> Result<Webhook, RegistryError> {
        let (draft, now) = (draft("https://hooks.example/1"), Timestamp::from_secs(1));
        registry.create_webhook(&name(project), draft, "uid:0".into(), now, chance).await
    }

    #[tokio::test]
    async fn a_webhook_keeps_its_secret_over_changes_and_restarts_and_its_project() {
        let dir = tempfile::tempdir().unwrap();
        let (chance, a, b) = (Counted::default(), name("a"), name("b"));
        let registry = registry(dir.path()).await;
        let made = make(&registry, "a", &chance).await.unwrap();
        let other = make(&registry, "b", &chance).await.unwrap();
        assert_ne!((&made.id, &made.secret), (&other.id, &other.secret));
        assert!(!format!("{made:?}").contains(&format!("{:?}", made.secret.0)));
        let stranger = registry.change_webhook(&b, &made.id, draft("https://evil.example")).await;
        assert_eq!(stranger.unwrap_err(), RegistryError::NotFound("webhook"));
        let elsewhere = draft("https://hooks.example/2");
        registry.change_webhook(&a, &made.id, elsewhere.clone()).await.unwrap();
        drop(registry);
        let registry = Registry::open(dir.path()).unwrap();
        let found = registry.webhook(&a, &made.id).unwrap();
        assert_eq!((found.draft, found.secret), (elsewhere, made.secret));
        assert_eq!(registry.all_webhooks().len(), 2);
        assert_eq!(registry.webhooks(&a, None, 10).len(), 1);
        assert!(registry.webhooks(&a, Some(&made.id), 10).is_empty());
        registry.remove_webhook(&a, &made.id).await.unwrap();
        let again = registry.remove_webhook(&a, &made.id).await;
        assert_eq!(again, Err(RegistryError::NotFound("webhook")));
    }

    #[tokio::test]
    async fn a_secret_that_was_replaced_signs_for_a_day_beside_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (registry, chance) = (registry(dir.path()).await, Counted::default());
        let made = make(&registry, "a", &chance).await.unwrap();
        let now = Timestamp::from_secs(5);
        let renewed = registry.renew_secret(&name("a"), &made.id, now, &chance).await.unwrap();
        assert_ne!(renewed.secret, made.secret);
        let signs = |at| renewed.secrets(at).cloned().collect::<Vec<_>>();
        assert_eq!(signs(now), [renewed.secret.clone(), made.secret.clone()]);
        assert_eq!(signs(now + RETIRING), std::slice::from_ref(&renewed.secret));
    }

    #[tokio::test]
    async fn what_was_under_way_before_an_operator_moved_it_moves_it_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (registry, chance) = (registry(dir.path()).await, Counted::default());
        let made = make(&registry, "a", &chance).await.unwrap();
        let begun = Progress { place: (7, Some(1)), ..Progress::default() };
        let letter = DeadLetter {
            place: (7, 0),
            body: "{}".into(),
            given_up_at: Timestamp::EPOCH,
            error: "500".into(),
            again: false,
        };
        registry.move_webhook(&made, &begun, Some(&letter)).await.unwrap();
        registry.rewind_webhook(&made, Some((3, None))).await.unwrap();
        let late = registry.move_webhook(&made, &begun, None).await;
        assert_eq!(late, Err(RegistryError::Changed("webhook")));
        drop(registry);
        let registry = Registry::open(dir.path()).unwrap();
        let progress = registry.progress(&made).unwrap();
        assert_eq!((progress.place, progress.epoch), ((3, None), 1));
        assert_eq!(registry.dead_letters(&made, None, 9), [letter]);
        registry.remove_webhook(&made.project, &made.id).await.unwrap();
        assert_eq!(
            (registry.progress(&made), registry.dead_letters(&made, None, 9)),
            (None, vec![])
        );
    }

    #[tokio::test]
    async fn one_dead_letter_above_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (registry, chance) = (registry(dir.path()).await, Counted::default());
        let made = make(&registry, "a", &chance).await.unwrap();
        let mut putting = tokio::task::JoinSet::new();
        for number in 0..=DEAD_LETTERS_MAX as u32 {
            let (registry, made) = (registry.clone(), made.clone());
            putting.spawn(async move {
                let letter = DeadLetter {
                    place: (7, number),
                    body: "{}".into(),
                    given_up_at: Timestamp::EPOCH,
                    error: "500".into(),
                    again: false,
                };
                registry.move_webhook(&made, &Progress::default(), Some(&letter)).await.is_ok()
            });
        }
        let done = putting.join_all().await;
        assert_eq!(done.iter().filter(|done| **done).count(), DEAD_LETTERS_MAX);
    }

    #[tokio::test]
    async fn one_webhook_above_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (registry, chance) = (registry(dir.path()).await, Counted::default());
        for _ in 0..WEBHOOKS_MAX {
            make(&registry, "a", &chance).await.unwrap();
        }
        let limit = RegistryError::TooMany { what: "webhooks", most: WEBHOOKS_MAX };
        assert_eq!(make(&registry, "a", &chance).await.unwrap_err(), limit);
        assert!(make(&registry, "b", &chance).await.is_ok());
    }
}
