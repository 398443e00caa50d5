//! As which domains a project may send: who shares a daemon with others must not write in their
//! name, and be signed for it.

use bytes::Bytes;

use maily_core::mail::address::Domain;

use crate::error::RegistryError;
use crate::name::Name;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;

/// The most domains of a project.
pub const SENDER_DOMAINS_MAX: usize = 1_000;

fn senders(project: &Name) -> Bytes {
    shelf::key(Kind::Senders, &[project.as_str().as_bytes()])
}

impl Registry {
    /// The domains that a project may send as; none if nothing was said, which is any.
    pub fn senders(&self, project: &Name) -> Option<Vec<Domain>> {
        self.shelf.get(&senders(project))
    }

    /// Whether a project may send as this domain: it is one of its own, or below one.
    pub fn may_send_as(&self, project: &Name, domain: &Domain) -> bool {
        let Some(own) = self.senders(project) else { return true };
        own.iter().any(|own| {
            let above = domain.as_str().strip_suffix(own.as_str());
            above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }

    /// Says as which domains a project may send from now on; none means none.
    ///
    /// # Errors
    /// There is no such project, or there are too many.
    pub async fn set_senders(&self, project: &Name, own: &[Domain]) -> Result<(), RegistryError> {
        if own.len() > SENDER_DOMAINS_MAX {
            let what = "domains of a project";
            return Err(RegistryError::TooMany { what, most: SENDER_DOMAINS_MAX });
        }
        let _turn = self.writing.lock().await;
        if self.project(project).is_none() {
            return Err(RegistryError::NotFound("project"));
        }
        self.shelf.change(vec![shelf::put(senders(project), &own)?]).await
    }
}

#[cfg(test)]
mod tests {
    use maily_core::clock::Timestamp;

    use super::*;
    use crate::project::Project;

    fn domain(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_project_sends_as_its_domains_and_those_below_them() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(folder.path()).unwrap();
        let (shop, other): (Name, Name) = ("shop".parse().unwrap(), "other".parse().unwrap());
        let own = [domain("shop.example"), domain("b.example")];
        let unknown = registry.set_senders(&shop, &own).await;
        assert_eq!(unknown, Err(RegistryError::NotFound("project")));
        let project = Project {
            name: shop.clone(),
            description: None,
            created_at: Timestamp::EPOCH,
            created_by: "uid:0".into(),
        };
        registry.create_project(&project).await.unwrap();
        assert!(registry.may_send_as(&shop, &domain("any.example")), "nothing was said");
        registry.set_senders(&shop, &own).await.unwrap();
        drop(registry);
        let registry = Registry::open(folder.path()).unwrap();
        for (name, may) in [
            ("shop.example", true),
            ("SHOP.example", true),
            ("news.shop.example", true),
            ("b.example", true),
            ("example", false),
            ("bookshop.example", false),
            ("shop.example.net", false),
            ("any.example", false),
        ] {
            assert_eq!(registry.may_send_as(&shop, &domain(name)), may, "{name}");
        }
        assert!(registry.may_send_as(&other, &domain("any.example")));
        registry.set_senders(&shop, &[]).await.unwrap();
        assert!(!registry.may_send_as(&shop, &domain("shop.example")), "none is none");
        let many = vec![domain("a.example"); SENDER_DOMAINS_MAX + 1];
        assert!(registry.set_senders(&shop, &many[1..]).await.is_ok());
        assert!(registry.set_senders(&shop, &many).await.is_err());
    }
}
