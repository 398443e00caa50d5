//! Answers that are JSON.

use axum::response::IntoResponse;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use serde::Serialize;

use crate::fault::Fault;

/// A value as JSON, with its status.
#[derive(Clone, Debug)]
pub struct Answer<T>(pub StatusCode, pub T);

/// What a handler gives.
pub type Outcome<T> = Result<T, Fault>;

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.1) {
            Ok(text) => {
                let json = HeaderValue::from_static("application/json");
                (self.0, [(header::CONTENT_TYPE, json)], text).into_response()
            }
            Err(error) => Fault::ours(&error).into_response(),
        }
    }
}

/// Something that was made, and where it is from now on.
#[derive(Clone, Debug)]
pub struct Made<T>(pub String, pub T);

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let mut response = Answer(StatusCode::CREATED, self.1).into_response();
        if let Ok(place) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(header::LOCATION, place);
        }
        response
    }
}
