//! Whom the delivery room asks when it writes a message that is bound late: the registry for stored
//! templates, the suppressions for who must not be written to.

use std::sync::Arc;

use maily_core::bounce::classify::Rules;
use maily_core::clock::Clock;
use maily_core::event::SuppressionReason;
use maily_core::mail::address::Mailbox;
use maily_core::render::mailing::Mailing;
use maily_core::tracking::links::Links;
use maily_delivery::binding::Asked;
use maily_delivery::binding::Binder;
use maily_delivery::binding::Named;
use maily_delivery::binding::Shelf;
use maily_delivery::dropping::Addressed;
use maily_delivery::dropping::Dropped;
use maily_delivery::dropping::Veto;
use maily_events::suppression::Suppressions;
use maily_http::templates::parts;
use maily_ingress::door::FrontDoor;
use maily_plugins::set::Plugins;
use maily_registry::registry::Registry;
use maily_registry::template::Version;

/// What all binders share.
#[derive(Clone)]
pub struct Late {
    /// Where stored templates are; none without HTTP.
    pub registry: Option<Registry>,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// With what links that lead back to us are made, if any are.
    pub links: Option<Arc<Links>>,
    /// What replies mean.
    pub rules: Arc<Rules>,
    /// What else recipients read.
    pub plugins: Arc<Plugins>,
}

impl Late {
    /// A binder for the messages that come through this door.
    pub fn binder(&self, door: &FrontDoor) -> Arc<Binder> {
        let (spool, hostname) = (door.spool.clone(), Arc::clone(&door.hostname));
        let this = Arc::new(self.clone());
        let plugins = Arc::clone(&self.plugins);
        let asked = Asked { shelf: Arc::clone(&this) as Arc<dyn Shelf>, veto: this, plugins };
        Arc::new(Binder::new(spool, asked, hostname, self.links.clone()))
    }

    /// By whom it was taken back, with all mail of a tag.
    fn withdrawn(&self, addressed: Addressed<'_>) -> Option<Box<str>> {
        let registry = self.registry.as_ref()?;
        let accepted = addressed.stored.submission.accepted_at;
        let Mailing { project, tags, .. } = addressed.mailing;
        tags.iter().find_map(|tag| {
            let withdrawal = registry.withdrawn(project, tag, accepted)?;
            Some(format!("taken back by {} with all of the tag {tag}", withdrawal.by).into())
        })
    }

    fn newest(&self, project: &str, name: &str) -> Option<Version> {
        self.registry.as_ref()?.newest_version(&project.parse().ok()?, &name.parse().ok()?)
    }
}

/// A template that was removed and stored anew begins with 1 again: its time tells it apart.
const fn number(version: &Version) -> u64 {
    version.created_at.as_micros()
}

impl Shelf for Late {
    fn version(&self, project: &str, name: &str) -> Option<u64> {
        self.newest(project, name).map(|version| number(&version))
    }

    fn find(&self, project: &str, name: &str) -> Option<Named> {
        let (project, name) = (project.parse().ok()?, name.parse().ok()?);
        let found = self.registry.as_ref()?.template(&project, &name, None)?;
        let version = number(&found.version);
        Some(Named { version, parts: Arc::new(parts(found.content, Vec::new())) })
    }
}

impl Veto for Late {
    fn why_not(&self, addressed: Addressed<'_>) -> Option<Dropped> {
        if let Some(withdrawal) = self.withdrawn(addressed) {
            return Some(Dropped::Cancelled(withdrawal));
        }
        let (project, list) = (&addressed.mailing.project, addressed.mailing.list_name());
        self.suppressions
            .is_suppressed(self.clock.now(), project, list, addressed.to)
            .map(Dropped::Suppressed)
    }

    fn why_nobody(&self, project: &str, to: &Mailbox) -> Option<SuppressionReason> {
        self.suppressions.is_suppressed(self.clock.now(), project, "", to)
    }
}
