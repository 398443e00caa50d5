//! HTTP as plain text over a socket, so that a test may also say what no library would.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The fields, as they came.
    pub(crate) head: String,
    /// The body, if it is JSON.
    pub(crate) body: Value,
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    path: String,
    fields: String,
    body: Vec<u8>,
}

/// A request without a body.
pub(crate) fn ask(method: &str, path: &str) -> Ask {
    let (method, path) = (method.to_owned(), path.to_owned());
    Ask { method, path, fields: String::new(), body: Vec::new() }
}

impl Ask {
    /// With a token.
    pub(crate) fn token(self, token: &str) -> Self {
        self.field("Authorization", &format!("Bearer {token}"))
    }

    /// With a field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// With a body of JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string().as_bytes())
    }

    /// With any body.
    pub(crate) fn text(mut self, kind: &str, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let octets = body.len().to_string();
        self.field("Content-Type", kind).field("Content-Length", &octets)
    }

    fn octets(&self) -> Vec<u8> {
        let Self { method, path, fields, body } = self;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{fields}\r\n");
        [head.as_bytes(), body].concat()
    }

    /// Sent to an address.
    pub(crate) fn to(&self, address: SocketAddr) -> Answer {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        talk(stream, &self.octets())
    }

    /// Sent to a socket of this machine.
    pub(crate) fn to_socket(&self, path: &Path) -> Answer {
        talk(UnixStream::connect(path).unwrap(), &self.octets())
    }
}

/// Says these octets and reads the answer.
pub(crate) fn say(address: SocketAddr, octets: &[u8]) -> Answer {
    talk(TcpStream::connect(address).unwrap(), octets)
}

fn talk(mut stream: impl Read + Write, octets: &[u8]) -> Answer {
    // It may be refused before all of it is said.
    let _refused = stream.write_all(octets);
    let mut answer = Vec::new();
    let mut piece = [0; 16 << 10];
    // A stream of events has no end: its head is all that is waited for.
    while !is_endless(&answer) {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer: {answer:?}")),
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

/// Whether the head of an answer is whole, and a stream of events follows.
fn is_endless(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    String::from_utf8_lossy(&answer[..end]).contains("text/event-stream")
}
