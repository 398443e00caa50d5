//! `/v1/projects`.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::project::Project;
use maily_api::project::ProjectRequest;
use maily_registry::name::Name;
use maily_registry::project;
use maily_registry::project::DESCRIPTION_CHARACTERS_MAX;

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
    let name: Option<Name> = name.parse().ok();
    let visible = name.filter(|name| principal.bound.as_ref().is_none_or(|own| own == name));
    let project = visible.and_then(|name| shared.parts.registry.project(&name));
    let project = project.ok_or_else(|| Fault::not_found("there is no such project"))?;
    Ok(Answer(StatusCode::OK, convert::project(project)))
}
