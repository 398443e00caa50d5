//! `/v1/whoami` and `/v1/auth/jwt`.

use std::sync::Arc;

use axum::extract::State;
use hyper::StatusCode;

use maily_api::session::Jwt;
use maily_api::session::JwtRequest;
use maily_api::session::Whoami;

use crate::answer::Answer;
use crate::answer::Outcome;
use crate::body::Json;
use crate::convert;
use crate::fault::Fault;
use crate::parts::Shared;
use crate::principal::Principal;
use crate::principal::Proof;

/// Who one is
///
/// What the token, JWT or socket that is used may do.
#[utoipa::path(get, path = "/v1/whoami", tag = "access", responses((status = 200, body = Whoami)))]
pub(crate) async fn whoami(principal: Principal) -> Answer<Whoami> {
    let permissions = principal.permissions.and(principal.role.permissions());
    Answer(
        StatusCode::OK,
        Whoami {
            actor: principal.actor().into(),
            project: principal.bound.map(|project| project.to_string()),
            role: convert::role(principal.role),
            permissions: permissions.names().into_iter().map(str::to_owned).collect(),
            expires_at: principal.expires_at.map(|at| at.to_string()),
        },
    )
}

/// Make a JWT from a token
///
/// It is good for 15 minutes, and ends with its token. Only a token makes one: a JWT does not make
/// another.
#[utoipa::path(
    post,
    path = "/v1/auth/jwt",
    tag = "access",
    request_body = JwtRequest,
    responses((status = 201, body = Jwt))
)]
pub(crate) async fn issue_jwt(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    Json(request): Json<JwtRequest>,
) -> Outcome<Answer<Jwt>> {
    let Proof::Token(token) = &principal.proof else {
        return Err(Fault::forbidden("a JWT is made from a token"));
    };
    let scopes = convert::scopes_of(&request.scopes)?;
    let (parts, now) = (&shared.parts, shared.parts.clock.now());
    let issued = parts.registry.issue_jwt(token, &scopes, now, parts.chance.as_ref()).await?;
    let (token, end) = issued;
    Ok(Answer(StatusCode::CREATED, Jwt { token, expires_at: end.to_string() }))
}
