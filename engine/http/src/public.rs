//! The routes for recipients, on the public listener: the pixel, counted links, unsubscribing. What
//! is no route or token of ours is answered alike, whoever asks.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use hyper::HeaderMap;
use hyper::header;

use crate::hits;
use crate::pages;
use crate::pages::no_such_link;
use crate::public_parts::Public;
use crate::unsubscribing;

/// All routes for recipients; none but the answer that there is none, where there are no links.
pub fn router(public: Option<Public>) -> Router {
    let Some(public) = public else { return Router::new().fallback(nothing) };
    Router::new()
        .route("/o/{token}", get(hits::open))
        .route("/c/{token}", get(hits::click))
        .route("/u/{token}", get(unsubscribing::ask).post(unsubscribing::unsubscribe))
        .route("/style.css", get(style))
        .fallback(nothing)
        .with_state(Arc::new(public))
}

async fn nothing(headers: HeaderMap) -> Response {
    no_such_link(&headers)
}

async fn style() -> Response {
    let fields = [(header::CONTENT_TYPE, "text/css"), (header::CACHE_CONTROL, "max-age=86400")];
    pages::sealed((fields, pages::STYLE).into_response())
}
