//! The registry's templates: storing, reading and removing them.

use bytes::Bytes;

use maily_core::clock::Timestamp;
use maily_journal::change::Change;

use crate::error::RegistryError;
use crate::name::Name;
use crate::registry::Registry;
use crate::shelf;
use crate::shelf::Kind;
use crate::template::Content;
use crate::template::TEMPLATE_OCTETS_MAX;
use crate::template::TEMPLATES_MAX;
use crate::template::TEMPLATES_OCTETS_MAX;
use crate::template::Template;
use crate::template::VERSIONS_MAX;
use crate::template::Version;

/// What to store.
#[derive(Clone, Debug)]
pub struct TemplateDraft {
    /// In which project.
    pub project: Name,
    /// The template's name.
    pub name: Name,
    /// What it says.
    pub content: Content,
    /// Who stores it, as the audit log says it.
    pub created_by: Box<str>,
    /// The number that the newest version must have, 0 for none; any if not set.
    pub expected: Option<u32>,
}

/// The row that says which version is the newest.
fn newest(project: &Name, name: &Name) -> Bytes {
    shelf::key(Kind::Template, &[project.as_str().as_bytes(), name.as_str().as_bytes()])
}

fn newest_of(project: &Name) -> Bytes {
    shelf::key(Kind::Template, &[project.as_str().as_bytes()])
}

fn version(project: &Name, name: &Name, number: u32) -> Bytes {
    let number = number.to_be_bytes();
    let names = [project.as_str().as_bytes(), name.as_str().as_bytes(), &number];
    shelf::key(Kind::Version, &names)
}

fn versions_of(project: &Name, name: &Name) -> Bytes {
    shelf::key(Kind::Version, &[project.as_str().as_bytes(), name.as_str().as_bytes()])
}

impl Registry {
    /// The newest version of a template, without its words: quick, asked for each message.
    pub fn newest_version(&self, project: &Name, name: &Name) -> Option<Version> {
        self.shelf.get(&newest(project, name))
    }

    /// Stores a new version of a template. The oldest one goes when there are too many.
    ///
    /// # Errors
    /// There is no such project, it is too large, there are too many, or the newest version is not
    /// the expected one.
    pub async fn put_template(
        &self,
        draft: TemplateDraft,
        now: Timestamp,
    ) -> Result<Template, RegistryError> {
        let (project, name) = (&draft.project, &draft.name);
        let octets = draft.content.octets();
        if octets > TEMPLATE_OCTETS_MAX {
            let what = "octets of a template";
            return Err(RegistryError::TooMany { what, most: TEMPLATE_OCTETS_MAX });
        }
        let _turn = self.writing.lock().await;
        if self.project(project).is_none() {
            return Err(RegistryError::NotFound("project"));
        }
        let before: Option<Version> = self.shelf.get(&newest(project, name));
        let number = before.as_ref().map_or(0, |before| before.number);
        if draft.expected.is_some_and(|expected| expected != number) {
            return Err(RegistryError::Changed("template"));
        }
        self.make_room(project, before.is_none(), octets)?;
        let made = Template {
            version: Version {
                name: name.clone(),
                number: number + 1,
                created_at: now,
                created_by: draft.created_by.clone(),
            },
            content: draft.content.clone(),
        };
        let mut changes = vec![
            shelf::put(newest(project, name), &made.version)?,
            shelf::put(version(project, name, made.version.number), &made)?,
        ];
        let kept = self.shelf.keys(&versions_of(project, name), VERSIONS_MAX);
        if kept.len() >= VERSIONS_MAX {
            changes.extend(kept.into_iter().take(1).map(Change::Remove));
        }
        self.shelf.change(changes).await?;
        Ok(made)
    }

    fn make_room(&self, project: &Name, first: bool, octets: usize) -> Result<(), RegistryError> {
        let templates = self.shelf.keys(&newest_of(project), TEMPLATES_MAX).len();
        if first && templates >= TEMPLATES_MAX {
            return Err(RegistryError::TooMany { what: "templates", most: TEMPLATES_MAX });
        }
        let all = shelf::key(Kind::Version, &[project.as_str().as_bytes()]);
        if self.shelf.octets(&all) + octets > TEMPLATES_OCTETS_MAX {
            let what = "octets of all templates";
            return Err(RegistryError::TooMany { what, most: TEMPLATES_OCTETS_MAX });
        }
        Ok(())
    }

    /// A template: this version of it, or the newest.
    pub fn template(&self, project: &Name, name: &Name, number: Option<u32>) -> Option<Template> {
        let number = match number {
            Some(number) => number,
            None => self.shelf.get::<Version>(&newest(project, name))?.number,
        };
        self.shelf.get(&version(project, name, number))
    }

    /// The newest versions of up to so many templates behind this one, by name.
    pub fn templates(&self, project: &Name, after: Option<&Name>, limit: usize) -> Vec<Version> {
        let after = after.map(|name| newest(project, name));
        self.shelf.rows(&newest_of(project), after.as_deref(), limit)
    }

    /// Up to so many versions of a template that are kept, behind this number.
    pub fn versions(
        &self,
        project: &Name,
        name: &Name,
        after: Option<u32>,
        limit: usize,
    ) -> Vec<Version> {
        let after = after.map(|number| version(project, name, number));
        let rows = self.shelf.rows(&versions_of(project, name), after.as_deref(), limit);
        rows.into_iter().map(|template: Template| template.version).collect()
    }

    /// Removes a template with all its versions.
    ///
    /// # Errors
    /// There is none.
    pub async fn remove_template(&self, project: &Name, name: &Name) -> Result<(), RegistryError> {
        let _turn = self.writing.lock().await;
        let newest = newest(project, name);
        if !self.shelf.contains(&newest) {
            return Err(RegistryError::NotFound("template"));
        }
        let mut changes = vec![Change::Remove(newest)];
        let versions = self.shelf.keys(&versions_of(project, name), VERSIONS_MAX);
        changes.extend(versions.into_iter().map(Change::Remove));
        self.shelf.change(changes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Project;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn draft(project: &str, template: &str, subject: &str) -> TemplateDraft {
        let content = Content { subject: subject.into(), text: Some("Hello".into()), html: None };
        TemplateDraft {
            project: name(project),
            name: name(template),
            content,
            created_by: "uid:0".into(),
            expected: None,
        }
    }

    async fn registry(folder: &std::path::Path) -> Registry {
        let registry = Registry::open(folder).unwrap();
        for project in ["a", "b"] {
            let project = Project {
                name: name(project),
                description: None,
                created_at: at(0),
                created_by: "uid:0".into(),
            };
            registry.create_project(&project).await.unwrap();
        }
        registry
    }

    #[tokio::test]
    async fn versions_stay_as_they_were_and_projects_do_not_see_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path()).await;
        registry.put_template(draft("a", "hi", "one"), at(1)).await.unwrap();
        registry.put_template(draft("a", "hi", "two"), at(2)).await.unwrap();
        registry.put_template(draft("b", "hi", "theirs"), at(3)).await.unwrap();
        drop(registry);
        let registry = Registry::open(dir.path()).unwrap();
        let subject = |project: &str, number| {
            let found = registry.template(&name(project), &name("hi"), number);
            found.map(|template| template.content.subject.into_string())
        };
        assert_eq!(subject("a", None).as_deref(), Some("two"));
        assert_eq!(subject("a", Some(1)).as_deref(), Some("one"));
        assert_eq!(subject("b", None).as_deref(), Some("theirs"));
        assert_eq!(subject("a", Some(3)), None);
        let numbers = registry.versions(&name("a"), &name("hi"), Some(1), 10);
        assert_eq!(numbers.iter().map(|version| version.number).collect::<Vec<_>>(), [2]);
        assert_eq!(registry.templates(&name("a"), None, 10).len(), 1);
    }

    #[tokio::test]
    async fn a_change_by_somebody_else_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path()).await;
        let expecting =
            |expected| TemplateDraft { expected: Some(expected), ..draft("a", "hi", "words") };
        let early = registry.put_template(expecting(1), at(1)).await;
        assert_eq!(early.unwrap_err(), RegistryError::Changed("template"));
        registry.put_template(expecting(0), at(1)).await.unwrap();
        registry.put_template(expecting(1), at(1)).await.unwrap();
        let late = registry.put_template(expecting(1), at(1)).await;
        assert_eq!(late.unwrap_err(), RegistryError::Changed("template"));
    }

    #[tokio::test]
    async fn the_oldest_version_goes_and_a_removed_template_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path()).await;
        for _ in 0..=VERSIONS_MAX {
            registry.put_template(draft("a", "hi", "words"), at(1)).await.unwrap();
        }
        let kept = registry.versions(&name("a"), &name("hi"), None, 1_000);
        assert_eq!((kept.len(), kept[0].number), (VERSIONS_MAX, 2));
        registry.remove_template(&name("a"), &name("hi")).await.unwrap();
        assert!(registry.versions(&name("a"), &name("hi"), None, 1_000).is_empty());
        let again = registry.remove_template(&name("a"), &name("hi")).await;
        assert_eq!(again, Err(RegistryError::NotFound("template")));
    }

    #[tokio::test]
    async fn one_octet_above_the_limit_is_refused_and_so_is_too_much_in_all() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path()).await;
        let sized = |template: &str, octets: usize| TemplateDraft {
            content: Content { subject: "a".repeat(octets).into(), text: None, html: None },
            ..draft("a", template, "")
        };
        let above = registry.put_template(sized("x", TEMPLATE_OCTETS_MAX + 1), at(1)).await;
        assert!(matches!(above, Err(RegistryError::TooMany { .. })));
        let fits = TEMPLATES_OCTETS_MAX / (TEMPLATE_OCTETS_MAX + 1_024);
        for number in 0..fits {
            let name = format!("t{number}");
            registry.put_template(sized(&name, TEMPLATE_OCTETS_MAX), at(1)).await.unwrap();
        }
        let above = registry.put_template(sized("above", TEMPLATE_OCTETS_MAX), at(1)).await;
        assert!(matches!(above, Err(RegistryError::TooMany { .. })), "{fits}");
        let beside = draft("b", "theirs", "words");
        registry.put_template(beside, at(1)).await.unwrap();
    }

    #[tokio::test]
    async fn one_template_above_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(dir.path()).await;
        let mut making = tokio::task::JoinSet::new();
        for number in 0..TEMPLATES_MAX {
            let registry = registry.clone();
            let rows = vec![
                shelf::put(newest(&name("a"), &name(&format!("t{number}"))), &number).unwrap(),
            ];
            making.spawn(async move { registry.shelf.change(rows).await.unwrap() });
        }
        while making.join_next().await.is_some() {}
        let above = registry.put_template(draft("a", "above", "words"), at(1)).await;
        let limit = RegistryError::TooMany { what: "templates", most: TEMPLATES_MAX };
        assert_eq!(above.unwrap_err(), limit);
        registry.put_template(draft("b", "beside", "words"), at(1)).await.unwrap();
    }
}
