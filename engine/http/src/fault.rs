//! What goes wrong, as the client gets it (RFC 9457).

use axum::response::IntoResponse;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;

use maily_api::problem;
use maily_api::problem::FieldError;
use maily_api::problem::Problem;
use maily_registry::error::RegistryError;

/// The most characters of a detail: what a client sent is not sent back at any length.
const DETAIL_CHARACTERS_MAX: usize = 300;
/// When to try again what failed for want of room, in seconds.
const ROOM_RETRY_SECS: u64 = 5;

/// Why a request is not done.
#[derive(Clone, Debug)]
pub struct Fault(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    problem: Problem,
    retry_after: Option<u64>,
    field: Option<(header::HeaderName, HeaderValue)>,
}

impl Fault {
    /// A fault of this status and kind; the title is the kind in words.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(DETAIL_CHARACTERS_MAX) {
            detail.truncate(end);
        }
        let problem = Problem {
            kind: format!("urn:maily:problem:{kind}"),
            title: kind.replace('-', " "),
            status: status.as_u16(),
            detail: (!detail.is_empty()).then_some(detail),
            instance: None,
            errors: Vec::new(),
        };
        Self(Box::new(Inner { problem, retry_after: None, field: None }))
    }

    /// 400: the request is not what its form asks for.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 401: nobody, or not any more.
    pub fn unknown(detail: &str) -> Self {
        let fault = Self::new(StatusCode::UNAUTHORIZED, "not-authenticated", detail);
        fault.with(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 403: somebody, who may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-permitted", detail)
    }

    /// 404: there is none.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 405: there is, but not for this method.
    pub fn wrong_method(allowed: &str) -> Self {
        let detail = format!("this path takes {allowed}");
        let fault = Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail);
        fault.with(header::ALLOW, allowed)
    }

    /// 413: one octet above a limit.
    pub fn too_large(most: usize) -> Self {
        let detail = format!("the body may have {most} octets at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// 422: members that are not what they must be.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut fault = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "see errors");
        fault.0.problem.errors = errors;
        fault
    }

    /// 422: one member that is not.
    pub fn invalid_at(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        let (pointer, code) = (pointer.to_owned(), code.to_owned());
        Self::invalid(vec![FieldError { pointer, code, detail: detail.into() }])
    }

    /// The same with its members below this one.
    #[must_use]
    pub fn below(mut self, pointer: &str) -> Self {
        for error in &mut self.0.problem.errors {
            error.pointer.insert_str(0, pointer);
        }
        self
    }

    /// 429: too often; again after so many seconds.
    pub fn too_often(detail: &str, seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail).again_in(seconds)
    }

    /// 503: no room for now.
    pub fn no_room(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-room", detail).again_in(ROOM_RETRY_SECS)
    }

    /// 500: a fault of ours. What it was is told to the log, not to the client.
    pub fn ours(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed by a fault of ours");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "fault-of-ours", "see the log of the daemon")
    }

    /// The same, with when to try again, in seconds.
    #[must_use]
    pub fn again_in(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    fn with(mut self, name: header::HeaderName, value: &str) -> Self {
        self.0.field = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.0.problem.status
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        match &error {
            RegistryError::NotFound(_) => Self::not_found(error.to_string()),
            RegistryError::Exists(_) => {
                Self::new(StatusCode::CONFLICT, "exists", error.to_string())
            }
            RegistryError::Changed(_) => {
                Self::new(StatusCode::PRECONDITION_FAILED, "changed", error.to_string())
            }
            RegistryError::TooMany { .. } => {
                Self::new(StatusCode::CONFLICT, "too-many", error.to_string())
            }
            RegistryError::TooMuch => Self::forbidden(error.to_string()),
            RegistryError::Full => Self::no_room("there is no room on disk"),
            RegistryError::NoChance(_) | RegistryError::Disk(_) => {
                tracing::error!(%error, "the registry could not do what was asked for");
                Self::no_room("it could not be written")
            }
        }
    }
}

/// Fills in which request a problem is about, and writes it into the answer.
pub(crate) fn name(response: Response, request: &str) -> Response {
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let problem =
        Problem { instance: Some(format!("urn:maily:request:{request}")), ..problem.clone() };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, text(&problem).into())
}

fn text(problem: &Problem) -> String {
    // A struct of texts and numbers can always be written.
    serde_json::to_string(problem).unwrap_or_default()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Inner { problem, retry_after, field } = *self.0;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, text(&problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some((name, value)) = field {
            headers.insert(name, value);
        }
        response.extensions_mut().insert(problem);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_is_a_problem_that_names_its_request() {
        let fault = Fault::invalid_at("/role", "unknown", "no such role");
        let response = name(fault.into_response(), "r1");
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.kind, "urn:maily:problem:invalid");
        assert_eq!(problem.instance.as_deref(), Some("urn:maily:request:r1"));
        assert_eq!(problem.errors[0].pointer, "/role");
    }

    #[test]
    fn a_detail_above_its_limit_is_cut_and_fields_are_set() {
        let long = Fault::malformed("ä".repeat(DETAIL_CHARACTERS_MAX + 1));
        let detail = long.0.problem.detail.unwrap();
        assert_eq!(detail.chars().count(), DETAIL_CHARACTERS_MAX);
        let response = Fault::wrong_method("GET, PUT").into_response();
        assert_eq!(response.headers()[header::ALLOW], "GET, PUT");
        let response = Fault::too_often("x", 9).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "9");
    }
}
