//! Why a group's messages do not go.

use crate::clock::Timestamp;
use crate::queue::action::Connection;
use crate::queue::lane::Obstacle;
use crate::queue::lane::Readiness;
use crate::queue::lane::Share;
use crate::queue::policy::Policy;
use crate::queue::policy::SourceIndex;
use crate::queue::sites::Sites;
use crate::queue::sites::is_suspended;
use crate::queue::suspension::Suspensions;

/// What keeps a group's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Nothing: they go one after the other.
    Turn,
    /// There may be no more connections in all.
    Sessions,
    /// An operator holds the site back.
    Site,
    /// An operator holds each of the sources back.
    Sources,
    /// This, in the lane of this source, which is the first that will be ready again.
    Lane(SourceIndex, Obstacle),
}

impl Sites {
    /// What keeps the messages of a group now.
    pub(crate) fn block(
        &self,
        now: Timestamp,
        group: u32,
        policy: &Policy,
        suspensions: &Suspensions,
    ) -> Block {
        let Some(group) = self.groups.get(group) else { return Block::Turn };
        let Some(site) = self.sites.get(group.site) else { return Block::Turn };
        if site.suspended {
            return Block::Site;
        }
        let pool = policy.pools.get(usize::from(group.pool)).map_or(&[][..], |pool| &pool.sources);
        let heaviest = pool.iter().map(|source| policy.weight(*source)).max().unwrap_or(1);
        let mut best: Option<(Timestamp, Block)> = None;
        for source in pool {
            if is_suspended(*source, policy, suspensions) {
                continue;
            }
            let share = Share { weight: policy.weight(*source), heaviest };
            let lane = self.lane_of(site, *source).and_then(|lane| self.lanes.get(lane));
            let ready = self.readiness(now, site, *source, share);
            let (at, block) = match ready {
                Readiness::Ready(Connection::New) if self.connections >= policy.connections_max => {
                    (now, Block::Sessions)
                }
                Readiness::Ready(_) => return Block::Turn,
                Readiness::Later(at) => (at, Block::Turn),
                Readiness::Full | Readiness::Suspended => (Timestamp::MAX, Block::Turn),
            };
            let obstacle = lane.and_then(|lane| lane.obstacle(&site.limits, now, share));
            let block = obstacle.map_or(block, |obstacle| Block::Lane(*source, obstacle));
            if best.is_none_or(|(soonest, _)| at < soonest) {
                best = Some((at, block));
            }
        }
        best.map_or(Block::Sources, |(_, block)| block)
    }
}
