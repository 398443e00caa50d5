//! The client's side of the contract: what a request says, and how its answer is read.
//!
//! It sends nothing itself: whoever has a connection says what [`Call`] holds and gives it what
//! came back. So one client serves the admin socket, TLS, a test in memory, and whatever comes.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// One request, whose answer is a `T`.
#[derive(Clone, Debug)]
pub struct Call<T> {
    /// How (RFC 9110 9).
    pub method: &'static str,
    /// The path, with the query.
    pub path: String,
    /// Header fields beside those of the connection.
    pub fields: Vec<(&'static str, String)>,
    /// What is sent, as JSON.
    pub body: Option<Vec<u8>>,
    answer: PhantomData<fn() -> T>,
}

/// Why there is no answer as wanted.
#[derive(Debug)]
pub enum CallError {
    /// It was not done.
    Problem(Box<Problem>),
    /// The answer is none of this contract: a server of another version, or somebody between.
    NotUnderstood {
        /// The status code.
        status: u16,
        /// What is wrong with the body.
        why: serde_json::Error,
    },
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problem(problem) => f.write_str(&problem.words()),
            Self::NotUnderstood { status, why } => {
                write!(f, "the answer with status {status} is not understood: {why}")
            }
        }
    }
}

impl std::error::Error for CallError {}

impl<T> Call<T> {
    /// A request for a path: segments, each of which may hold any text.
    pub(crate) fn new(method: &'static str, segments: &[&str]) -> Self {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            encode(segment, &mut path);
        }
        Self { method, path, fields: Vec::new(), body: None, answer: PhantomData }
    }

    /// With something in the query.
    pub(crate) fn ask(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.path.push(if self.path.contains('?') { '&' } else { '?' });
            self.path.push_str(name);
            self.path.push('=');
            encode(value, &mut self.path);
        }
        self
    }

    /// With a body.
    pub(crate) fn send<B: Serialize>(mut self, body: &B) -> Self {
        // Types of the contract have no maps with odd keys and no writers: they can be written.
        self.body = serde_json::to_vec(body).ok();
        self
    }

    /// In this project, for whoever is bound to none.
    pub fn in_project(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.with("maily-project", name),
            None => self,
        }
    }

    /// With this token.
    pub fn token(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// With a header field.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }
}

impl<T: DeserializeOwned> Call<T> {
    /// What was answered.
    ///
    /// # Errors
    /// It was not done, or the answer is not of this contract.
    pub fn read(&self, status: u16, octets: &[u8]) -> Result<T, CallError> {
        let not_understood = |why| CallError::NotUnderstood { status, why };
        if status >= 400 {
            let problem = serde_json::from_slice(octets).map_err(not_understood)?;
            return Err(CallError::Problem(Box::new(problem)));
        }
        let octets = if octets.is_empty() { b"null" } else { octets };
        serde_json::from_slice(octets).map_err(not_understood)
    }
}

/// RFC 3986 2.3: what is not unreserved is written as `%` and two digits.
fn encode(text: &str, out: &mut String) {
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_stays_within_its_segment_or_value() {
        let call = Call::<()>::new("GET", &["v1", "a/../b?c#d e%ü"]).ask("after", Some("1&x=2"));
        assert_eq!(call.path, "/v1/a%2F..%2Fb%3Fc%23d%20e%25%C3%BC?after=1%26x%3D2");
        assert_eq!(call.ask("limit", Some("7")).ask("no", None).path.split('&').count(), 2);
    }

    #[test]
    fn answers_are_read_as_values_problems_or_neither() {
        let call = Call::<u32>::new("GET", &["x"]);
        assert_eq!(call.read(200, b"7").unwrap(), 7);
        assert!(Call::<()>::new("DELETE", &["x"]).read(204, b"").is_ok());
        let problem = br#"{"type":"urn:x","title":"no","status":404,"detail":"nothing there"}"#;
        assert_eq!(call.read(404, problem).unwrap_err().to_string(), "nothing there");
        let said = call.read(502, b"<html>").unwrap_err().to_string();
        assert!(said.contains("502"), "{said}");
        assert!(call.read(200, b"").is_err());
    }
}
