//! The pixel and counted links. Each fetch is an event with its raw facts and a verdict; nothing
//! waits for the event to be on disk, and what machines fetch is kept, too, unless a plugin says
//! otherwise.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::Path;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::Method;
use hyper::StatusCode;
use hyper::header;

use maily_core::event::Event;
use maily_core::event::Hit;
use maily_core::event::URL_OCTETS_MAX;
use maily_core::event::USER_AGENT_OCTETS_MAX;
use maily_core::event::What;
use maily_core::event::bounded;
use maily_core::tracking::client::truncated;
use maily_core::tracking::links::HONEYPOT_LINK;
use maily_core::tracking::token::Kind;
use maily_core::tracking::token::Origin;
use maily_core::tracking::token::Payload;
use maily_core::tracking::token::verify;
use maily_core::tracking::verdict;

use crate::hit_counters::HitCounters;
use crate::pages;
use crate::pages::no_such_link;
use crate::presence::Presence;
use crate::public_parts::Public;

/// A transparent GIF of one pixel (GIF89a).
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\
                       \x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// Who fetches something, as far as their request says it.
struct Asking<'a> {
    presence: Presence,
    method: &'a Method,
    headers: &'a HeaderMap,
}

/// The pixel.
pub(crate) async fn open(
    State(public): State<Arc<Public>>,
    Extension(presence): Extension<Presence>,
    Path(token): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Ok(Payload::Open(origin)) = verify(Kind::Open, &token, public.links.keys()) else {
        HitCounters::one(&public.scribe.counters.unknown_links);
        return no_such_link(&headers);
    };
    let asking = Asking { presence, method: &method, headers: &headers };
    let hit = hit(&public, &asking, &origin, Kind::Open, None);
    public.scribe.counters.opens.count(hit.verdict);
    record(&public, &origin, What::Opened(Box::new(hit)));
    pages::sealed(([(header::CONTENT_TYPE, "image/gif")], PIXEL).into_response())
}

/// A counted link: to where it was signed to lead, and nowhere else.
pub(crate) async fn click(
    State(public): State<Arc<Public>>,
    Extension(presence): Extension<Presence>,
    Path(token): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let verified = verify(Kind::Click, &token, public.links.keys());
    let Ok(Payload::Click { origin, link, target }) = verified else {
        HitCounters::one(&public.scribe.counters.unknown_links);
        return no_such_link(&headers);
    };
    let asking = Asking { presence, method: &method, headers: &headers };
    let hit = Box::new(hit(&public, &asking, &origin, Kind::Click, Some(link)));
    public.scribe.counters.clicks.count(hit.verdict);
    let url = bounded(target.as_str(), URL_OCTETS_MAX);
    record(&public, &origin, What::Clicked { hit, link, url });
    if link == HONEYPOT_LINK {
        return pages::sealed(StatusCode::NO_CONTENT.into_response());
    }
    let there = [(header::LOCATION, target.as_str())];
    pages::sealed((StatusCode::FOUND, there).into_response())
}

fn record(public: &Public, origin: &Origin, what: What) {
    public.scribe.hit(Event { at: public.clock.now(), id: origin.id, what });
}

fn hit(
    public: &Public,
    asking: &Asking<'_>,
    origin: &Origin,
    kind: Kind,
    link: Option<u16>,
) -> Hit {
    let now = public.clock.now();
    let since_minted = now.since(origin.minted_at());
    let before_delivered = public.spool.contains(origin.id);
    let user_agent = asking.headers.get(header::USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let recent = public.recent.lock().count(now, origin.id, origin.recipient, link);
    let judged = verdict::judge(&verdict::Facts {
        kind,
        method: asking.method.as_str(),
        user_agent,
        since_minted,
        before_delivered,
        link,
        recent,
    });
    let address = match asking.presence {
        Presence::Remote(address) => address,
        Presence::Local { .. } => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Hit {
        recipient: origin.recipient,
        method: bounded(asking.method.as_str(), 16),
        user_agent: bounded(user_agent, USER_AGENT_OCTETS_MAX),
        network: truncated(address),
        age: since_minted.as_secs(),
        before_delivered,
        verdict: judged.verdict,
        reasons: judged.reasons.into_iter().map(Into::into).collect(),
    }
}
