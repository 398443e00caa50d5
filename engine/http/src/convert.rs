//! Between what is kept and what the contract says.

use maily_api::audit::AuditEntry;
use maily_api::problem::FieldError;
use maily_api::project::Project;
use maily_api::template::TemplateContent;
use maily_api::template::TemplateVersion;
use maily_api::token::Role;
use maily_api::token::SCOPES_MAX;
use maily_api::token::Scope;
use maily_api::token::Token;
use maily_registry::audit_entry::Entry;
use maily_registry::audit_entry::Hash;
use maily_registry::permission;
use maily_registry::project;
use maily_registry::template;
use maily_registry::token;

use crate::fault::Fault;

pub(crate) const fn role(role: permission::Role) -> Role {
    match role {
        permission::Role::Owner => Role::Owner,
        permission::Role::Admin => Role::Admin,
        permission::Role::Editor => Role::Editor,
        permission::Role::Viewer => Role::Viewer,
        permission::Role::Api => Role::Api,
    }
}

pub(crate) const fn role_of(role: Role) -> permission::Role {
    match role {
        Role::Owner => permission::Role::Owner,
        Role::Admin => permission::Role::Admin,
        Role::Editor => permission::Role::Editor,
        Role::Viewer => permission::Role::Viewer,
        Role::Api => permission::Role::Api,
    }
}

const fn scope(scope: permission::Scope) -> Scope {
    match scope {
        permission::Scope::Send => Scope::Send,
        permission::Scope::Read => Scope::Read,
        permission::Scope::Templates => Scope::Templates,
        permission::Scope::Suppressions => Scope::Suppressions,
        permission::Scope::Webhooks => Scope::Webhooks,
        permission::Scope::Admin => Scope::Admin,
    }
}

/// The scopes of a request, if it names no more than there may be.
pub(crate) fn scopes_of(scopes: &[Scope]) -> Result<Vec<permission::Scope>, Fault> {
    if scopes.len() > SCOPES_MAX {
        let detail = format!("there may be {SCOPES_MAX} at most");
        return Err(Fault::invalid_at("/scopes", "too_many", detail));
    }
    let one = |scope: &Scope| match scope {
        Scope::Send => permission::Scope::Send,
        Scope::Read => permission::Scope::Read,
        Scope::Templates => permission::Scope::Templates,
        Scope::Suppressions => permission::Scope::Suppressions,
        Scope::Webhooks => permission::Scope::Webhooks,
        Scope::Admin => permission::Scope::Admin,
    };
    Ok(scopes.iter().map(one).collect())
}

pub(crate) fn token(token: token::Token) -> Token {
    Token {
        id: token.id.to_string(),
        project: token.project.map(|project| project.to_string()),
        role: role(token.role),
        scopes: token.scopes.into_iter().map(scope).collect(),
        label: token.label.map(Into::into),
        created_at: token.created_at.to_string(),
        created_by: token.created_by.into(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        last_used_at: token.last_used_at.map(|at| at.to_string()),
    }
}

pub(crate) fn project(project: project::Project) -> Project {
    Project {
        name: project.name.to_string(),
        description: project.description.map(Into::into),
        created_at: project.created_at.to_string(),
        created_by: project.created_by.into(),
    }
}

pub(crate) fn version(version: template::Version) -> TemplateVersion {
    TemplateVersion {
        name: version.name.to_string(),
        version: version.number,
        created_at: version.created_at.to_string(),
        created_by: version.created_by.into(),
    }
}

pub(crate) fn content(content: template::Content) -> TemplateContent {
    TemplateContent {
        subject: content.subject.into(),
        text: content.text.map(Into::into),
        html: content.html.map(Into::into),
    }
}

pub(crate) fn content_of(content: TemplateContent) -> template::Content {
    template::Content {
        subject: content.subject.into(),
        text: content.text.map(Into::into),
        html: content.html.map(Into::into),
    }
}

pub(crate) fn entry((entry, hash): (Entry, Hash)) -> AuditEntry {
    AuditEntry {
        number: entry.number,
        at: entry.deed.at.to_string(),
        actor: entry.deed.actor.into(),
        client: entry.deed.client.into(),
        project: entry.deed.project.map(|project| project.to_string()),
        action: entry.deed.action.into(),
        object: entry.deed.object.into(),
        outcome: entry.deed.outcome,
        request: entry.deed.request.into(),
        hash: hash.to_string(),
    }
}

/// A text of one line: no control characters, and no longer than it may be.
pub(crate) fn line(pointer: &str, text: &str, most: usize) -> Option<FieldError> {
    let error = |code: &str, detail: String| {
        Some(FieldError { pointer: pointer.to_owned(), code: code.to_owned(), detail })
    };
    if text.chars().count() > most {
        return error("too_long", format!("it may have {most} characters at most"));
    }
    if text.chars().any(char::is_control) {
        return error("control_character", "it must be one line, without controls".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scope_above_the_limit_is_refused() {
        assert_eq!(scopes_of(&[Scope::Read; SCOPES_MAX]).unwrap().len(), SCOPES_MAX);
        assert_eq!(scopes_of(&[Scope::Read; SCOPES_MAX + 1]).unwrap_err().status(), 422);
    }

    #[test]
    fn a_line_is_one_line_and_has_its_limit() {
        let code = |text: &str| line("/label", text, 3).map(|error| error.code);
        assert_eq!(code("äöü"), None);
        assert_eq!(code("äöüß").as_deref(), Some("too_long"));
        for text in ["a\r", "a\n", "\0", "\u{7f}", "\u{85}"] {
            assert_eq!(code(text).as_deref(), Some("control_character"), "{text:?}");
        }
    }
}
