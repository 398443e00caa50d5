//! `/v1/link-keys`.

use std::sync::Arc;

use axum::extract::State;
use hyper::StatusCode;

use crate::answer::Outcome;
use crate::parts::Shared;

/// Sign links with a new key
///
/// From the next HUP or start of the daemon on. What was signed before stays good.
#[utoipa::path(
    post,
    path = "/v1/link-keys",
    tag = "access",
    responses(
        (status = 204, description = "it is kept"),
        (status = 409, description = "there are too many")
    )
)]
pub(crate) async fn renew(State(shared): State<Arc<Shared>>) -> Outcome<StatusCode> {
    let (parts, now) = (&shared.parts, shared.parts.clock.now());
    parts.registry.renew_link_keys(parts.chance.as_ref(), now).await?;
    Ok(StatusCode::NO_CONTENT)
}
