//! A daemon that answers HTTP, with what is around it, and a plain client.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use maily::sink::behaviour::Behaviour;
use maily_core::clock::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::process::free;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::world::DOMAIN;
use crate::support::world::World;

/// What a server said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// The fields, as they came.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Said {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A daemon with a project `shop`, and a token that may do all in it.
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) daemon: Daemon,
    pub(crate) api: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) token: String,
    folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(behaviour: Behaviour) -> Self {
        Self::with(behaviour, "")
    }

    /// The same with more in its configuration.
    pub(crate) fn with(behaviour: Behaviour, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::behaving(folder.path(), behaviour);
        let (api, public) = (free(), free());
        let more = format!(
            "[registry]\nfolder = \"{0}/registry\"\n\
             [http.api]\nlisten = \"{api}\"\n[http.admin]\nlisten = \"{0}/admin.sock\"\n\
             [http.public]\nlisten = \"{public}\"\n\
             base_url = \"http://{public}\"\n{more}",
            folder.path().display(),
        );
        let daemon = Daemon::start(folder.path(), world.dns, world.sink.port(), &more);
        let mut this = Self { world, daemon, api, public, token: String::new(), folder };
        this.wait_until_it_answers();
        this.maily(&["project", "create", "shop"]);
        let said = this.maily(&["token", "create", "--project", "shop", "--role", "admin"]);
        this.token = said.lines().last().unwrap().trim().to_owned();
        this
    }

    /// SMTP is answered a moment before HTTP.
    fn wait_until_it_answers(&mut self) {
        wait_for("HTTP", || {
            self.daemon.must_run();
            let socket = self.folder.path().join("admin.sock");
            let admin = std::os::unix::net::UnixStream::connect(socket).is_ok();
            let open = |address| TcpStream::connect(address).is_ok();
            admin && open(self.api) && open(self.public)
        });
    }

    /// Ends the daemon as a crash does, and starts it again with what it left.
    pub(crate) fn crash(&mut self) {
        self.daemon.signal("KILL");
        self.daemon.ended();
        self.restart();
    }

    /// Starts the daemon again.
    pub(crate) fn restart(&mut self) {
        self.daemon.restart();
        self.wait_until_it_answers();
    }

    /// Runs a command of an operator; gives what it says.
    pub(crate) fn maily(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.command(arguments));
        String::from_utf8([output.stderr, output.stdout].concat()).unwrap()
    }

    /// The same; it may end with 1, for nothing.
    pub(crate) fn maily_may(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command of an operator that fails with this code; gives what it says.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        String::from_utf8([output.stderr, output.stdout].concat()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maily"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("maily.toml"));
        command
    }

    /// Asks the API as one who may do all everywhere.
    pub(crate) fn ask_admin(&self, method: &str, path: &str, body: Option<&Value>) -> Said {
        self.ask_as(&self.owner(), method, path, body)
    }

    /// Asks the API with this token.
    pub(crate) fn ask_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Said {
        let fields = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        let body = body.map(Value::to_string).unwrap_or_default();
        request(self.api, method, path, &fields, &body).unwrap()
    }

    /// A token that may do all everywhere.
    pub(crate) fn owner(&self) -> String {
        let said = self.maily(&["token", "create", "--role", "owner"]);
        said.lines().last().unwrap().trim().to_owned()
    }

    /// The file of its configuration.
    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("maily.toml")
    }

    /// The folder of the event log.
    pub(crate) fn events(&self) -> std::path::PathBuf {
        self.folder.path().join("events")
    }

    /// The whole life of a message, as an operator sees it.
    pub(crate) fn trace(&self, what: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maily"));
        command.args(["trace", what, "--events"]).arg(self.events());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    /// Asks the API with our token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Said {
        self.ask_with(method, path, body, "")
    }

    /// The same with more header fields, each with its CRLF.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        fields: &str,
    ) -> Said {
        let mut more = format!("Authorization: Bearer {}\r\n{fields}", self.token);
        if body.is_some() {
            more.push_str("Content-Type: application/json\r\n");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        request(self.api, method, path, &more, &body).unwrap()
    }

    /// Hands in mail; gives the ids of those who were accepted.
    pub(crate) fn inject(&self, mail: &Value) -> Vec<String> {
        let said = self.ask("POST", "/v1/messages", Some(mail));
        assert_eq!(said.status, 202, "{said:?}");
        ids(&said)
    }
}

/// The ids in an answer, of those who were accepted.
pub(crate) fn ids(said: &Said) -> Vec<String> {
    let results = said.json()["results"].as_array().unwrap().clone();
    results.iter().filter_map(|result| result["id"].as_str().map(str::to_owned)).collect()
}

/// The time in so many seconds, as RFC 3339 writes it.
pub(crate) fn soon(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_secs(now.as_secs() + seconds).to_string()
}

/// A mailing in two parts for so many recipients, who each have a name.
pub(crate) fn mail(count: usize) -> Value {
    let recipient = |n| {
        let variables = json!({ "name": format!("No. {n}") });
        json!({ "email": format!("r{n}@{DOMAIN}"), "variables": variables })
    };
    json!({
        "from": { "email": "news@shop.example", "name": "The Shop" },
        "subject": "For {{ name }}",
        "html": "<p>Dear {{ name }}, <a href=\"https://shop.example/\">look</a>",
        "recipients": (0..count).map(recipient).collect::<Vec<_>>(),
    })
}

/// One request and its answer; an error if the server goes away.
pub(crate) fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    fields: &str,
    body: &str,
) -> std::io::Result<Said> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         Content-Length: {}\r\n{fields}\r\n",
        body.len(),
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let parts = answer.split_once("\r\n\r\n");
    let (head, body) = parts.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Said { status, head: head.to_owned(), body: body.to_owned() })
}
