//! `/v1/templates`.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use serde_json::Map;
use serde_json::Value;

use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::problem::FieldError;
use maily_api::template::Finding;
use maily_api::template::Findings;
use maily_api::template::LintRequest;
use maily_api::template::Template;
use maily_api::template::TemplateContent;
use maily_api::template::TemplateVersion;
use maily_core::render::lint;
use maily_core::render::mailing::Attachment;
use maily_core::render::mailing::Parts;
use maily_registry::name::Name;
use maily_registry::storing::TemplateDraft;
use maily_registry::template;
use maily_registry::template::TEMPLATE_OCTETS_MAX;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::body::Json;
use crate::convert;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::InProject;
use crate::principal::Principal;

/// The most characters of a subject: those of a line (RFC 5322 2.1.1).
const SUBJECT_CHARACTERS_MAX: usize = 998;

fn no_template() -> Fault {
    Fault::not_found("there is no such template")
}

fn name_of(text: &str) -> Result<Name, Fault> {
    text.parse().map_err(|_| no_template())
}

/// A template, with its version as its ETag.
struct Tagged(StatusCode, template::Template, Vec<Finding>);

impl IntoResponse for Tagged {
    fn into_response(self) -> Response {
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.1.version.number));
        let shown = Template {
            version: convert::version(self.1.version),
            content: convert::content(self.1.content),
            findings: self.2,
        };
        let mut response = Answer(self.0, shown).into_response();
        if let Ok(tag) = tag {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// A template that was found, with advice about it.
async fn tagged(found: template::Template) -> Outcome<Response> {
    let findings = advice(&found.content, None).await?;
    Ok(Tagged(StatusCode::OK, found, findings).into_response())
}

/// List templates
///
/// The newest version of each.
#[utoipa::path(
    get,
    path = "/v1/templates",
    tag = "templates",
    params(PageQuery),
    responses((status = 200, body = Page<TemplateVersion>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    wanted: Wanted,
) -> Outcome<Rows<TemplateVersion>> {
    let after: Option<Name> = wanted.cursor(|text| text.parse().ok())?;
    let rows = shared.parts.registry.templates(&project, after.as_ref(), wanted.looked_for());
    Ok(wanted.page(rows, |row| row.name.to_string(), convert::version))
}

/// Show a template
///
/// Its newest version.
#[utoipa::path(
    get,
    path = "/v1/templates/{template}",
    tag = "templates",
    params(("template" = String, Path, description = "Its name", max_length = 63)),
    responses((status = 200, body = Template))
)]
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(name): Path<String>,
) -> Outcome<Response> {
    let found = shared.parts.registry.template(&project, &name_of(&name)?, None);
    tagged(found.ok_or_else(no_template)?).await
}

/// Store a template
///
/// It becomes the newest version; those before it stay, up to 50 of them. With `If-Match` and the
/// ETag of a version, only if that is still the newest one; with `If-None-Match: *`, only if there
/// is none.
#[utoipa::path(
    put,
    path = "/v1/templates/{template}",
    tag = "templates",
    params(
        (
            "template" = String,
            Path,
            description = "Its name",
            min_length = 1,
            max_length = 63,
            pattern = "^[a-z0-9][a-z0-9._-]{0,62}$"
        ),
        (
            "If-Match" = Option<String>,
            Header,
            description = "The ETag that it must have",
            pattern = "^\"[1-9][0-9]{0,8}\"$"
        ),
        (
            "If-None-Match" = Option<String>,
            Header,
            description = "`*`: there must be none",
            pattern = "^[*]$"
        )
    ),
    request_body = TemplateContent,
    responses(
        (status = 200, body = Template, description = "a new version"),
        (status = 201, body = Template, description = "the first version"),
        (status = 409, description = "there are too many"),
        (status = 412, description = "somebody else changed it")
    )
)]
pub(crate) async fn put(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    InProject(project): InProject,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(content): Json<TemplateContent>,
) -> Outcome<Response> {
    let name = name.parse::<Name>();
    let name = name.map_err(|error| Fault::malformed(format!("the template's name: {error}")))?;
    let expected = expected(&headers)?;
    let content = checked(content)?;
    let findings = advice(&content, None).await?;
    sound(&findings)?;
    let draft = TemplateDraft { project, name, content, created_by: principal.actor(), expected };
    let made = shared.parts.registry.put_template(draft, shared.parts.clock.now()).await?;
    let first = made.version.number == 1;
    let status = if first { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Tagged(status, made, findings).into_response())
}

/// Which version must be the newest, if that is said (RFC 9110 13.1).
fn expected(headers: &HeaderMap) -> Result<Option<u32>, Fault> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(None),
        (None, Some("*")) => Ok(Some(0)),
        (Some(tag), None) => {
            let quoted = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let number = quoted.and_then(|number| number.parse().ok()).filter(|n| *n > 0);
            number.map(Some).ok_or_else(|| Fault::malformed("If-Match must be an ETag of ours"))
        }
        _ => Err(Fault::malformed("say If-Match with an ETag, or If-None-Match: *")),
    }
}

/// What a template says, if it may.
fn checked(content: TemplateContent) -> Result<template::Content, Fault> {
    let mut errors = Vec::new();
    errors.extend(convert::line("/subject", &content.subject, SUBJECT_CHARACTERS_MAX));
    if !errors.is_empty() {
        return Err(Fault::invalid(errors));
    }
    if content.text.is_none() && content.html.is_none() {
        return Err(Fault::invalid_at("", "empty", "there must be text, html or both"));
    }
    let content = convert::content_of(content);
    if content.octets() > TEMPLATE_OCTETS_MAX {
        let detail = format!("all of it may have {TEMPLATE_OCTETS_MAX} octets at most");
        return Err(Fault::invalid_at("", "too_long", detail));
    }
    Ok(content)
}

/// The words of a stored template as they are rendered.
pub fn parts(content: template::Content, attachments: Vec<Attachment>) -> Parts {
    let template::Content { subject, text, html } = content;
    Parts { subject, text, html, attachments }
}

/// Remove a template
///
/// With all its versions. Mail that was pinned to one keeps its words.
#[utoipa::path(
    delete,
    path = "/v1/templates/{template}",
    tag = "templates",
    params(("template" = String, Path, description = "Its name", max_length = 63)),
    responses((status = 204, description = "it is gone"))
)]
pub(crate) async fn remove(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(name): Path<String>,
) -> Outcome<StatusCode> {
    shared.parts.registry.remove_template(&project, &name_of(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The advice about a template. It takes a while, so it is given in a thread that may.
async fn advice(
    content: &template::Content,
    sample: Option<Map<String, Value>>,
) -> Result<Vec<Finding>, Fault> {
    let parts = Parts {
        subject: content.subject.clone(),
        text: content.text.clone(),
        html: content.html.clone(),
        attachments: Vec::new(),
    };
    let found = tokio::task::spawn_blocking(move || lint::lint(&parts, sample.as_ref())).await;
    let found = found.map_err(|error| Fault::ours(&error))?;
    let finding = |found: lint::Finding| Finding {
        code: found.code.to_owned(),
        part: found.part.into(),
        detail: found.detail.into(),
    };
    Ok(found.into_iter().map(finding).collect())
}

/// Refuses what is no template: mail bound to it late could never be sent.
fn sound(findings: &[Finding]) -> Result<(), Fault> {
    let broken = findings.iter().filter(|found| found.code == lint::NO_TEMPLATE);
    let errors: Vec<_> = broken
        .map(|found| FieldError {
            pointer: found.part.clone(),
            code: found.code.clone(),
            detail: found.detail.clone(),
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Fault::invalid(errors)) }
}

/// Judge a template
///
/// What it would better not have; nothing is stored. With a sample of a recipient's variables, also
/// those that it lacks and those that it does not use.
#[utoipa::path(
    post,
    path = "/v1/lint",
    tag = "templates",
    request_body = LintRequest,
    responses((status = 200, body = Findings))
)]
pub(crate) async fn judge(Json(request): Json<LintRequest>) -> Outcome<Answer<Findings>> {
    let content = checked(request.content).map_err(|fault| fault.below("/content"))?;
    let sample = request.sample.map(|sample| serde_json::from_str(sample.get())).transpose();
    let sample =
        sample.map_err(|error| Fault::invalid_at("/sample", "no_object", error.to_string()))?;
    Ok(Answer(StatusCode::OK, Findings { findings: advice(&content, sample).await? }))
}

/// List the versions of a template
#[utoipa::path(
    get,
    path = "/v1/templates/{template}/versions",
    tag = "templates",
    params(("template" = String, Path, description = "Its name", max_length = 63), PageQuery),
    responses((status = 200, body = Page<TemplateVersion>))
)]
pub(crate) async fn versions(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path(name): Path<String>,
    wanted: Wanted,
) -> Outcome<Rows<TemplateVersion>> {
    let after: Option<u32> = wanted.cursor(|text| text.parse().ok())?;
    let (registry, name) = (&shared.parts.registry, name_of(&name)?);
    registry.template(&project, &name, None).ok_or_else(no_template)?;
    let rows = registry.versions(&project, &name, after, wanted.looked_for());
    Ok(wanted.page(rows, |row| row.number.to_string(), convert::version))
}

/// Show a version of a template
#[utoipa::path(
    get,
    path = "/v1/templates/{template}/versions/{version}",
    tag = "templates",
    params(
        ("template" = String, Path, description = "Its name", max_length = 63),
        ("version" = u32, Path, description = "Its number", minimum = 1)
    ),
    responses((status = 200, body = Template))
)]
pub(crate) async fn show_version(
    State(shared): State<Arc<Shared>>,
    InProject(project): InProject,
    Path((name, version)): Path<(String, String)>,
) -> Outcome<Response> {
    let number: u32 = version.parse().map_err(|_| no_template())?;
    let found = shared.parts.registry.template(&project, &name_of(&name)?, Some(number));
    tagged(found.ok_or_else(no_template)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(subject: &str, text: Option<&str>) -> TemplateContent {
        let text = text.map(str::to_owned);
        TemplateContent { subject: subject.to_owned(), text, html: None }
    }

    #[test]
    fn a_subject_is_one_line_and_something_must_be_said() {
        assert!(checked(content("Hello {{ name }}", Some("x"))).is_ok());
        for bad in [
            content("a\r\nBcc: b@c.example", Some("x")),
            content(&"a".repeat(SUBJECT_CHARACTERS_MAX + 1), Some("x")),
            content("a", None),
            content("", Some(&"x".repeat(TEMPLATE_OCTETS_MAX + 1))),
        ] {
            assert_eq!(checked(bad).unwrap_err().status(), 422);
        }
        assert!(checked(content("", Some(&"x".repeat(TEMPLATE_OCTETS_MAX)))).is_ok());
    }

    #[test]
    fn conditions_name_a_version_or_none() {
        let with = |name: header::HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            expected(&headers).map_err(|fault| fault.status())
        };
        assert_eq!(expected(&HeaderMap::new()).unwrap(), None);
        assert_eq!(with(header::IF_MATCH, "\"3\""), Ok(Some(3)));
        assert_eq!(with(header::IF_NONE_MATCH, "*"), Ok(Some(0)));
        for bad in ["3", "\"0\"", "*", "\"x\"", "W/\"3\""] {
            assert_eq!(with(header::IF_MATCH, bad), Err(400), "{bad}");
        }
        assert_eq!(with(header::IF_NONE_MATCH, "\"3\""), Err(400));
    }
}
