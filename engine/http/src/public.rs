//! The routes for recipients, on the public listener. What is no route of theirs is answered alike,
//! whoever asks.

use axum::Router;
use axum::response::IntoResponse;

use crate::fault::Fault;

/// All routes for recipients.
pub fn router() -> Router {
    Router::new()
        .fallback(|| async { Fault::not_found("there is nothing at this path").into_response() })
}
