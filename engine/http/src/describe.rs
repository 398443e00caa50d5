//! The description of the API (OpenAPI 3.1) at `/openapi.json`, and a page at `/docs` that shows it
//! without asking anybody else for anything.
//!
//! What holds for many routes is added here, from the table of routes: the problems that each may
//! answer with, how one proves who one is, and the field that chooses a project.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use serde_json::Value;
use serde_json::json;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

use maily_api::problem::FieldError;
use maily_api::problem::MEDIA_TYPE;
use maily_api::problem::Problem;
use maily_api::template::TemplateContent;

use crate::parts::Shared;
use crate::routes::Needs;
use crate::routes::ROUTES;
use crate::routes::Route;

/// The page, with its script inside.
const PAGE: &str = include_str!("docs.html");

/// The member of this name, which is made if there is none.
fn member<'a>(of: &'a mut Value, name: &str) -> &'a mut Value {
    if of.is_null() {
        *of = json!({});
    }
    match of {
        Value::Object(members) => members.entry(name).or_insert(Value::Null),
        // What is no object has no members: what is written to it is not lost without a word.
        other => other,
    }
}

/// The description with what holds for many routes.
pub(crate) fn whole(description: OpenApi) -> Value {
    let mut whole = serde_json::to_value(description).unwrap_or_default();
    *member(&mut whole, "info") = json!({
        "title": "Maily",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Every answer of 400 and above is a problem (RFC 9457). Who is bound to no \
            project names one in the field Maily-Project. Each answer has its request's id in the \
            field X-Request-Id.",
        "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
    });
    let components = member(&mut whole, "components");
    *member(components, "securitySchemes") = json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token (mk_live_…), or a JWT made from one.",
        },
    });
    let schemas = member(components, "schemas");
    for (name, schema) in [
        (Problem::name(), serde_json::to_value(Problem::schema())),
        (FieldError::name(), serde_json::to_value(FieldError::schema())),
    ] {
        *member(schemas, &name) = schema.unwrap_or_default();
    }
    // What a derived schema cannot say: one of the two must be there.
    let one_of_both =
        |name: &str| json!({ "required": [name], "properties": { name: { "type": "string" } } });
    *member(member(schemas, &TemplateContent::name()), "anyOf") =
        json!([one_of_both("text"), one_of_both("html")]);
    let paths = member(&mut whole, "paths");
    for route in ROUTES {
        let operation = paths.get_mut(route.path);
        let operation = operation.and_then(|item| item.get_mut(route.method.to_lowercase()));
        if let Some(operation) = operation {
            complete(operation, route);
        }
    }
    whole
}

/// What goes wrong with a route.
fn problems(route: &Route) -> Vec<(u16, &'static str)> {
    let mut all = vec![
        (400, "the request is malformed"),
        (404, "there is none"),
        (500, "a fault of ours"),
        (503, "no room for now: try again after Retry-After"),
    ];
    if route.needs != Needs::Nothing {
        all.extend([
            (401, "nobody proved who they are"),
            (403, "somebody may not"),
            (429, "too often: try again after Retry-After"),
        ]);
    }
    if route.body_octets_max > 0 {
        all.extend([
            (408, "the body came too slowly"),
            (413, "the body is too large"),
            (415, "the body is no JSON, or encoded"),
            (422, "members are not what they must be"),
        ]);
    }
    all
}

fn complete(operation: &mut Value, route: &Route) {
    let content = json!({ MEDIA_TYPE: { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let responses = member(operation, "responses");
    for (status, description) in problems(route) {
        let response = member(responses, &status.to_string());
        if response.is_null() {
            *response = json!({ "description": description });
        }
    }
    // Those that a route names itself are problems too.
    for (status, response) in responses.as_object_mut().into_iter().flatten() {
        if !status.starts_with('2') {
            *member(response, "content") = content.clone();
        }
    }
    if route.needs == Needs::Nothing {
        *member(operation, "security") = json!([]);
        return;
    }
    *member(operation, "security") = json!([{ "bearer": [] }]);
    let parameters = member(operation, "parameters");
    if parameters.is_null() {
        *parameters = json!([]);
    }
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.push(json!({
            "name": "Maily-Project",
            "in": "header",
            "required": false,
            "description": "The project that the request is about; one's own if not said.",
            "schema": {
                "type": "string", "maxLength": 63, "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$",
            },
        }));
    }
}

/// The only script that the page may run is its own, known by its hash (CSP, level 2).
fn policy() -> String {
    let script = PAGE.split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>"));
    let script = script.map_or("", |(script, _)| script);
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, script.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

const fn text(kind: &'static str) -> (HeaderName, HeaderValue) {
    (header::CONTENT_TYPE, HeaderValue::from_static(kind))
}

/// The routes that show it.
pub(crate) fn routes(whole: &Value) -> Router<Arc<Shared>> {
    let description = Bytes::from(whole.to_string());
    let policy = policy();
    let page = move || {
        let policy = HeaderValue::from_str(&policy);
        async move { shown(policy) }
    };
    Router::new()
        .route(
            "/openapi.json",
            get(move || {
                let description = description.clone();
                async move { ([text("application/json")], description).into_response() }
            }),
        )
        .route("/docs", get(page))
}

/// The page, if there is a policy for it; without one it does not go out.
fn shown(policy: Result<HeaderValue, header::InvalidHeaderValue>) -> Response {
    match policy {
        Ok(policy) => {
            let fields =
                [text("text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
            (fields, PAGE).into_response()
        }
        Err(error) => crate::fault::Fault::ours(&error).into_response(),
    }
}
