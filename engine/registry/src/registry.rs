//! [`Registry`]: the projects, tokens, templates and webhooks, durable, and in memory for whoever
//! asks.
//!
//! What is changed is on disk and synced before its author is told. Changes are made one after the
//! other, so that each is decided by what the one before it left.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use parking_lot::RwLock;
use tokio::sync::watch;

use maily_core::clock::Timestamp;
use maily_journal::journal::Options;
use maily_journal::table::OpenError;
use maily_journal::table::Table;

use crate::error::RegistryError;
use crate::jwt::Key;
use crate::name::Name;
use crate::project::PROJECTS_MAX;
use crate::project::Project;
use crate::shelf;
use crate::shelf::Kind;
use crate::shelf::Shelf;
use crate::token::TokenId;

/// The registry; clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) shelf: Shelf,
    /// Held while a change is decided and made.
    pub(crate) writing: Arc<tokio::sync::Mutex<()>>,
    /// The keys of JWTs.
    pub(crate) keys: Arc<RwLock<Vec<Key>>>,
    /// Counts the changes of webhooks.
    pub(crate) changed: Arc<watch::Sender<u64>>,
    /// When a token's use was written down last.
    pub(crate) used: Arc<Mutex<HashMap<TokenId, Timestamp>>>,
}

impl Registry {
    /// Opens the registry in this folder, which is made if missing, for this process alone; blocks.
    ///
    /// # Errors
    /// The folder is in use, or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let shelf = Shelf::new(Table::open(folder, &Options::small())?);
        let keys = shelf.rows(&shelf::key(Kind::Key, &[]), None, usize::MAX);
        Ok(Self {
            shelf,
            writing: Arc::default(),
            keys: Arc::new(RwLock::new(keys)),
            changed: Arc::default(),
            used: Arc::default(),
        })
    }

    /// The project of this name.
    pub fn project(&self, name: &Name) -> Option<Project> {
        self.shelf.get(&shelf::key(Kind::Project, &[name.as_str().as_bytes()]))
    }

    /// Up to so many projects behind this one, by name.
    pub fn projects(&self, after: Option<&Name>, limit: usize) -> Vec<Project> {
        let after = after.map(|name| shelf::key(Kind::Project, &[name.as_str().as_bytes()]));
        self.shelf.rows(&shelf::key(Kind::Project, &[]), after.as_deref(), limit)
    }

    /// Makes a project.
    ///
    /// # Errors
    /// There is one of this name, or there are too many.
    pub async fn create_project(&self, project: &Project) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        let key = shelf::key(Kind::Project, &[project.name.as_str().as_bytes()]);
        if self.shelf.contains(&key) {
            return Err(RegistryError::Exists("project"));
        }
        if self.shelf.keys(&shelf::key(Kind::Project, &[]), PROJECTS_MAX).len() >= PROJECTS_MAX {
            return Err(RegistryError::TooMany { what: "projects", most: PROJECTS_MAX });
        }
        self.shelf.change(vec![shelf::put(key, project)?]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn project(name: &str) -> Project {
        Project {
            name: name.parse().unwrap(),
            description: None,
            created_at: Timestamp::from_secs(1),
            created_by: "uid:0".into(),
        }
    }

    #[tokio::test]
    async fn projects_are_there_after_a_restart_in_the_order_of_the_shelf() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        for name in ["b", "a", "c"] {
            registry.create_project(&project(name)).await.unwrap();
        }
        let again = registry.create_project(&project("a")).await;
        assert_eq!(again, Err(RegistryError::Exists("project")));
        drop(registry);
        let registry = Registry::open(dir.path()).unwrap();
        let names = |after: Option<&str>, limit| {
            let after = after.map(|name| name.parse().unwrap());
            let found = registry.projects(after.as_ref(), limit);
            found.iter().map(|project| project.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(None, 2), ["a", "b"]);
        assert_eq!(names(Some("b"), 2), ["c"]);
        assert!(registry.project(&"z".parse().unwrap()).is_none());
    }

    #[tokio::test]
    async fn one_project_above_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path()).unwrap();
        let mut making = tokio::task::JoinSet::new();
        for number in 0..PROJECTS_MAX {
            let rows = vec![
                shelf::put(
                    shelf::key(Kind::Project, &[format!("p{number}").as_bytes()]),
                    &project(&format!("p{number}")),
                )
                .unwrap(),
            ];
            let registry = registry.clone();
            making.spawn(async move { registry.shelf.change(rows).await.unwrap() });
        }
        while making.join_next().await.is_some() {}
        let above = registry.create_project(&project("above")).await;
        assert_eq!(above, Err(RegistryError::TooMany { what: "projects", most: PROJECTS_MAX }));
    }
}
