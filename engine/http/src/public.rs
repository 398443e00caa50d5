//! The routes for recipients, on the public listener: the pixel, counted links, unsubscribing. What
//! is no route or token of ours is answered alike, whoever asks.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use hyper::HeaderMap;
use hyper::header;
use parking_lot::Mutex;

use maily_core::clock::Clock;
use maily_core::tracking::links::Links;
use maily_events::recorder::Recorder;
use maily_events::suppression::Suppressions;
use maily_spool::spool::Spool;

use crate::hits;
use crate::pages;
use crate::pages::Language;
use crate::pages::Page;
use crate::recent::RecentHits;
use crate::unsubscribing;

/// What the routes for recipients stand on.
pub struct Public {
    /// By what links are known.
    pub links: Arc<Links>,
    /// What the time is.
    pub clock: Arc<dyn Clock>,
    /// Whether a message still waits.
    pub spool: Spool,
    /// Where hits are written.
    pub events: Recorder,
    /// Who must not be written to.
    pub suppressions: Suppressions,
    /// What was fetched of late.
    pub recent: Arc<Mutex<RecentHits>>,
}

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

/// The answer to whatever is none of ours.
pub(crate) fn no_such_link(headers: &HeaderMap) -> Response {
    Page::NoSuchLink.answer(Language::of(headers))
}

async fn style() -> Response {
    let fields = [(header::CONTENT_TYPE, "text/css"), (header::CACHE_CONTROL, "max-age=86400")];
    pages::sealed((fields, pages::STYLE).into_response())
}
