//! `/v1/projects`, and the domains that they may send as.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::problem::FieldError;
use maily_api::project::Project;
use maily_api::project::ProjectRequest;
use maily_api::project::SenderDomains;
use maily_core::mail::address::Domain;
use maily_registry::name::Name;
use maily_registry::project;
use maily_registry::project::DESCRIPTION_CHARACTERS_MAX;
use maily_registry::senders::SENDER_DOMAINS_MAX;

use crate::answer::Answer;
use crate::answer::Made;
use crate::answer::Outcome;
use crate::body::Json;
use crate::convert;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::Principal;

/// List projects
///
/// Those that one may see: all, or one's own.
#[utoipa::path(
    get,
    path = "/v1/projects",
    tag = "projects",
    params(PageQuery),
    responses((status = 200, body = Page<Project>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    wanted: Wanted,
) -> Outcome<Rows<Project>> {
    let after: Option<Name> = wanted.cursor(|text| text.parse().ok())?;
    let registry = &shared.parts.registry;
    let rows = match &principal.bound {
        None => registry.projects(after.as_ref(), wanted.looked_for()),
        Some(own) if after.as_ref().is_none_or(|after| after < own) => {
            registry.project(own).into_iter().collect()
        }
        Some(_) => Vec::new(),
    };
    Ok(wanted.page(rows, |row| row.name.to_string(), convert::project))
}

/// Make a project
#[utoipa::path(
    post,
    path = "/v1/projects",
    tag = "projects",
    request_body = ProjectRequest,
    responses((status = 201, body = Project), (status = 409, description = "there is one"))
)]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Json(request): Json<ProjectRequest>,
) -> Outcome<Made<Project>> {
    let mut errors = Vec::new();
    let name = request.name.parse::<Name>();
    if let Some(text) = &request.description {
        errors.extend(convert::line("/description", text, DESCRIPTION_CHARACTERS_MAX));
    }
    let name = match (name, errors.is_empty()) {
        (Ok(name), true) => name,
        (Ok(_), false) => return Err(Fault::invalid(errors)),
        (Err(error), _) => return Err(Fault::invalid_at("/name", "no_name", error.to_string())),
    };
    let project = project::Project {
        name,
        description: request.description.map(Into::into),
        created_at: shared.parts.clock.now(),
        created_by: principal.actor(),
    };
    shared.parts.registry.create_project(&project).await?;
    Ok(Made(format!("/v1/projects/{}", project.name), convert::project(project)))
}

/// Show a project
#[utoipa::path(
    get,
    path = "/v1/projects/{project}",
    tag = "projects",
    params(("project" = String, Path, description = "Its name", max_length = 63)),
    responses((status = 200, body = Project))
)]
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Path(name): Path<String>,
) -> Outcome<Answer<Project>> {
    let project = visible(&shared, &principal, &name)?;
    Ok(Answer(StatusCode::OK, convert::project(project)))
}

/// The project of this name, if there is one and one may see it.
fn visible(shared: &Shared, asks: &Principal, name: &str) -> Result<project::Project, Fault> {
    let name: Option<Name> = name.parse().ok();
    let visible = name.filter(|name| asks.bound.as_ref().is_none_or(|own| own == name));
    let project = visible.and_then(|name| shared.parts.registry.project(&name));
    project.ok_or_else(|| Fault::not_found("there is no such project"))
}

/// Show the domains that a project may send as
///
/// 404 as long as nothing was said: then it may send as any.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/senders",
    tag = "projects",
    params(("project" = String, Path, description = "Its name", max_length = 63)),
    responses((status = 200, body = SenderDomains))
)]
pub(crate) async fn show_senders(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Path(name): Path<String>,
) -> Outcome<Answer<SenderDomains>> {
    let project = visible(&shared, &principal, &name)?;
    let own = shared.parts.registry.senders(&project.name);
    let own = own.ok_or_else(|| Fault::not_found("this project may send as any domain"))?;
    let domains = own.iter().map(|domain| domain.as_str().to_owned()).collect();
    Ok(Answer(StatusCode::OK, SenderDomains { domains }))
}

/// Say as which domains a project may send
///
/// From any other domain nothing of it is taken from then on. What waits is sent.
#[utoipa::path(
    put,
    path = "/v1/projects/{project}/senders",
    tag = "projects",
    params(("project" = String, Path, description = "Its name", max_length = 63)),
    request_body = SenderDomains,
    responses((status = 204, description = "it is kept"))
)]
pub(crate) async fn set_senders(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Path(name): Path<String>,
    Json(request): Json<SenderDomains>,
) -> Outcome<StatusCode> {
    let project = visible(&shared, &principal, &name)?;
    let mut errors = Vec::new();
    if request.domains.len() > SENDER_DOMAINS_MAX {
        let detail = format!("there may be {SENDER_DOMAINS_MAX} at most");
        return Err(Fault::invalid_at("/domains", "count", detail));
    }
    let mut domains = Vec::with_capacity(request.domains.len());
    for (number, text) in request.domains.iter().enumerate() {
        match Domain::parse(text) {
            Ok(domain) => domains.push(domain),
            Err(why) => errors.push(FieldError {
                pointer: format!("/domains/{number}"),
                code: "domain".to_owned(),
                detail: format!("this is no domain: {why}"),
            }),
        }
    }
    if !errors.is_empty() {
        return Err(Fault::invalid(errors));
    }
    shared.parts.registry.set_senders(&project.name, &domains).await?;
    Ok(StatusCode::NO_CONTENT)
}
