//! `/v1/tokens`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use hyper::StatusCode;

use maily_api::page::Page;
use maily_api::page::PageQuery;
use maily_api::token::NewToken;
use maily_api::token::Token;
use maily_api::token::TokenRequest;
use maily_registry::issuing::TokenDraft;
use maily_registry::token::LABEL_CHARACTERS_MAX;
use maily_registry::token::TokenId;

use crate::answer::Answer;
use crate::answer::Made;
use crate::answer::Outcome;
use crate::body::Json;
use crate::convert;
use crate::fault::Fault;
use crate::paging::Rows;
use crate::paging::Wanted;
use crate::parts::Shared;
use crate::principal::MaybeProject;
use crate::principal::Principal;
use crate::principal::Proof;

/// The longest life of a token that has an end, in seconds: ten years.
pub(crate) const LIFE_SECS_MAX: u32 = 3_650 * 86_400;

/// List tokens
///
/// Those of the project, without their secrets.
#[utoipa::path(
    get,
    path = "/v1/tokens",
    tag = "tokens",
    params(PageQuery),
    responses((status = 200, body = Page<Token>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    wanted: Wanted,
) -> Outcome<Rows<Token>> {
    let after = wanted.cursor(TokenId::parse)?;
    let rows = shared.parts.registry.tokens(project.as_ref(), after.as_ref(), wanted.looked_for());
    Ok(wanted.page(rows, |row| row.id.to_string(), convert::token))
}

/// Make a token
///
/// It is for the project that the request is about, and may do no more than whoever makes it. Who
/// is bound to no project, and names none, makes one that is good for every project. The secret is
/// shown this once.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "tokens",
    request_body = TokenRequest,
    responses((status = 201, body = NewToken), (status = 409, description = "there are too many"))
)]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    MaybeProject(project): MaybeProject,
    Json(request): Json<TokenRequest>,
) -> Outcome<Made<NewToken>> {
    let mut errors = Vec::new();
    if let Some(text) = &request.label {
        errors.extend(convert::line("/label", text, LABEL_CHARACTERS_MAX));
    }
    if !errors.is_empty() {
        return Err(Fault::invalid(errors));
    }
    let now = shared.parts.clock.now();
    let life = request.expires_in_secs;
    if life.is_some_and(|life| life == 0 || life > LIFE_SECS_MAX) {
        let detail = format!("it must be from 1 to {LIFE_SECS_MAX}");
        return Err(Fault::invalid_at("/expires_in_secs", "out_of_range", detail));
    }
    let end = life.map(|life| now + Duration::from_secs(life.into()));
    // What a JWT makes must not outlive the token that the JWT was made from.
    let own_end = match &principal.proof {
        Proof::Jwt(id) | Proof::Token(id) => {
            shared.parts.registry.token(None, id).and_then(|token| token.expires_at)
        }
        Proof::Peer(_) => None,
    };
    let expires_at = match (end, own_end) {
        (Some(end), Some(own)) => Some(end.min(own)),
        (end, own) => end.or(own),
    };
    let draft = TokenDraft {
        project,
        role: convert::role_of(request.role),
        scopes: convert::scopes_of(&request.scopes)?,
        label: request.label.map(Into::into),
        expires_at,
        created_by: principal.actor(),
    };
    let (registry, chance) = (&shared.parts.registry, shared.parts.chance.as_ref());
    let made = registry.create_token(draft, principal.permissions, now, chance).await?;
    let (secret, token) = made;
    let place = format!("/v1/tokens/{}", token.id);
    let token = convert::token(token);
    Ok(Made(place, NewToken { secret: secret.reveal().to_owned(), token }))
}

fn no_token() -> Fault {
    Fault::not_found("there is no such token")
}

/// Show a token
///
/// Without its secret.
#[utoipa::path(
    get,
    path = "/v1/tokens/{token}",
    tag = "tokens",
    params(("token" = String, Path, description = "Its id", max_length = 11)),
    responses((status = 200, body = Token))
)]
pub(crate) async fn show(
    State(shared): State<Arc<Shared>>,
    MaybeProject(project): MaybeProject,
    Path(id): Path<String>,
) -> Outcome<Answer<Token>> {
    let id = TokenId::parse(&id).ok_or_else(no_token)?;
    let token = shared.parts.registry.token(project.as_ref(), &id).ok_or_else(no_token)?;
    Ok(Answer(StatusCode::OK, convert::token(token)))
}

/// Revoke a token
///
/// It opens nothing from then on, and its JWTs neither. Nobody revokes the token that they use.
#[utoipa::path(
    delete,
    path = "/v1/tokens/{token}",
    tag = "tokens",
    params(("token" = String, Path, description = "Its id", max_length = 11)),
    responses(
        (status = 204, description = "it is revoked"),
        (status = 409, description = "it is the token in use")
    )
)]
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    principal: Principal,
    MaybeProject(project): MaybeProject,
    Path(id): Path<String>,
) -> Outcome<StatusCode> {
    let id = TokenId::parse(&id).ok_or_else(no_token)?;
    if matches!(&principal.proof, Proof::Token(own) | Proof::Jwt(own) if *own == id) {
        let detail = "a token does not revoke itself: use another one";
        return Err(Fault::new(StatusCode::CONFLICT, "in-use", detail));
    }
    let token = shared.parts.registry.token(project.as_ref(), &id).ok_or_else(no_token)?;
    if !principal.permissions.cover(token.permissions()) {
        return Err(Fault::forbidden("it may do more than you"));
    }
    shared.parts.registry.revoke_token(project.as_ref(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
