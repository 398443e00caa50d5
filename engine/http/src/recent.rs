//! What was fetched of late of each message: a program that fetches all links at once is known by
//! it. Only in memory: what is forgotten costs a reason, not a hit.

use std::num::NonZeroUsize;

use lru::LruCache;

use maily_core::clock::Timestamp;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::tracking::verdict::AT_ONCE;
use maily_core::tracking::verdict::Recent;

/// Messages whose hits are remembered; the one that was not hit for the longest time goes first.
pub const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 16) - 1);

/// Hits since the first of them, on one message.
#[derive(Clone, Copy, Debug)]
struct Burst {
    since: Timestamp,
    hits: u32,
    /// A bit for each of the first 64 links.
    links: u64,
}

/// What was fetched of late.
#[derive(Debug)]
pub struct RecentHits(LruCache<(QueueId, RecipientIndex), Burst>);

impl Default for RecentHits {
    fn default() -> Self {
        Self(LruCache::new(REMEMBERED_MAX))
    }
}

impl RecentHits {
    /// Counts a hit, and gives all that came with it.
    pub fn count(
        &mut self,
        now: Timestamp,
        id: QueueId,
        recipient: RecipientIndex,
        link: Option<u16>,
    ) -> Recent {
        let fresh = Burst { since: now, hits: 0, links: 0 };
        let burst = self.0.get_or_insert_mut((id, recipient), || fresh);
        if now.since(burst.since) > AT_ONCE {
            *burst = fresh;
        }
        burst.hits = burst.hits.saturating_add(1);
        if let Some(link) = link {
            burst.links |= 1 << (link % 64);
        }
        let within = now.since(burst.since);
        Recent { hits: burst.hits, links: burst.links.count_ones(), within }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn hits_of_one_message_are_counted_until_they_are_no_more_at_once() {
        let mut recent = RecentHits::default();
        let id = QueueId::from_u64(1);
        let mut hit = |at, id, link| {
            let at = Timestamp::from_secs(at);
            let recent = recent.count(at, id, RecipientIndex(0), link);
            (recent.hits, recent.links, recent.within)
        };
        assert_eq!(hit(100, id, None), (1, 0, Duration::ZERO));
        assert_eq!(hit(101, id, Some(3)), (2, 1, Duration::from_secs(1)));
        assert_eq!(hit(102, id, Some(3)), (3, 1, Duration::from_secs(2)));
        assert_eq!(hit(103, id, Some(4)), (4, 2, Duration::from_secs(3)));
        assert_eq!(hit(103, QueueId::from_u64(2), Some(4)).0, 1);
        assert_eq!(hit(111, id, Some(5)), (1, 1, Duration::ZERO));
    }

    #[test]
    fn beyond_the_bound_the_oldest_is_forgotten() {
        let mut recent = RecentHits::default();
        let now = Timestamp::from_secs(1);
        for number in 0..=REMEMBERED_MAX.get() as u64 {
            recent.count(now, QueueId::from_u64(number), RecipientIndex(0), None);
        }
        let mut hits =
            |number| recent.count(now, QueueId::from_u64(number), RecipientIndex(0), None).hits;
        assert_eq!((hits(1), hits(0)), (2, 1));
    }
}
