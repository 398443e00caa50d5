//! Every role meets every route, over the wire: the table of the house against the daemon.

use serde_json::Value;
use serde_json::json;

use maily_http::routes::Needs;
use maily_http::routes::ROUTES;
use maily_registry::permission::Role;

use crate::web::ask;
use crate::world::House;

/// A path with something in its places.
fn filled(path: &str) -> String {
    let mut filled = String::new();
    for part in path.split_inclusive(['/', '}']) {
        match part {
            "{project}" => filled.push('a'),
            "{token}" => filled.push_str("00000000000"),
            "{version}" => filled.push('1'),
            named if named.starts_with('{') => filled.push_str("hello"),
            plain => filled.push_str(plain),
        }
    }
    filled
}

fn body_of(method: &str, path: &str) -> Option<Value> {
    match (method, path) {
        ("POST", "/v1/projects") => Some(json!({ "name": "new" })),
        ("PUT", "/v1/projects/{project}/senders") => Some(json!({ "domains": ["b.example"] })),
        ("POST", "/v1/tokens") => Some(json!({ "role": "viewer" })),
        ("PUT", "/v1/templates/{template}") => Some(json!({ "subject": "s", "text": "t" })),
        ("POST", "/v1/webhooks/{webhook}/replay") => Some(json!({ "after": "1" })),
        ("POST" | "PUT", path) if path.starts_with("/v1/webhooks") => {
            Some(json!({ "url": "https://hooks.example/" }))
        }
        ("PUT", "/v1/plugins/{plugin}") => Some(json!({ "enabled": true })),
        ("PUT", "/v1/plugins/{plugin}/trial") => Some(json!({ "version": "next", "percent": 5 })),
        ("POST", "/v1/suppressions") => Some(json!({ "recipients": ["ann@x.example"] })),
        ("POST", "/v1/directives") => Some(json!({ "verb": "retry", "selector": "all" })),
        ("POST", "/v1/lint") => Some(json!({ "content": { "subject": "s", "text": "t" } })),
        ("POST" | "PUT" | "PATCH", _) => Some(json!({})),
        _ => None,
    }
}

#[test]
fn every_role_meets_every_route_as_the_table_says() {
    let house = House::start();
    house.project("a");
    let mut asked = 0;
    for (name, role) in ["owner", "admin", "editor", "viewer", "api"].iter().zip(Role::ALL) {
        let token = house.token("a", name);
        for route in ROUTES {
            let path = filled(route.path);
            let mut plain = ask(route.method, &path);
            if let Some(body) = body_of(route.method, route.path) {
                plain = plain.json(&body);
            }
            if route.path.ends_with("/stream") {
                // Behind all that there is: such a stream is refused, where another has no end.
                plain = plain.field("Last-Event-ID", &u64::MAX.to_string());
            }
            let may = match route.needs {
                Needs::Nothing | Needs::Somebody => true,
                Needs::May(permission) => role.permissions().allow(permission),
                Needs::MayEverywhere(_) => false,
            };
            let answer = plain.clone().token(&token).to(house.api);
            let what = format!("{name} {} {path}: {} {}", route.method, answer.status, answer.body);
            if may {
                assert!(![401, 403, 405, 500].contains(&answer.status), "{what}");
            } else {
                assert_eq!(answer.status, 403, "{what}");
            }
            let nobody = plain.to(house.api);
            let open = route.needs == Needs::Nothing;
            assert_eq!(nobody.status, if open { 200 } else { 401 }, "nobody: {what}");
            let owner = plain.field("Maily-Project", "a").to_socket(&house.socket());
            assert!(![401, 403, 405, 500].contains(&owner.status) || path.contains("/auth/"));
            asked += 3;
        }
    }
    assert_eq!(asked, 3 * 5 * ROUTES.len());
}
