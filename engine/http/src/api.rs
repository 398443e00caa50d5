//! The routes of the API: behind the guard, with their description.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::IntoResponse;
use tower_service::Service;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::audits;
use crate::describe;
use crate::directing;
use crate::events;
use crate::fault::Fault;
use crate::glance;
use crate::guard;
use crate::hooks;
use crate::link_keys;
use crate::listening;
use crate::live;
use crate::looking;
use crate::messages;
use crate::parts::Shared;
use crate::plugins;
use crate::presence::Presence;
use crate::projects;
use crate::sessions;
use crate::story;
use crate::suppressing;
use crate::templates;
use crate::tokens;
use crate::why;

/// The handlers, each with its description. What each needs stands in [`crate::routes::ROUTES`].
fn handlers() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::default()
        .routes(routes!(sessions::whoami))
        .routes(routes!(sessions::issue_jwt))
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::show))
        .routes(routes!(projects::show_senders, projects::set_senders))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::show, tokens::revoke))
        .routes(routes!(templates::list))
        .routes(routes!(templates::show, templates::put, templates::remove))
        .routes(routes!(templates::versions))
        .routes(routes!(templates::show_version))
        .routes(routes!(templates::judge))
        .routes(routes!(link_keys::renew))
        .routes(routes!(messages::inject))
        .routes(routes!(messages::cancel))
        .routes(routes!(messages::cancel_campaign))
        .routes(routes!(messages::withdraw))
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(hooks::list, hooks::create))
        .routes(routes!(hooks::show, hooks::change, hooks::remove))
        .routes(routes!(hooks::renew))
        .routes(routes!(hooks::replay))
        .routes(routes!(hooks::letters))
        .routes(routes!(hooks::again))
        .routes(routes!(suppressing::list, suppressing::add))
        .routes(routes!(suppressing::lift))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::switch))
        .routes(routes!(plugins::stage))
        .routes(routes!(plugins::promote))
        .routes(routes!(plugins::roll_back))
        .routes(routes!(live::list))
        .routes(routes!(live::close))
        .routes(routes!(live::transcript))
        .routes(routes!(listening::listen))
        .routes(routes!(live::transcripts))
        .routes(routes!(audits::list))
        .routes(routes!(story::tell))
        .routes(routes!(why::why))
        .routes(routes!(glance::show))
        .routes(routes!(glance::follow))
        .routes(routes!(looking::list))
        .routes(routes!(looking::show))
        .routes(routes!(looking::follow))
        .routes(routes!(directing::list, directing::give))
        .routes(routes!(directing::show, directing::undo))
}

/// The description of all routes (OpenAPI 3.1), as JSON.
pub fn description() -> serde_json::Value {
    describe::whole(handlers().into_openapi())
}

/// All routes.
pub fn router(shared: Arc<Shared>) -> Router {
    let (router, description): (Router<Arc<Shared>>, OpenApi) = handlers().split_for_parts();
    let described = describe::routes(&describe::whole(description));
    router
        .merge(described)
        .fallback(|| async { Fault::not_found("there is nothing at this path").into_response() })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::guard))
        .with_state(shared)
}

/// Answers one request of a process that may do everything: what commands use without a daemon.
pub async fn answer<B>(
    shared: Arc<Shared>,
    request: hyper::Request<B>,
    from: Presence,
) -> axum::response::Response
where
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let mut request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(from);
    let Ok(answer) = router(shared).call(request).await;
    answer
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
