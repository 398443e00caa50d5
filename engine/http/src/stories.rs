//! Whose a message is and whom it is for: most events name neither. It is learned from acceptances
//! as they are read, and kept for as many messages as there is room for.

use std::sync::Arc;

use lru::LruCache;

use maily_core::event::Accepted;
use maily_core::event::Labels;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_spool::submission::Stored;

/// Octets of all stories that are kept; the one that was not asked for the longest time goes first.
pub const STORIES_OCTETS_MAX: usize = 32 << 20;
/// What an entry takes beside its texts.
const ENTRY_OCTETS: usize = 160;

/// A message, as far as events need to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Whose it is; none if it is no project's.
    pub project: Option<Box<str>>,
    /// Of which mailing it is one; empty for none.
    pub campaign: Box<str>,
    /// Whom it is for.
    pub recipients: Box<[Box<str>]>,
    /// What whoever handed it in wants to find in all that is told of it.
    pub labels: Arc<Labels>,
}

impl Story {
    /// Of a message whose acceptance was read.
    pub fn of_accepted(accepted: &Accepted) -> Self {
        let stream = &accepted.stream;
        let labels = accepted.origin.labels().cloned().unwrap_or_default();
        Self::new(&stream.tenant, &stream.campaign, accepted.recipients.iter(), Arc::new(labels))
    }

    /// Of a message that waits, and what was said beside it.
    pub fn of_stored(stored: &Stored, labels: Arc<Labels>) -> Self {
        let submission = &stored.submission;
        let recipients = submission.envelope.recipients.iter();
        let paths = recipients.map(|recipient| &recipient.forward_path);
        Self::new(&submission.stream.tenant, &submission.stream.campaign, paths, labels)
    }

    fn new(
        project: &str,
        campaign: &str,
        recipients: impl Iterator<Item = impl ToString>,
        labels: Arc<Labels>,
    ) -> Self {
        Self {
            labels,
            project: (!project.is_empty()).then(|| project.into()),
            campaign: campaign.into(),
            recipients: recipients.map(|path| path.to_string().into()).collect(),
        }
    }

    /// One of its recipients.
    pub fn recipient(&self, index: RecipientIndex) -> Option<&str> {
        self.recipients.get(index.0 as usize).map(AsRef::as_ref)
    }

    fn octets(&self) -> usize {
        let texts: usize = self.recipients.iter().map(|path| path.len() + 16).sum();
        let Labels { tags, meta } = &*self.labels;
        let tags: usize = tags.iter().map(|tag| tag.len() + 16).sum();
        let meta: usize = meta.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        let project = self.project.as_ref().map_or(0, |name| name.len());
        texts + tags + meta + project + self.campaign.len()
    }
}

/// What is known of messages: nothing, a story, or that there is none to be had.
#[derive(Debug)]
pub struct Stories {
    known: LruCache<QueueId, Option<Arc<Story>>>,
    octets: usize,
}

impl Default for Stories {
    fn default() -> Self {
        Self { known: LruCache::unbounded(), octets: 0 }
    }
}

fn size(story: Option<&Arc<Story>>) -> usize {
    ENTRY_OCTETS + story.map_or(0, |story| story.octets())
}

impl Stories {
    /// What is known of a message.
    pub fn get(&mut self, id: QueueId) -> Option<Option<Arc<Story>>> {
        self.known.get(&id).cloned()
    }

    /// Keeps it, and forgets what there is no room for.
    pub fn put(&mut self, id: QueueId, story: Option<Arc<Story>>) {
        self.octets += size(story.as_ref());
        if let Some(before) = self.known.put(id, story) {
            self.octets -= size(before.as_ref());
        }
        while self.octets > STORIES_OCTETS_MAX
            && let Some((_, oldest)) = self.known.pop_lru()
        {
            self.octets -= size(oldest.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(octets: usize) -> Option<Arc<Story>> {
        let campaign = "c".repeat(octets - ENTRY_OCTETS).into();
        Some(Arc::new(Story {
            project: None,
            campaign,
            recipients: Box::default(),
            labels: Arc::default(),
        }))
    }

    #[test]
    fn beyond_its_octets_what_was_not_asked_for_goes_first() {
        let mut stories = Stories::default();
        let ids = [1, 2, 3].map(QueueId::from_u64);
        let half = story(STORIES_OCTETS_MAX / 2);
        stories.put(ids[0], half.clone());
        stories.put(ids[1], half.clone());
        assert!(stories.get(ids[0]).is_some());
        assert!(stories.get(ids[1]).is_some() && stories.get(ids[0]).is_some());
        stories.put(ids[2], story(ENTRY_OCTETS));
        assert!(stories.get(ids[1]).is_none(), "one octet above");
        assert_eq!(stories.get(ids[0]), Some(half));
        stories.put(ids[0], None);
        assert_eq!(stories.get(ids[0]), Some(None));
        assert_eq!(stories.octets, 2 * ENTRY_OCTETS);
    }
}
