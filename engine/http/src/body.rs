//! The body of a request: JSON, whole within its time and its size, and then a value.
//!
//! Refused are: other media types, encodings (a few octets of gzip may stand for gigabytes), what
//! nests too deeply (serde_json reads 128 levels), and what comes too slowly.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequest;
use axum::extract::Request;
use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use maily_api::object::Object;

use crate::fault::Fault;
use crate::rooms::Place;
use crate::routes::Route;

/// A body must be whole within this time, however slowly it drips.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A value read from JSON.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let octets = json(request).await?;
        parse(&octets).map(Self)
    }
}

/// A value read from JSON, and the SHA-256 of the octets.
#[derive(Clone, Debug)]
pub struct Digested<T>(pub T, pub [u8; 32]);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Digested<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let octets = json(request).await?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &octets);
        let digest = digest.as_ref().first_chunk().copied().unwrap_or_default();
        parse(&octets).map(|value| Self(value, digest))
    }
}

/// The octets of a body that is JSON.
async fn json(request: Request) -> Result<Bytes, Fault> {
    is_json(request.headers())?;
    let route = request.extensions().get::<&Route>();
    let most = route.map_or(0, |route| route.body_octets_max);
    let place = request.extensions().get::<Arc<Place>>().cloned();
    read(request.into_body(), most, place.as_deref()).await
}

/// Refuses what is no JSON, or is encoded.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    if text(header::CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        let detail = "a body with a Content-Encoding is not taken";
        return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoded", detail));
    }
    let kind = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    if kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "the body must be of Content-Type application/json";
    Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail))
}

/// All of a body.
async fn read(body: Body, most: usize, place: Option<&Place>) -> Result<Bytes, Fault> {
    match tokio::time::timeout(BODY_TIMEOUT, gather(body, most, place)).await {
        Ok(whole) => whole,
        Err(_) => {
            let detail = format!("the body must be whole within {} s", BODY_TIMEOUT.as_secs());
            Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "too-slow", detail))
        }
    }
}

async fn gather(mut body: Body, most: usize, place: Option<&Place>) -> Result<Bytes, Fault> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Fault::malformed("the body broke off"))?;
        let Ok(octets) = frame.into_data() else { continue };
        if whole.len() + octets.len() > most {
            return Err(Fault::too_large(most));
        }
        if let Some(place) = place {
            place.grow(octets.len())?;
        }
        whole.extend_from_slice(&octets);
    }
    Ok(whole.freeze())
}

/// Reads a value; says at which member it is wrong.
///
/// # Errors
/// 400 if it is no JSON, 422 if it is not as described.
pub fn parse<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(octets);
    let read = T::deserialize(Object(&mut reader));
    let error = match read.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if error.classify() != Category::Data {
        let (line, column) = (error.line(), error.column());
        return Err(Fault::malformed(format!("no JSON at line {line}, column {column}: {error}")));
    }
    // Read again, slowly, for the path to what is wrong.
    let (mut reader, mut track) =
        (serde_json::Deserializer::from_slice(octets), serde_path_to_error::Track::new());
    let tracked = serde_path_to_error::Deserializer::new(&mut reader, &mut track);
    let error = T::deserialize(Object(tracked)).err().unwrap_or(error);
    Err(Fault::invalid_at(&pointer(&track.path()), "not_as_described", error.to_string()))
}

/// A path as RFC 6901 writes it.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            // An enum's variant is no member of its own; an unknown one ends the path.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use maily_api::message::InjectRequest;
    use maily_api::problem::Problem;

    use super::*;
    use crate::rooms::Rooms;

    fn problem(text: &str) -> Problem {
        let fault = parse::<InjectRequest>(text.as_bytes()).unwrap_err();
        fault.into_response().extensions().get::<Problem>().unwrap().clone()
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let with = |recipients: &str| {
            format!(r#"{{"from":{{"email":"a@b.example"}},"recipients":[{recipients}]}}"#)
        };
        let good = r#"{"email":"a@b.example"}"#;
        for (recipients, pointer) in [
            (format!("{good},{{\"email\":3}}"), "/recipients/1/email"),
            (format!("{good},{good},{{}}"), "/recipients/2"),
            (r#"{"email":"a","a/b~c":1}"#.to_owned(), "/recipients/0/a~1b~0c"),
        ] {
            let problem = problem(&with(&recipients));
            assert_eq!((problem.status, &*problem.errors[0].pointer), (422, pointer));
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_malformed() {
        for text in ["", "{", "nul", "{\"from\":\u{1}}"] {
            assert_eq!(problem(text).status, 400, "{text:?}");
        }
        assert_eq!(problem(&"[".repeat(100_000)).status, 422, "no object");
        let deep = format!("{{\"from\":{}{}}}", "[".repeat(129), "]".repeat(129));
        assert_eq!(problem(&deep).status, 422, "a wrong type, found before the depth");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(129), "]".repeat(129));
        let fault = parse::<serde_json::Value>(deep.as_bytes()).unwrap_err();
        assert_eq!(fault.status(), 400);
        assert_eq!(parse::<serde_json::Value>(b"{} x").unwrap_err().status(), 400);
    }

    #[tokio::test]
    async fn one_octet_above_the_limit_is_too_large() {
        assert_eq!(read(Body::from("123"), 3, None).await.unwrap(), "123");
        assert_eq!(read(Body::from("1234"), 3, None).await.unwrap_err().status(), 413);
    }

    #[tokio::test]
    async fn a_body_takes_room_as_it_comes() {
        let rooms = Arc::new(Rooms::new(4, 4));
        let place = rooms.place("a".into());
        assert_eq!(read(Body::from("1234"), 9, Some(&place)).await.unwrap(), "1234");
        assert_eq!(rooms.octets(), 4);
        assert_eq!(read(Body::from("5"), 9, Some(&place)).await.unwrap_err().status(), 503);
        drop(place);
        assert_eq!(rooms.octets(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_in_its_time_is_too_slow() {
        let never = http_body_util::Empty::<Bytes>::new();
        let stream = never.with_trailers(std::future::pending());
        assert_eq!(read(Body::new(stream), 10, None).await.unwrap_err().status(), 408);
    }

    #[test]
    fn other_media_types_and_encodings_are_refused() {
        let headers = |pairs: &[(header::HeaderName, &'static str)]| {
            let value = |text| header::HeaderValue::from_static(text);
            pairs.iter().map(|(name, text)| (name.clone(), value(text))).collect::<HeaderMap>()
        };
        let json = (header::CONTENT_TYPE, "application/json; charset=utf-8");
        let (gzip, identity) =
            ((header::CONTENT_ENCODING, "gzip"), (header::CONTENT_ENCODING, "identity"));
        assert!(is_json(&headers(std::slice::from_ref(&json))).is_ok());
        assert!(is_json(&headers(&[json.clone(), identity])).is_ok());
        for refused in [
            headers(&[]),
            headers(&[json, gzip]),
            headers(&[(header::CONTENT_TYPE, "text/plain")]),
            headers(&[(header::CONTENT_TYPE, "application/jsonx")]),
        ] {
            assert_eq!(is_json(&refused).unwrap_err().status(), 415, "{refused:?}");
        }
    }
}
