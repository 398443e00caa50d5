//! Unsubscribing: one click for a mail program (RFC 8058), a page with a button for a person. GET
//! only shows the page, because scanners follow every link; POST is never held against anybody.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::header;

use maily_core::event::UnsubscribedBy;
use maily_ingress::wish::Wish;

use crate::hit_counters::HitCounters;
use crate::pages::Language;
use crate::pages::Page;
use crate::pages::no_such_link;
use crate::public_parts::Public;

fn wish(public: &Public, token: &str) -> Option<Wish> {
    let wish = Wish::of_token(token, &public.links);
    if wish.is_none() {
        HitCounters::one(&public.scribe.counters.unknown_links);
    }
    wish
}

/// Asks; changes nothing.
pub(crate) async fn ask(
    State(public): State<Arc<Public>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(wish) = wish(&public, &token) else { return no_such_link(&headers) };
    Page::Ask(&wish.mailbox.to_string(), &wish.list).answer(Language::of(&headers))
}

/// Does it: on disk before it is answered.
pub(crate) async fn unsubscribe(
    State(public): State<Arc<Public>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(wish) = wish(&public, &token) else { return no_such_link(&headers) };
    let language = Language::of(&headers);
    let (who, list) = (wish.mailbox.to_string(), wish.list.clone());
    if let Err(error) = public.feedback.unsubscribe(wish, how(&headers)).await {
        tracing::error!(%error, "somebody could not be unsubscribed");
        return Page::NotNow.answer(language);
    }
    HitCounters::one(&public.scribe.counters.unsubscribed);
    Page::Done(&who, &list).answer(language)
}

/// A browser that sends our page's form says that it comes from us (Fetch Metadata, or Origin for
/// older ones); a mail program does not.
fn how(headers: &HeaderMap) -> UnsubscribedBy {
    if headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN) {
        UnsubscribedBy::Page
    } else {
        UnsubscribedBy::OneClick
    }
}
