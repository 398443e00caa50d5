//! How fast it goes to each site of late.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::queue::pace::Pace;
use crate::queue::sites::Sites;

impl Sites {
    /// What became of recipients in a lane.
    pub(crate) fn count(
        &mut self,
        now: Timestamp,
        lane: u32,
        delivered: u32,
        deferred: u32,
        bounced: u32,
    ) {
        let Some(site) = self.lanes.get(lane).map(|lane| lane.site) else { return };
        if let Some(site) = self.sites.get_mut(site) {
            site.pace.count(now, delivered, deferred, bounced);
        }
    }

    /// Each site, with its connections and its pace.
    pub(crate) fn paces(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, u32, Pace)> {
        self.numbers().into_iter().filter_map(move |number| {
            let site = self.sites.get(number)?;
            let lanes = self.lanes_of(number).into_iter();
            let connections =
                lanes.filter_map(|lane| self.lanes.get(lane)).map(|l| l.connections());
            Some((&site.name, connections.sum(), site.pace.at(now)))
        })
    }
}
