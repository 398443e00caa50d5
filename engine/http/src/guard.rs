//! What every request passes: it gets an id; its route is looked up; whoever asks proves who they
//! are, may do it, and does not do it too often; there is room for its body; what changes something
//! is written into the audit log, refused or not; it is counted.
//!
//! What changes something goes on when its client has left, so that it is done and written down,
//! or neither.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::MatchedPath;
use axum::extract::Request;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use hyper::HeaderMap;
use hyper::header;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use hyper::http::request::Parts as Head;

use maily_core::clock::Timestamp;
use maily_ingress::throttle::DELAY;
use maily_ingress::throttle::MEMORY;
use maily_ingress::throttle::Verdict;
use maily_registry::audit_entry::Deed;
use maily_registry::base62;
use maily_registry::chance;
use maily_registry::issuing::Denied;
use maily_registry::issuing::Holder;
use maily_registry::name::Name;
use maily_registry::token::PREFIX;

use crate::budget::Left;
use crate::fault;
use crate::fault::Fault;
use crate::parts::Shared;
use crate::presence::Presence;
use crate::principal::Chosen;
use crate::principal::Principal;
use crate::principal::Proof;
use crate::rooms::Place;
use crate::routes;
use crate::routes::Found;
use crate::routes::Needs;
use crate::routes::Route;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROJECT: HeaderName = HeaderName::from_static("maily-project");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The most characters of an Authorization field that is looked at.
const AUTHORIZATION_CHARACTERS_MAX: usize = 2_048;

/// Lets a request through, or does not.
pub(crate) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = shared.parts.clock.now();
    // Without randomness an id may be the same as another's: nothing is decided by it.
    let id = chance::octets::<12>(shared.parts.chance.as_ref()).unwrap_or_default();
    let id: Arc<str> = base62::encode(&id).into();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let found = path.map(|path| routes::find(request.method().as_str(), &path));
    let (place, response) = match found {
        Some(Found::Route(place, route)) => {
            let call = Call { shared: Arc::clone(&shared), route, id: Arc::clone(&id) };
            (Some(place), call.run(request, next).await)
        }
        Some(Found::Methods(methods)) if !methods.is_empty() => {
            (None, Fault::wrong_method(&methods).into_response())
        }
        _ => (None, Fault::not_found("there is nothing at this path").into_response()),
    };
    let mut response = fault::name(response, &id);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let taken = shared.parts.clock.now().since(begun);
    shared.meters.count(place, response.status().as_u16(), taken);
    response
}

/// One request for a route.
struct Call {
    shared: Arc<Shared>,
    route: &'static Route,
    id: Arc<str>,
}

/// Why a request is refused, and who asked, if that is known.
struct Refused {
    fault: Fault,
    principal: Option<Principal>,
    /// Whether it is worth an entry: what cannot be told from noise is only counted.
    recorded: bool,
}

impl Refused {
    const fn unheard(fault: Fault) -> Self {
        Self { fault, principal: None, recorded: false }
    }
}

/// Who was let through.
struct Admitted {
    principal: Option<Principal>,
    project: Option<Name>,
    left: Option<(u32, u64, Left)>,
    place: Arc<Place>,
}

impl Call {
    async fn run(self, request: Request, next: Next) -> Response {
        let (head, body) = request.into_parts();
        let admitted = match self.admit(&head).await {
            Ok(admitted) => admitted,
            Err(refused) => return self.refuse(refused, &head).await,
        };
        let request = Request::from_parts(head, body);
        let fields = admitted.left.and_then(rate_fields);
        let mut response = if self.route.recorded {
            // In a task of its own: it is not broken off half way when its client leaves.
            let done = tokio::spawn(self.change(admitted, request, next)).await;
            done.unwrap_or_else(|error| Fault::ours(&error).into_response())
        } else {
            self.pass(admitted, request, next).await
        };
        if let Some([policy, left]) = fields {
            response.headers_mut().insert(RATE_LIMIT_POLICY, policy);
            response.headers_mut().insert(RATE_LIMIT, left);
        }
        response
    }

    /// Has a change made, and writes it down.
    async fn change(self, admitted: Admitted, request: Request, next: Next) -> Response {
        let (head, body) = request.into_parts();
        let deed = self.deed(admitted.principal.as_ref(), admitted.project.clone(), &head);
        let response = self.pass(admitted, Request::from_parts(head, body), next).await;
        let place = response.headers().get(header::LOCATION).and_then(|at| at.to_str().ok());
        let object = place.map_or_else(|| deed.object.clone(), Into::into);
        let deed = Deed { object, outcome: response.status().as_u16(), ..deed };
        match self.shared.parts.audit.append(deed).await {
            Ok(_) => response,
            Err(error) => self.unwritten(&error),
        }
    }

    async fn refuse(&self, refused: Refused, head: &Head) -> Response {
        if self.route.recorded && refused.recorded {
            let outcome = refused.fault.status();
            let deed = self.deed(refused.principal.as_ref(), None, head);
            if let Err(error) = self.shared.parts.audit.append(Deed { outcome, ..deed }).await {
                return self.unwritten(&error);
            }
        }
        refused.fault.into_response()
    }

    /// The answer when the audit log cannot be written.
    fn unwritten(&self, error: &dyn std::fmt::Display) -> Response {
        tracing::error!(%error, request = &*self.id, "the audit log could not be written");
        Fault::no_room("the audit log could not be written").into_response()
    }

    async fn pass(&self, admitted: Admitted, mut request: Request, next: Next) -> Response {
        let extensions = request.extensions_mut();
        extensions.insert(self.route);
        extensions.insert(Chosen(admitted.project));
        extensions.insert(Arc::clone(&admitted.place));
        if let Some(principal) = admitted.principal {
            extensions.insert(principal);
        }
        let response = next.run(request).await;
        drop(admitted.place);
        response
    }

    fn deed(&self, principal: Option<&Principal>, named: Option<Name>, head: &Head) -> Deed {
        let presence = head.extensions.get::<Presence>();
        let bound = principal.and_then(|principal| principal.bound.clone());
        Deed {
            at: self.shared.parts.clock.now(),
            actor: principal.map_or_else(|| "nobody".into(), Principal::actor),
            client: presence.map(|presence| presence.name()).unwrap_or_default().into(),
            project: named.or(bound),
            action: format!("{} {}", self.route.method, self.route.path).into(),
            object: head.uri.path().into(),
            outcome: 0,
            request: (*self.id).into(),
        }
    }

    async fn admit(&self, head: &Head) -> Result<Admitted, Refused> {
        let principal = match self.route.needs {
            Needs::Nothing => None,
            _ => Some(self.authenticate(head).await?),
        };
        let judged = |fault| Refused { fault, principal: principal.clone(), recorded: true };
        let project = match &principal {
            Some(principal) => {
                self.permit(principal).map_err(judged)?;
                self.choose(principal, &head.headers).map_err(judged)?
            }
            None => None,
        };
        let left = match &principal {
            Some(principal) => self.spend(principal).map_err(Refused::unheard)?,
            None => None,
        };
        let place = self.place(principal.as_ref(), &head.headers).map_err(judged)?;
        Ok(Admitted { principal, project, left, place })
    }

    /// Who asks.
    async fn authenticate(&self, head: &Head) -> Result<Principal, Refused> {
        let presence = head.extensions.get::<Presence>().copied();
        let shown = bearer(&head.headers).map_err(Refused::unheard)?;
        let (shown, address) = match (shown, presence) {
            (None, Some(Presence::Local { uid })) => return Ok(Principal::of_peer(uid)),
            (None, _) => {
                let fault = Fault::unknown("say Authorization: Bearer and a token");
                return Err(Refused::unheard(fault));
            }
            (Some(shown), Some(Presence::Remote(address))) => (shown, Some(address)),
            (Some(shown), _) => (shown, None),
        };
        let now = self.shared.parts.clock.now();
        let proven = self.shared.parts.registry.prove(shown, now);
        // Only who is wrong waits: a token cannot be guessed, and whoever shares an address with
        // somebody who tries must not be locked out.
        if let Some(address) = address.filter(|_| proven.is_err()) {
            self.wait(address, now).await.map_err(Refused::unheard)?;
        }
        if let Some(address) = address {
            let mut throttle = self.shared.throttle.lock();
            match &proven {
                Ok(_) => throttle.on_right(address, &address.to_string(), now),
                Err(Denied::Wrong) => throttle.on_wrong(address, &address.to_string(), now),
                Err(Denied::Expired) => {}
            }
        }
        let refused =
            |detail| Refused { fault: Fault::unknown(detail), principal: None, recorded: true };
        match proven {
            Ok(holder) => Ok(self.greet(&holder, !shown.starts_with(PREFIX), now).await),
            Err(Denied::Wrong) => Err(refused("this token opens nothing")),
            Err(Denied::Expired) => Err(refused("this token has expired")),
        }
    }

    async fn greet(&self, holder: &Holder, jwt: bool, now: Timestamp) -> Principal {
        if let Err(error) = self.shared.parts.registry.used(&holder.token, now).await {
            tracing::warn!(%error, token = %holder.token.id, "a token's use was not noted");
        }
        Principal::of_holder(holder, jwt)
    }

    /// Who guesses waits, or is not heard.
    async fn wait(&self, address: IpAddr, now: Timestamp) -> Result<(), Fault> {
        let account = address.to_string();
        let verdict = self.shared.throttle.lock().verdict(address, &account, now);
        match verdict {
            Verdict::Prove => Ok(()),
            Verdict::Delay(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Verdict::Refuse => {
                tracing::warn!(%address, delay = ?DELAY, "too many wrong tokens");
                Err(Fault::too_often("too many wrong tokens", MEMORY.as_secs()))
            }
        }
    }

    fn permit(&self, principal: &Principal) -> Result<(), Fault> {
        let (permission, everywhere) = match self.route.needs {
            Needs::Nothing | Needs::Somebody => return Ok(()),
            Needs::May(permission) => (permission, false),
            Needs::MayEverywhere(permission) => (permission, true),
        };
        if !principal.permissions.allow(permission) {
            let role = format!("{:?}", principal.role).to_lowercase();
            return Err(Fault::forbidden(format!("the role {role} may not, or its scopes")));
        }
        if everywhere && principal.bound.is_some() {
            return Err(Fault::forbidden("only who is bound to no project may"));
        }
        Ok(())
    }

    /// Which project it is about: one's own, or the one that is named.
    fn choose(&self, principal: &Principal, headers: &HeaderMap) -> Result<Option<Name>, Fault> {
        let Some(named) = headers.get(PROJECT) else { return Ok(principal.bound.clone()) };
        let named = named.to_str().ok().and_then(|text| text.parse::<Name>().ok());
        let named = named.ok_or_else(|| Fault::malformed("Maily-Project is no name"))?;
        match &principal.bound {
            Some(bound) if *bound == named => Ok(Some(named)),
            // Whether it is there is not for strangers to know.
            Some(_) => Err(Fault::forbidden("this token is of another project")),
            None if self.shared.parts.registry.project(&named).is_some() => Ok(Some(named)),
            None => Err(Fault::not_found("there is no such project")),
        }
    }

    fn spend(&self, principal: &Principal) -> Result<Option<(u32, u64, Left)>, Fault> {
        let id = match &principal.proof {
            Proof::Token(id) | Proof::Jwt(id) => id,
            Proof::Peer(_) => return Ok(None),
        };
        let now = self.shared.parts.clock.now();
        let (budget, spending) = &mut *self.shared.spending.lock();
        match spending.take(id.as_str(), *budget, now) {
            Ok(left) => Ok(Some((budget.count, budget.per.as_secs().max(1), left))),
            Err(wait) => {
                let seconds = wait.0.as_millis().div_ceil(1_000);
                let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                Err(Fault::too_often("this token asks too often", seconds))
            }
        }
    }

    /// A place for the body, which takes room as it arrives. One that says it is longer than may
    /// be, or than there is room for now, is not begun.
    fn place(&self, asks: Option<&Principal>, headers: &HeaderMap) -> Result<Arc<Place>, Fault> {
        let most = self.route.body_octets_max;
        let said = headers.get(header::CONTENT_LENGTH).and_then(|said| said.to_str().ok());
        let said = said.and_then(|said| said.parse::<usize>().ok());
        if said.is_some_and(|said| said > most) && most > 0 {
            return Err(Fault::too_large(most));
        }
        let holder = asks.map(Principal::actor).unwrap_or_default();
        let rooms = &self.shared.rooms;
        rooms.fits(&holder, said.unwrap_or_default().min(most))?;
        Ok(Arc::new(rooms.place(holder)))
    }
}

/// What stands behind `Bearer` (RFC 6750 2.1); none if there is no such field.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Fault> {
    let Some(field) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let wrong = || Fault::unknown("the field Authorization must be `Bearer` and a token");
    let text = field.to_str().map_err(|_| wrong())?;
    let (scheme, shown) = text.split_once(' ').ok_or_else(wrong)?;
    let good = scheme.eq_ignore_ascii_case("bearer") && text.len() <= AUTHORIZATION_CHARACTERS_MAX;
    good.then_some(Some(shown.trim())).ok_or_else(wrong)
}

/// RateLimit-Policy and RateLimit.
fn rate_fields((count, per, left): (u32, u64, Left)) -> Option<[HeaderValue; 2]> {
    let policy = format!("\"token\";q={count};w={per}");
    let (now, all_in) = (left.count, left.all_in.as_millis().div_ceil(1_000));
    let left = format!("\"token\";r={now};t={all_in}");
    Some([policy.parse().ok()?, left.parse().ok()?])
}
