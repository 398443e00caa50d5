//! Unsubscribing: one click for a mail program (RFC 8058), a page with a button for a person. GET
//! only shows the page, because scanners follow every link; POST is never held against anybody.

use std::sync::Arc;

use axum::extract::Path;
use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::header;

use maily_core::event::Event;
use maily_core::event::SuppressionReason;
use maily_core::event::Unsubscribed;
use maily_core::event::UnsubscribedBy;
use maily_core::event::What;
use maily_core::mail::address::Mailbox;
use maily_core::tracking::token::Kind;
use maily_core::tracking::token::Origin;
use maily_core::tracking::token::Payload;
use maily_core::tracking::token::verify;
use maily_events::suppression::Said;
use maily_events::suppression::Subject;

use crate::hit_counters::HitCounters;
use crate::pages::Language;
use crate::pages::Page;
use crate::pages::no_such_link;
use crate::public_parts::Public;

/// Who wants no more of what.
struct Wish {
    origin: Origin,
    project: Box<str>,
    list: Box<str>,
    mailbox: Mailbox,
}

fn wish(public: &Public, token: &str) -> Option<Wish> {
    match verify(Kind::Unsubscribe, token, public.links.keys()) {
        Ok(Payload::Unsubscribe { origin, project, list, mailbox }) => {
            Some(Wish { origin, project, list, mailbox })
        }
        _ => {
            HitCounters::one(&public.counters.unknown_links);
            None
        }
    }
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
    let now = public.clock.now();
    let subject = Subject::new(&wish.project, &wish.list, &wish.mailbox);
    let reason = SuppressionReason::Unsubscribed;
    let said = Said { at: now, reason, message: Some(wish.origin.id), until: None };
    if let Err(error) = public.suppressions.suppress(&subject, said).await {
        tracing::error!(%error, "somebody could not be unsubscribed");
        return Page::NotNow.answer(language);
    }
    HitCounters::one(&public.counters.unsubscribed);
    let who = wish.mailbox.to_string();
    let what = What::Unsubscribed(Box::new(Unsubscribed {
        project: wish.project,
        list: wish.list.clone(),
        mailbox: wish.mailbox,
        how: how(&headers),
    }));
    public.events.record(&Event { at: now, id: wish.origin.id, what });
    Page::Done(&who, &wish.list).answer(language)
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
