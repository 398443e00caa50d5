//! Tests of the routes, in memory: the table against the description, who may do what, and what is
//! written down.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::Request;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use maily_api::call::Call;
use maily_api::calls;
use maily_api::directive::DirectiveRequest;
use maily_api::live::TranscriptsQuery;
use maily_api::message::InjectRequest;
use maily_api::plugin::TrialRequest;
use maily_api::project::ProjectRequest;
use maily_api::project::SenderDomains;
use maily_api::session::JwtRequest;
use maily_api::suppression::SuppressRequest;
use maily_api::template::LintRequest;
use maily_api::template::TemplateContent;
use maily_api::view::ViewQuery;
use maily_api::webhook::ReplayRequest;
use maily_api::webhook::WebhookRequest;
use maily_core::clock::Clock;
use maily_core::clock::Timestamp;
use maily_registry::audit::Audit;
use maily_registry::chance::Chance;
use maily_registry::chance::NoChance;
use maily_registry::registry::Registry;

use super::*;
use crate::budget::Budget;
use crate::parts::Parts;
use crate::routes::Needs;
use crate::routes::ROUTES;

struct Machine;

impl Chance for Machine {
    fn fill(&self, octets: &mut [u8]) -> Result<(), NoChance> {
        aws_lc_rs::rand::fill(octets).map_err(|_| NoChance)
    }
}

/// A clock that is moved by hand.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::Relaxed))
    }
}

struct World {
    router: Router,
    shared: Arc<Shared>,
    clock: Arc<Hand>,
    _folder: TempDir,
}

struct Said {
    status: u16,
    headers: hyper::HeaderMap,
    body: Value,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicU64::new(1_800_000_000)));
        let parts = Parts {
            registry: Registry::open(&folder.path().join("registry")).unwrap(),
            audit: Audit::open(&folder.path().join("audit")).unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            chance: Arc::new(Machine),
            budget: Budget { count: 10_000, per: Duration::from_secs(60) },
            mail: None,
        };
        let shared = Shared::new(parts);
        Self { router: router(Arc::clone(&shared)), shared, clock, _folder: folder }
    }

    async fn send(&self, mut request: Request<Body>, from: Presence) -> Said {
        request.extensions_mut().insert(from);
        let Ok(response): Result<Response, _> = self.router.clone().call(request).await;
        let (head, body) = response.into_parts();
        let octets = axum::body::to_bytes(body, 10 << 20).await.unwrap();
        let body = serde_json::from_slice(&octets).unwrap_or(Value::Null);
        Said { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Asks with a token.
    async fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Said {
        self.send(request(method, path, Some(token), body), remote(1)).await
    }

    /// Asks as the owner, on the socket.
    async fn own(&self, method: &str, path: &str, project: Option<&str>, body: &Value) -> Said {
        let mut request = request(method, path, None, Some(body));
        if let Some(project) = project {
            request.headers_mut().insert("maily-project", project.parse().unwrap());
        }
        self.send(request, Presence::Local { uid: 0 }).await
    }

    async fn project(&self, name: &str) {
        let made = self.own("POST", "/v1/projects", None, &json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }

    async fn token(&self, project: Option<&str>, role: &str) -> String {
        let made = self.own("POST", "/v1/tokens", project, &json!({ "role": role })).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["secret"].as_str().unwrap().to_owned()
    }

    fn audit(&self) -> Vec<(String, String, u16)> {
        let page = self.shared.parts.audit.page(None, 0, 10_000).unwrap();
        let row = |(entry, _): &(maily_registry::audit_entry::Entry, _)| {
            let deed = &entry.deed;
            (deed.actor.to_string(), deed.action.to_string(), deed.outcome)
        };
        page.entries.iter().map(row).collect()
    }
}

const fn remote(last: u8) -> Presence {
    Presence::Remote(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, last)))
}

fn request(method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap(),
        None => request.body(Body::empty()).unwrap(),
    }
}

/// A path of the table with something in its places.
fn filled(path: &str) -> String {
    path.replace("{project}", "a")
        .replace("{token}", "00000000000")
        .replace("{template}", "hello")
        .replace("{tag}", "t")
        .replace("{version}", "1")
        .replace("{webhook}", "00000000000")
        .replace("{event}", "1-0")
        .replace("{plugin}", "promo")
        .replace("{recipient}", "ann%40x.example")
}

fn body_for(method: &str, path: &str) -> Option<Value> {
    match (method, path) {
        ("POST", "/v1/auth/jwt") => Some(json!({})),
        ("POST", "/v1/projects") => Some(json!({ "name": "new" })),
        ("PUT", "/v1/projects/{project}/senders") => Some(json!({ "domains": ["b.example"] })),
        ("POST", "/v1/tokens") => Some(json!({ "role": "viewer" })),
        ("POST", "/v1/webhooks") | ("PUT", "/v1/webhooks/{webhook}") => {
            Some(json!({ "url": "https://hooks.example/" }))
        }
        ("POST", "/v1/webhooks/{webhook}/replay") => Some(json!({ "after": "1" })),
        ("POST", path) if path.starts_with("/v1/webhooks/{webhook}/") => None,
        ("PUT", "/v1/plugins/{plugin}") => Some(json!({ "enabled": true })),
        ("PUT", "/v1/plugins/{plugin}/trial") => Some(json!({ "version": "next", "percent": 5 })),
        ("PUT", _) => Some(json!({ "subject": "s", "text": "t" })),
        ("POST", "/v1/lint") => Some(json!({ "content": { "subject": "s", "text": "t" } })),
        ("POST", "/v1/messages") => Some(json!({
            "from": { "email": "a@b.example" },
            "subject": "s",
            "text": "t",
            "recipients": [{ "email": "c@d.example" }],
        })),
        ("POST", "/v1/suppressions") => Some(json!({ "recipients": ["ann@x.example"] })),
        ("POST", "/v1/directives") => Some(json!({ "verb": "retry", "selector": "all" })),
        ("POST", "/v1/link-keys") => None,
        ("POST", path) if path.starts_with("/v1/plugins/{plugin}/") => None,
        ("POST", other) => panic!("say what {other} is sent"),
        _ => None,
    }
}

#[test]
fn the_table_and_the_description_name_the_same_routes() {
    let description = description();
    let mut described = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            described.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    let open = ["GET /openapi.json", "GET /docs"];
    let mut table: Vec<_> =
        ROUTES.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    table.retain(|route| !open.contains(&route.as_str()));
    described.sort();
    table.sort();
    assert_eq!(table, described);
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[test]
fn every_schema_that_is_named_is_there() {
    let description = description();
    let text = description.to_string();
    for name in text.split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn every_role_meets_every_route_as_the_table_says() {
    let world = World::new();
    world.project("a").await;
    let everywhere = world.token(None, "owner").await;
    for role in ["owner", "admin", "editor", "viewer", "api"] {
        let token = world.token(Some("a"), role).await;
        let known = match role {
            "owner" => maily_registry::permission::Role::Owner,
            "admin" => maily_registry::permission::Role::Admin,
            "editor" => maily_registry::permission::Role::Editor,
            "viewer" => maily_registry::permission::Role::Viewer,
            _ => maily_registry::permission::Role::Api,
        };
        for route in ROUTES {
            let (path, body) = (filled(route.path), body_for(route.method, route.path));
            let may = match route.needs {
                Needs::Nothing | Needs::Somebody => true,
                Needs::May(permission) => known.permissions().allow(permission),
                Needs::MayEverywhere(_) => false,
            };
            let said = world.ask(route.method, &path, &token, body.as_ref()).await;
            let asked = format!("{role} {} {path}: {} {}", route.method, said.status, said.body);
            if may {
                assert!(![401, 403, 405, 500].contains(&said.status), "{asked}");
            } else {
                assert_eq!(said.status, 403, "{asked}");
            }
            let nobody = request(route.method, &path, None, body.as_ref());
            let nobody = world.send(nobody, remote(2)).await;
            let open = route.needs == Needs::Nothing;
            assert_eq!(nobody.status, if open { 200 } else { 401 }, "nobody: {asked}");
        }
    }
    let made = world.ask("POST", "/v1/projects", &everywhere, Some(&json!({"name": "b"}))).await;
    assert_eq!(made.status, 201);
}

#[tokio::test]
async fn projects_do_not_see_each_other() {
    let world = World::new();
    world.project("a").await;
    world.project("b").await;
    let (a, b) = (world.token(Some("a"), "admin").await, world.token(Some("b"), "admin").await);
    let words = json!({ "subject": "s", "text": "a's" });
    assert_eq!(world.ask("PUT", "/v1/templates/hi", &a, Some(&words)).await.status, 201);
    assert_eq!(world.ask("GET", "/v1/templates/hi", &b, None).await.status, 404);
    assert_eq!(world.ask("DELETE", "/v1/templates/hi", &b, None).await.status, 404);
    assert_eq!(world.ask("GET", "/v1/projects/a", &b, None).await.status, 404);
    let list = world.ask("GET", "/v1/projects", &b, None).await.body;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    let ours = world.ask("GET", "/v1/tokens", &a, None).await.body;
    let id = ours["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ours["data"].as_array().unwrap().len(), 1);
    assert_eq!(world.ask("DELETE", &format!("/v1/tokens/{id}"), &b, None).await.status, 404);
    let mut named = request("GET", "/v1/templates/hi", Some(&b), None);
    named.headers_mut().insert("maily-project", "a".parse().unwrap());
    assert_eq!(world.send(named, remote(1)).await.status, 403);
    let seen = world.ask("GET", "/v1/audit?limit=1000", &b, None).await.body;
    let projects = seen["data"].as_array().unwrap().iter().map(|row| &row["project"]);
    assert!(projects.into_iter().all(|project| project == "b"), "{seen}");
}

#[tokio::test]
async fn nobody_makes_or_revokes_more_than_they_are() {
    let world = World::new();
    world.project("a").await;
    let (owner, admin) =
        (world.token(Some("a"), "owner").await, world.token(Some("a"), "admin").await);
    let make = |role: &str| json!({ "role": role });
    let said = world.ask("POST", "/v1/tokens", &admin, Some(&make("owner"))).await;
    assert_eq!(said.status, 403, "{}", said.body);
    let made = world.ask("POST", "/v1/tokens", &admin, Some(&make("admin"))).await;
    assert_eq!((made.status, &made.body["token"]["project"]), (201, &json!("a")));
    let place = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(world.ask("DELETE", &place, &admin, None).await.status, 204);
    assert_eq!(world.ask("DELETE", &place, &admin, None).await.status, 404);
    let id = owner[8..19].to_owned();
    let place = format!("/v1/tokens/{id}");
    assert_eq!(world.ask("DELETE", &place, &admin, None).await.status, 403);
    assert_eq!(world.ask("DELETE", &place, &owner, None).await.status, 409, "its own");
}

#[tokio::test]
async fn a_jwt_may_what_it_was_made_for_and_makes_no_other() {
    let world = World::new();
    world.project("a").await;
    let admin = world.token(Some("a"), "admin").await;
    let narrow = json!({ "scopes": ["read"] });
    let made = world.ask("POST", "/v1/auth/jwt", &admin, Some(&narrow)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let jwt = made.body["token"].as_str().unwrap().to_owned();
    let who = world.ask("GET", "/v1/whoami", &jwt, None).await.body;
    assert!(who["actor"].as_str().unwrap().starts_with("jwt:"), "{who}");
    assert_eq!(world.ask("GET", "/v1/templates", &jwt, None).await.status, 200);
    assert_eq!(world.ask("GET", "/v1/tokens", &jwt, None).await.status, 403);
    assert_eq!(world.ask("POST", "/v1/auth/jwt", &jwt, Some(&narrow)).await.status, 403);
    world.clock.0.fetch_add(900, Ordering::Relaxed);
    assert_eq!(world.ask("GET", "/v1/templates", &jwt, None).await.status, 401);
}

#[tokio::test]
async fn every_change_is_written_down_also_a_refused_one_and_no_secret_is() {
    let world = World::new();
    world.project("a").await;
    let viewer = world.token(Some("a"), "viewer").await;
    let words = json!({ "subject": "s", "text": "t" });
    assert_eq!(world.ask("PUT", "/v1/templates/hi", &viewer, Some(&words)).await.status, 403);
    assert_eq!(world.ask("DELETE", "/v1/templates/hi", "mk_live_x", None).await.status, 401);
    let before = world.audit().len();
    assert_eq!(world.ask("GET", "/v1/templates", &viewer, None).await.status, 200);
    assert_eq!(world.audit().len(), before, "who reads is not written down");
    let bad = world.own("PUT", "/v1/templates/hi", Some("a"), &json!({ "subject": 3 })).await;
    assert_eq!(bad.status, 422);
    let token = format!("token:{}", &viewer[8..19]);
    let expected = [
        ("uid:0", "POST /v1/projects", 201),
        ("uid:0", "POST /v1/tokens", 201),
        (&token, "PUT /v1/templates/{template}", 403),
        ("nobody", "DELETE /v1/templates/{template}", 401),
        ("uid:0", "PUT /v1/templates/{template}", 422),
    ];
    let expected = expected.map(|(who, what, status)| (who.to_owned(), what.to_owned(), status));
    assert_eq!(world.audit(), expected);
    let all = format!("{:?}", world.shared.parts.audit.page(None, 0, 100).unwrap());
    assert!(!all.contains("mk_live_"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn who_guesses_waits_and_is_then_not_heard() {
    let world = World::new();
    world.project("a").await;
    let right = world.token(Some("a"), "viewer").await;
    let other = if right.ends_with('x') { "y" } else { "x" };
    let wrong = format!("{}{other}", &right[..right.len() - 1]);
    let begun = tokio::time::Instant::now();
    for _ in 0..maily_ingress::throttle::WRONG_FREE_MAX {
        assert_eq!(world.ask("GET", "/v1/whoami", &wrong, None).await.status, 401);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for _ in maily_ingress::throttle::WRONG_FREE_MAX..maily_ingress::throttle::WRONG_MAX {
        assert_eq!(world.ask("GET", "/v1/whoami", &wrong, None).await.status, 401);
    }
    assert!(begun.elapsed() >= Duration::from_secs(100), "{:?}", begun.elapsed());
    let said = world.ask("GET", "/v1/whoami", &wrong, None).await;
    assert_eq!((said.status, said.headers.contains_key("retry-after")), (429, true));
    let elsewhere = request("GET", "/v1/whoami", Some(&wrong), None);
    assert_eq!(world.send(elsewhere, remote(9)).await.status, 401, "from another address");
    world.clock.0.fetch_add(900, Ordering::Relaxed);
    assert_eq!(world.ask("GET", "/v1/whoami", &wrong, None).await.status, 401, "forgotten");
}

#[tokio::test(start_paused = true)]
async fn who_guesses_locks_nobody_out_who_has_a_right_token() {
    let world = World::new();
    world.project("a").await;
    let right = world.token(Some("a"), "viewer").await;
    for _ in 0..=maily_ingress::throttle::WRONG_MAX {
        world.ask("GET", "/v1/whoami", "mk_live_x", None).await;
    }
    assert_eq!(world.ask("GET", "/v1/whoami", "mk_live_x", None).await.status, 429);
    let before = tokio::time::Instant::now();
    assert_eq!(world.ask("GET", "/v1/whoami", &right, None).await.status, 200);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_right_token_breaks_the_row() {
    let world = World::new();
    world.project("a").await;
    let right = world.token(Some("a"), "viewer").await;
    let begun = tokio::time::Instant::now();
    for _ in 0..2 * maily_ingress::throttle::WRONG_MAX {
        assert_eq!(world.ask("GET", "/v1/whoami", "mk_live_x", None).await.status, 401);
        assert_eq!(world.ask("GET", "/v1/whoami", &right, None).await.status, 200);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_when_to_come_again() {
    let world = World::new();
    world.project("a").await;
    let token = world.token(Some("a"), "viewer").await;
    world.shared.limit(Budget { count: 2, per: Duration::from_secs(10) });
    let first = world.ask("GET", "/v1/whoami", &token, None).await;
    assert_eq!(first.headers["ratelimit-policy"], "\"token\";q=2;w=10");
    assert_eq!(first.headers["ratelimit"], "\"token\";r=1;t=5");
    assert_eq!(world.ask("GET", "/v1/whoami", &token, None).await.status, 200);
    let third = world.ask("GET", "/v1/whoami", &token, None).await;
    assert_eq!((third.status, third.headers["retry-after"].to_str().unwrap()), (429, "5"));
    world.clock.0.fetch_add(5, Ordering::Relaxed);
    assert_eq!(world.ask("GET", "/v1/whoami", &token, None).await.status, 200);
}

#[tokio::test]
async fn what_is_nowhere_or_for_another_method_is_a_problem_too() {
    let world = World::new();
    for (method, path, status) in [
        ("GET", "/nowhere", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/whoami/", 404),
        ("POST", "/v1/whoami", 405),
        ("PATCH", "/v1/templates/x", 405),
        ("OPTIONS", "/v1/tokens", 405),
    ] {
        let said = world.send(request(method, path, None, None), remote(1)).await;
        assert_eq!(said.status, status, "{method} {path}");
        assert_eq!(said.headers["content-type"], "application/problem+json");
        let id = said.headers["x-request-id"].to_str().unwrap();
        assert_eq!(said.body["instance"], format!("urn:maily:request:{id}"));
        assert_eq!(said.headers.contains_key("allow"), status == 405);
    }
}

#[tokio::test]
async fn a_version_that_somebody_else_changed_is_not_overwritten() {
    let world = World::new();
    world.project("a").await;
    let editor = world.token(Some("a"), "editor").await;
    let words = json!({ "subject": "s", "text": "t" });
    let put = |field: &'static str, value: &'static str| {
        let mut request = request("PUT", "/v1/templates/hi", Some(&editor), Some(&words));
        request.headers_mut().insert(field, value.parse().unwrap());
        world.send(request, remote(1))
    };
    assert_eq!(put("if-none-match", "*").await.status, 201);
    assert_eq!(put("if-none-match", "*").await.status, 412);
    let second = put("if-match", "\"1\"").await;
    assert_eq!((second.status, second.headers["etag"].to_str().unwrap()), (200, "\"2\""));
    assert_eq!(put("if-match", "\"1\"").await.status, 412);
    let old = world.ask("GET", "/v1/templates/hi/versions/1", &editor, None).await;
    assert_eq!((old.status, &old.body["version"]["version"]), (200, &json!(1)));
}

#[tokio::test]
async fn a_template_is_judged_and_what_is_none_is_not_stored() {
    let world = World::new();
    world.project("a").await;
    let editor = world.token(Some("a"), "editor").await;
    let content = json!({ "subject": "Hello {{ name }}", "html": "<img src=x>{{ gone }}" });
    let asked = json!({ "content": content, "sample": { "name": "Ann", "colour": "red" } });
    let said = world.ask("POST", "/v1/lint", &editor, Some(&asked)).await;
    let codes: Vec<_> = said.body["findings"].as_array().unwrap().iter().collect();
    let codes: Vec<_> = codes.iter().map(|found| found["code"].as_str().unwrap()).collect();
    for code in ["missing_unsubscribe", "missing_variable", "unused_variable", "missing_alt"] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    let put = world.ask("PUT", "/v1/templates/x", &editor, Some(&content)).await;
    assert_eq!(put.status, 201, "{}", put.body);
    assert!(!put.body["findings"].as_array().unwrap().is_empty());
    let broken = json!({ "subject": "s", "text": "{{ x" });
    let put = world.ask("PUT", "/v1/templates/x", &editor, Some(&broken)).await;
    assert_eq!((put.status, &put.body["errors"][0]["pointer"]), (422, &json!("/text")));
    let bad = json!({ "content": { "subject": "a\nb", "text": "t" } });
    let said = world.ask("POST", "/v1/lint", &editor, Some(&bad)).await;
    assert_eq!(
        (said.status, &said.body["errors"][0]["pointer"]),
        (422, &json!("/content/subject"))
    );
}

#[tokio::test]
async fn bodies_share_their_room() {
    let world = World::new();
    world.project("a").await;
    let editor = world.token(Some("a"), "editor").await;
    let words = json!({ "subject": "s", "text": "t" });
    let taken = ["a", "b"].map(|other| world.shared.rooms.place(other.into()));
    taken.iter().for_each(|place| place.grow(crate::rooms::BODIES_OCTETS_MAX_EACH).unwrap());
    let said = world.ask("PUT", "/v1/templates/hi", &editor, Some(&words)).await;
    assert_eq!((said.status, said.headers["retry-after"].to_str().unwrap()), (503, "5"));
    drop(taken);
    assert_eq!(world.ask("PUT", "/v1/templates/hi", &editor, Some(&words)).await.status, 201);
    assert_eq!(world.shared.rooms.octets(), 0, "it is given back");
}

#[tokio::test]
async fn the_page_of_the_documentation_runs_its_own_script_only() {
    let world = World::new();
    let said = world.send(request("GET", "/docs", None, None), remote(1)).await;
    let policy = said.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'sha256-") && !policy.contains("http"), "{policy}");
    let page = include_str!("docs.html");
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(!page.contains("http://") && !page.contains("https://"), "nobody else is asked");
}

#[tokio::test]
async fn one_stream_above_the_limit_is_told_to_come_again() {
    let world = World::new();
    world.project("a").await;
    let viewer = world.token(Some("a"), "viewer").await;
    let mut taken = Vec::new();
    for _ in 1..crate::parts::STREAMS_MAX {
        taken.push(Arc::clone(&world.shared.streams).try_acquire_owned().unwrap());
    }
    let detail = async || {
        let said = world.ask("GET", "/v1/events/stream", &viewer, None).await;
        assert_eq!((said.status, said.headers["retry-after"].to_str().unwrap()), (503, "5"));
        said.body["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail().await.contains("no daemon"), "there is room for one, and it is given back");
    taken.push(Arc::clone(&world.shared.streams).try_acquire_owned().unwrap());
    assert_eq!(detail().await, "there are too many streams");
}

#[tokio::test]
async fn a_webhook_has_its_limits_and_its_project() {
    let world = World::new();
    world.project("a").await;
    world.project("b").await;
    let (a, b) = (world.token(Some("a"), "admin").await, world.token(Some("b"), "admin").await);
    let url = |octets: usize| format!("https://a.example/{}", "x".repeat(octets - 18));
    let make = async |url: String, events: usize| {
        let body = json!({ "url": url, "events": vec!["message.opened"; events] });
        world.ask("POST", "/v1/webhooks", &a, Some(&body)).await
    };
    let made = make(url(2_048), 32).await;
    assert_eq!(made.status, 201, "{}", made.body);
    for (above, pointer) in [(make(url(2_049), 0), "/url"), (make(url(20), 33), "/events")] {
        let said = above.await;
        assert_eq!((said.status, said.body["errors"][0]["pointer"].as_str()), (422, Some(pointer)));
    }
    assert!(made.body["secret"].as_str().unwrap().starts_with("whsec_"));
    let place = made.headers["location"].to_str().unwrap();
    assert_eq!(world.ask("GET", place, &a, None).await.status, 200);
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/secret")] {
        let said = world.ask(method, &format!("{place}{path}"), &b, None).await;
        assert_eq!(said.status, 404, "{method} {path} by a stranger: {}", said.body);
    }
    let list = world.ask("GET", "/v1/webhooks", &b, None).await.body;
    assert_eq!(list["data"].as_array().unwrap().len(), 0);
}

/// The method and the path of a call.
fn of<T>(call: Call<T>) -> (&'static str, String) {
    (call.method, call.path.split('?').next().unwrap().to_owned())
}

fn called_by_operators() -> Vec<(&'static str, String)> {
    let directive = body_for("POST", "/v1/directives").unwrap();
    let directive: DirectiveRequest = serde_json::from_value(directive).unwrap();
    vec![
        of(calls::sessions(None, None)),
        of(calls::close_session("{session}")),
        of(calls::transcript("{session}")),
        of(calls::transcript_stream("{session}")),
        of(calls::transcripts(&TranscriptsQuery::default())),
        of(calls::audit(None)),
        of(calls::story("{message}")),
        of(calls::why(None)),
        of(calls::overview()),
        of(calls::overview_stream()),
        of(calls::views()),
        of(calls::view("{view}", &ViewQuery::default())),
        of(calls::view_stream("{view}", &ViewQuery::default())),
        of(calls::directives(None)),
        of(calls::direct(&directive)),
        of(calls::directive("{directive}")),
        of(calls::undo_directive("{directive}")),
    ]
}

/// A path of the contract's client for each route, in the table's order.
fn called() -> Vec<(&'static str, String)> {
    let words = || TemplateContent { subject: "s".into(), text: None, html: None };
    let hook: WebhookRequest =
        serde_json::from_value(json!({ "url": "https://a.example" })).unwrap();
    let trial = body_for("PUT", "/v1/plugins/{plugin}/trial").unwrap();
    let trial: TrialRequest = serde_json::from_value(trial).unwrap();
    let mail = body_for("POST", "/v1/messages").unwrap();
    let mail: InjectRequest = serde_json::from_value(mail).unwrap();
    let mut called = vec![
        of(calls::whoami()),
        of(calls::jwt(&JwtRequest::default())),
        of(calls::projects(Some("x"))),
        of(calls::create_project(&ProjectRequest { name: "a".into(), description: None })),
        of(calls::project("a")),
        of(calls::senders("a")),
        of(calls::set_senders("a", &SenderDomains { domains: Vec::new() })),
        of(calls::tokens(None)),
        of(calls::create_token(&serde_json::from_value(json!({ "role": "viewer" })).unwrap())),
        of(calls::token("00000000000")),
        of(calls::revoke_token("00000000000")),
        of(calls::templates(None)),
        of(calls::template("hello")),
        of(calls::put_template("hello", &words())),
        of(calls::remove_template("hello")),
        of(calls::versions("hello", None)),
        of(calls::version("hello", 1)),
        of(calls::lint(&LintRequest { content: words(), sample: None })),
        of(calls::renew_link_keys()),
        of(calls::inject(&mail, Some("key"))),
        of(calls::cancel("{message}")),
        of(calls::cancel_campaign("{campaign}")),
        of(calls::withdraw("t")),
        of(calls::events(None, "")),
        of(calls::webhooks(None)),
        of(calls::create_webhook(&hook)),
        of(calls::webhook("00000000000")),
        of(calls::change_webhook("00000000000", &hook)),
        of(calls::remove_webhook("00000000000")),
        of(calls::renew_webhook("00000000000")),
        of(calls::replay("00000000000", &ReplayRequest { after: "1".into() })),
        of(calls::dead_letters("00000000000", None)),
        of(calls::replay_dead_letter("00000000000", "1-0")),
        of(calls::suppressions(None, None, None)),
        of(calls::suppress(&SuppressRequest::default())),
        of(calls::lift_suppression("ann@x.example", None)),
        of(calls::plugins(None)),
        of(calls::switch_plugin("promo", true)),
        of(calls::stage_plugin("promo", &trial)),
        of(calls::promote_plugin("promo")),
        of(calls::roll_back_plugin("promo")),
    ];
    called.extend(called_by_operators());
    called
}

#[test]
fn the_client_of_the_contract_has_a_call_for_each_route() {
    // Pages for people, and a stream, are not called.
    let others = ["/openapi.json", "/docs", "/v1/events/stream"];
    let routes = ROUTES.iter().filter(|route| !others.contains(&route.path));
    let filled = |path: &str| filled(path).replace('{', "%7B").replace('}', "%7D");
    let table: Vec<_> = routes.map(|route| (route.method, filled(route.path))).collect();
    assert_eq!(called(), table);
}
