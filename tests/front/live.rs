//! Operators look on: sessions while they go on, what was said in them, and how they are ended.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use maily::sink::behaviour::Behaviour;
use serde_json::Value;
use serde_json::json;

use crate::place::Place;
use crate::place::mail;
use crate::place::request;
use crate::support::client::Client;
use crate::support::daemon::PASSWORD;
use crate::support::daemon::USER;
use crate::support::process::Running;
use crate::support::process::own_address;
use crate::support::process::run;
use crate::support::process::wait_for;
use crate::support::tools::tool;
use crate::support::world::DOMAIN;

/// "\0newsletter\0correct horse battery", as AUTH PLAIN has it; the password alone, as LOGIN has.
const PLAIN: &str = "AG5ld3NsZXR0ZXIAY29ycmVjdCBob3JzZSBiYXR0ZXJ5";
const LOGIN: &str = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";

/// A place, and a token that sees all of it.
struct Watched {
    place: Place,
    owner: String,
}

impl Watched {
    fn new(behaviour: Behaviour, more: &str) -> Self {
        let place = Place::with(behaviour, more);
        let owner = place.owner();
        Self { place, owner }
    }

    fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let fields = format!("Authorization: Bearer {}\r\n", self.owner);
        let said = request(self.place.api, method, path, &fields, "").unwrap();
        let body = if said.body.is_empty() { Value::Null } else { said.json() };
        (said.status, body)
    }

    fn sessions(&self, query: &str) -> Vec<Value> {
        let (status, page) = self.ask("GET", &format!("/v1/sessions{query}"));
        assert_eq!(status, 200, "{page}");
        page["data"].as_array().unwrap().clone()
    }

    /// The only session of this direction, when it is so far.
    fn session(&self, direction: &str, phase: &str) -> Value {
        let mut found = Value::Null;
        wait_for(&format!("a session {direction} in {phase}"), || {
            let rows = self.sessions(&format!("?direction={direction}"));
            assert!(rows.len() <= 1, "{rows:?}");
            found = rows.first().cloned().unwrap_or_default();
            found["phase"] == phase
        });
        found
    }

    fn transcripts(&self, query: &str) -> Vec<Value> {
        let (status, all) = self.ask("GET", &format!("/v1/transcripts{query}"));
        assert_eq!(status, 200, "{all}");
        all.as_array().unwrap().clone()
    }
}

/// What was said, one line after the other, with who said it.
fn lines(transcript: &Value) -> Vec<String> {
    let line = |line: &Value| format!("{} {}", word(line, "by"), word(line, "text"));
    transcript["lines"].as_array().unwrap().iter().map(line).collect()
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// A next hop that says what it likes: to a line that begins so, this; else `250 ok`.
fn hop(greeting: &'static str, says: &'static [(&'static str, &'static str)]) -> SocketAddr {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut heard = BufReader::new(stream.try_clone().unwrap());
            stream.write_all(greeting.as_bytes()).unwrap();
            let mut line = String::new();
            while heard.read_line(&mut line).is_ok_and(|octets| octets > 0) {
                let says = says.iter().find(|(start, _)| line.starts_with(start));
                let says = says.map_or("250 ok\r\n", |(_, says)| *says);
                if stream.write_all(says.as_bytes()).is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
    address
}

fn letter(domain: &str) -> Value {
    let mut letter = mail(1);
    letter["recipients"] =
        json!([{ "email": format!("ann@{domain}"), "variables": { "name": "Ann" } }]);
    letter
}

#[test]
fn a_slow_session_in_is_seen_with_its_phase_and_what_was_said_last() {
    let watched = Watched::new(Behaviour::Accept, "");
    let (mut client, _) = Client::connect(watched.place.daemon.smtp).unwrap();
    let row = watched.session("in", "greeting");
    assert_eq!(word(&row, "command"), "");
    assert!(word(&row, "reply").starts_with("220 mail.maily.example"), "{row}");
    client.say("EHLO client.example\r\n");
    client.say(&format!("AUTH PLAIN {PLAIN}\r\n"));
    let row = watched.session("in", "idle");
    assert_eq!((word(&row, "user"), word(&row, "command")), (USER, "AUTH PLAIN"));
    client.say("MAIL FROM:<a@client.example>\r\n");
    client.say(&format!("RCPT TO:<slow@{DOMAIN}>\r\n"));
    let row = watched.session("in", "envelope");
    assert_eq!(word(&row, "command"), format!("RCPT TO:<slow@{DOMAIN}>"));
    assert_eq!(word(&row, "reply"), "250 2.1.5 OK");
    assert_eq!(word(&row, "peer"), own_or_local(&watched));
    client.say("DATA\r\n");
    let data = watched.session("in", "data");
    assert!(word(&data, "since") >= word(&row, "since"), "{data}");
    let socket = watched.place.events().with_file_name("admin.sock");
    let mut plain = Command::new(env!("CARGO_BIN_EXE_maily"));
    let printed = run(plain.args(["sessions", "--in", "--admin"]).arg(socket)).stdout;
    let printed = String::from_utf8(printed).unwrap();
    assert!(printed.contains(" data since ") && printed.contains("C: DATA, S: 354 "), "{printed}");
    assert_eq!(
        watched.place.maily(&["sessions", "--in", "--json"]).matches("\"phase\"").count(),
        1
    );
    client.say("Subject: hidden\r\n\r\nwords\r\n.\r\n");
    let row = watched.session("in", "idle");
    assert_eq!((&row["messages"], &row["failed"]), (&json!(1), &json!(false)));
    let path = format!("/v1/sessions/{}/transcript", word(&row, "session"));
    let (status, told) = watched.ask("GET", &path);
    assert_eq!((status, &told["over"]), (200, &json!(false)));
    let all = lines(&told).join("\n");
    assert!(all.contains("note message of 26 octets"), "{all}");
    for secret in ["hidden", "words", PLAIN, PASSWORD] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    client.say("QUIT\r\n");
    wait_for("its end", || watched.ask("GET", &path).1["over"] == true);
    assert_eq!(watched.sessions("?direction=in"), [] as [Value; 0]);
}

/// The address from which a client on this machine comes to the daemon.
fn own_or_local(watched: &Watched) -> String {
    let stream = TcpStream::connect(watched.place.daemon.smtp).unwrap();
    stream.local_addr().unwrap().ip().to_string()
}

#[test]
fn swaks_logs_in_both_ways_and_its_secrets_are_nowhere() {
    let watched = Watched::new(Behaviour::Accept, "");
    let smtp = watched.place.daemon.smtp;
    for mechanism in ["PLAIN", "LOGIN"] {
        run(Command::new(tool("swaks"))
            .args(["--server", &smtp.ip().to_string(), "--port", &smtp.port().to_string()])
            .args(["--tls", "--auth", mechanism, "--auth-user", USER])
            .args(["--auth-password", PASSWORD])
            .args(["--from", "a@client.example", "--to", &format!("b@{DOMAIN}")]));
    }
    let mut wrong = Command::new(tool("swaks"));
    wrong.args(["--server", &smtp.ip().to_string(), "--port", &smtp.port().to_string()]);
    wrong.args(["--tls", "--auth", "PLAIN", "--auth-user", USER, "--auth-password", "guessed"]);
    assert!(!wrong.args(["--to", "b@x.example"]).output().unwrap().status.success());
    let mut all = Vec::new();
    wait_for("three transcripts", || {
        all = watched.transcripts("?direction=in");
        // Others only looked whether the daemon is there.
        all.retain(|told| lines(told).iter().any(|line| line.starts_with("client AUTH")));
        all.len() == 3
    });
    let [refused, login, plain] = &all[..] else { panic!("{all:?}") };
    let (refused, login, plain) = (lines(refused), lines(login), lines(plain));
    let has = |lines: &[String], line: &str| assert!(lines.iter().any(|l| l == line), "{lines:?}");
    has(&plain, "client STARTTLS");
    has(&plain, "client AUTH PLAIN");
    has(&plain, "note the initial response is left out");
    has(&login, "client AUTH LOGIN");
    has(&login, "note a line of AUTH is left out");
    assert!(plain.iter().any(|line| line.starts_with("note TLSv1_3 ")), "{plain:?}");
    assert!(refused.iter().any(|line| line.starts_with("server 535 5.7.8")), "{refused:?}");
    let said = watched.place.maily(&["sessions", "--last"]) + &*format!("{all:?}");
    // "\0newsletter\0guessed"
    for secret in [PLAIN, LOGIN, PASSWORD, "AG5ld3NsZXR0ZXIAZ3Vlc3NlZA==", "guessed"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    let failed = watched.transcripts("?direction=in&failed=true");
    let refused = failed.iter().filter(|told| lines(told).iter().any(|l| l.starts_with("client")));
    assert_eq!(refused.count(), 1, "{failed:?}");
}

#[test]
fn a_refused_attempt_leaves_its_commands_and_the_reply() {
    let watched = Watched::new(Behaviour::Reject(1.0), "");
    let id = watched.place.inject(&letter(DOMAIN)).remove(0);
    let row = watched.session("out", "idle");
    assert_eq!((&row["failed"], &row["site"]), (&json!(true), &json!("mx.sink.example")));
    assert!(word(&row, "tls").starts_with("TLSv1"), "{row}");
    assert!(row.get("message").is_none(), "it is off its hands: {row}");
    let kept = watched.transcripts("?failed=true&direction=out").remove(0);
    assert_eq!((&kept["over"], &kept["message"]), (&json!(false), &json!(id)), "it still goes on");
    assert!(lines(&kept).last().unwrap().starts_with("server "), "{kept}");
    let printed = watched.place.maily(&["sessions", "--close", word(&row, "session")]);
    assert_eq!(printed, "");
    let mut failed = Vec::new();
    let query = "?failed=true&site=mx.sink.example&source=default";
    wait_for("its transcript", || {
        failed = watched.transcripts(query);
        failed.first().is_some_and(|told| told["over"] == true)
    });
    let told = lines(&failed[0]);
    let at = |line: &str| {
        let place = told.iter().position(|told| told.starts_with(line));
        place.unwrap_or_else(|| panic!("{line} in {told:?}"))
    };
    let order = [
        at("note connecting to mx.sink.example ["),
        at("client STARTTLS"),
        at("client MAIL FROM:<"),
        at(&format!("client RCPT TO:<ann@{DOMAIN}>")),
        at("server 550 5.1.1"),
        at("client QUIT"),
    ];
    assert!(order.is_sorted(), "{told:?}");
    assert_eq!(watched.transcripts("?site=other.example"), [] as [Value; 0]);
    assert_eq!(watched.transcripts("?source=other"), [] as [Value; 0]);
    let printed = watched.place.maily(&["sessions", "--last", "--failed", "--out"]);
    assert!(printed.contains(&format!(" C: RCPT TO:<ann@{DOMAIN}>")), "{printed}");
    assert!(printed.contains(" S: 550 5.1.1"), "{printed}");
}

#[test]
fn a_slow_session_out_is_seen_followed_and_ended_after_its_message() {
    let watched = Watched::new(Behaviour::Slow(Duration::from_secs(2)), "");
    let id = watched.place.inject(&letter(DOMAIN)).remove(0);
    let row = watched.session("out", "reply");
    assert_eq!((word(&row, "message"), word(&row, "domain")), (&*id, DOMAIN));
    assert!(word(&row, "command").starts_with("BDAT ") || word(&row, "command") == "DATA", "{row}");
    let session = word(&row, "session");
    let config = watched.place.events().with_file_name("maily.toml");
    let mut follow = Command::new(env!("CARGO_BIN_EXE_maily"));
    follow.args(["sessions", "--follow", session, "--config"]).arg(config);
    let mut follow = Running(follow.stdout(Stdio::piped()).spawn().unwrap());
    assert_eq!(watched.ask("DELETE", &format!("/v1/sessions/{session}")).0, 202);
    let mut printed = String::new();
    follow.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert!(follow.0.wait().unwrap().success(), "it ends with the session");
    let place = |text: &str| printed.find(text).unwrap_or_else(|| panic!("{text} in {printed}"));
    assert!(
        place("C: RCPT TO:<") < place("S: 250 2.0.0") && place("S: 250 2.0.0") < place("C: QUIT")
    );
    wait_for("the delivery", || watched.place.trace(&id).contains("delivered"));
    assert_eq!(watched.ask("DELETE", &format!("/v1/sessions/{session}")).0, 404, "it is over");
    let (status, told) = watched.ask("GET", &format!("/v1/sessions/{session}/transcript"));
    assert_eq!((status, &told["over"], &told["failed"]), (200, &json!(true), &json!(false)));
    let said = watched.ask("GET", "/v1/audit?limit=1000").1;
    let deeds =
        said["data"].as_array().unwrap().iter().filter(|deed| {
            deed["action"] == "DELETE /v1/sessions/{session}" && deed["outcome"] == 202
        });
    assert_eq!(deeds.count(), 1, "{said}");
}

#[test]
fn what_a_peer_says_to_a_terminal_is_told_as_it_was_and_shown_harmless() {
    let evil = "550 5.7.1 \x1b[2J\x1b]0;owned\x07 never\u{202e}\r\n";
    let at = hop("220 evil\r\n", Box::leak(Box::new([("RCPT", evil)])));
    let route = format!("[[route]]\ndomain = \"evil.example\"\nhost = \"{at}\"\ntls = \"off\"\n");
    let watched = Watched::new(Behaviour::Accept, &route);
    watched.place.inject(&letter("evil.example"));
    let row = watched.session("out", "idle");
    let (status, told) =
        watched.ask("GET", &format!("/v1/sessions/{}/transcript", word(&row, "session")));
    assert_eq!(status, 200);
    let evil = format!("server {}", evil.trim_end());
    assert!(lines(&told).contains(&evil), "{told}");
    watched.place.maily(&["sessions", "--close", word(&row, "session")]);
    wait_for("its end", || watched.sessions("?direction=out").is_empty());
    let printed = watched.place.maily(&["sessions", "--last", "--failed"]);
    assert!(printed.contains("S: 550 5.7.1 ?[2J?]0;owned? never"), "{printed}");
    assert!(!printed.contains(['\x1b', '\x07']), "{printed:?}");
}

#[test]
fn our_own_password_for_a_next_hop_is_nowhere_not_even_if_it_is_said_back() {
    // "\0relay\0correct horse battery"
    let secret = "AHJlbGF5AGNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==";
    let at = hop(
        "220 relay\r\n",
        &[
            ("EHLO", "250-relay\r\n250 AUTH PLAIN\r\n"),
            ("AUTH", "535 5.7.8 AHJlbGF5AGNvcnJlY3QgaG9yc2UgYmF0dGVyeQ== is wrong\r\n"),
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let route = format!(
        "[[route]]\ndomain = \"relay.example\"\nhost = \"{at}\"\ntls = \"off\"\n\
         user = \"relay\"\npassword = {{ file = \"{}\" }}\n",
        file.display(),
    );
    let watched = Watched::new(Behaviour::Accept, &route);
    watched.place.inject(&letter("relay.example"));
    let mut failed = Vec::new();
    wait_for("its transcript", || {
        failed = watched.transcripts("?failed=true&direction=out");
        !failed.is_empty()
    });
    let told = lines(&failed[0]);
    assert!(told.contains(&"client AUTH PLAIN".to_owned()), "{told:?}");
    let left_out = "note 535, the text has a secret and is left out";
    assert!(told.contains(&left_out.to_owned()), "{told:?}");
    let said = watched.place.maily(&["sessions", "--last"]) + &*format!("{told:?}");
    for secret in [secret, LOGIN, PASSWORD] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn who_only_reads_sees_all_and_ends_nothing() {
    let watched = Watched::new(Behaviour::Accept, "");
    let said = watched.place.maily(&["token", "create", "--role", "viewer"]);
    let viewer = said.lines().last().unwrap().trim().to_owned();
    let (mut client, _) = Client::connect(watched.place.daemon.smtp).unwrap();
    client.say("EHLO client.example\r\n");
    let session = word(&watched.session("in", "idle"), "session").to_owned();
    let ask = |method: &str, path: &str, token: &str| {
        let fields = format!("Authorization: Bearer {token}\r\n");
        request(watched.place.api, method, path, &fields, "").unwrap().status
    };
    let path = format!("/v1/sessions/{session}");
    for path in ["/v1/sessions", &format!("{path}/transcript"), "/v1/transcripts"] {
        assert_eq!(ask("GET", path, &viewer), 200, "{path}");
        assert_eq!(ask("GET", path, &watched.place.token), 403, "of one project: {path}");
    }
    assert_eq!(ask("DELETE", &path, &viewer), 403);
    assert_eq!(ask("DELETE", &path, &watched.place.token), 403);
    assert!(client.say("NOOP\r\n").starts_with("250"), "it goes on");
    assert_eq!(ask("DELETE", &path, &watched.owner), 202);
    assert!(client.reply().starts_with("421 4.3.2 closed by an operator"));
    assert_eq!(client.reply(), "", "it is closed");
}

/// Reads a stream of lines until it ends; what has come is there for whoever looks.
fn follow(at: SocketAddr, session: &str, token: &str, last: u64) -> Arc<Mutex<Option<String>>> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "GET /v1/sessions/{session}/transcript/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\nLast-Event-ID: {last}\r\n\r\n",
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut heard = BufReader::new(stream);
    let mut line = String::new();
    while !line.ends_with("retry: 3000\n") {
        assert!(heard.read_line(&mut line).unwrap() > 0, "{line}");
    }
    assert!(line.starts_with("HTTP/1.1 200") && line.contains("text/event-stream"), "{line}");
    let ended = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&ended);
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _cut = heard.read_to_end(&mut all);
        *slot.lock().unwrap() = Some(String::from_utf8_lossy(&all).into_owned());
    });
    ended
}

#[test]
fn a_stream_of_lines_ends_with_its_session_its_token_and_the_daemon() {
    let mut watched = Watched::new(Behaviour::Accept, "");
    let said = watched.place.maily(&["token", "create", "--role", "viewer"]);
    let viewer = said.lines().last().unwrap().trim().to_owned();
    let (mut first, _) = Client::connect(watched.place.daemon.smtp).unwrap();
    first.say("EHLO first.example\r\n");
    let session = word(&watched.session("in", "idle"), "session").to_owned();
    let api = watched.place.api;
    let whole = follow(api, &session, &watched.owner, 0);
    let rest = follow(api, &session, &watched.owner, 2);
    let theirs = follow(api, &session, &viewer, 0);
    assert_eq!(watched.ask("DELETE", &format!("/v1/tokens/{}", &viewer[8..19])).0, 204);
    first.say("NOOP one\r\n");
    wait_for("the end of whose token is gone", || theirs.lock().unwrap().is_some());
    let theirs = theirs.lock().unwrap().take().unwrap();
    assert!(theirs.contains("EHLO first.example") && !theirs.contains("NOOP one"), "{theirs}");
    first.say("QUIT\r\n");
    wait_for("the end of the session", || {
        whole.lock().unwrap().is_some() && rest.lock().unwrap().is_some()
    });
    let whole = whole.lock().unwrap().take().unwrap();
    assert!(whole.contains("id: 1\nevent: line\ndata: {\"at\":\""), "{whole}");
    assert!(whole.contains("\"by\":\"client\",\"text\":\"NOOP one\"}"), "{whole}");
    assert!(whole.contains("event: over\ndata: {\"failed\":false}\n\n"), "{whole}");
    let rest = rest.lock().unwrap().take().unwrap();
    assert!(!rest.contains("id: 2\n") && rest.contains("id: 3\n"), "{rest}");
    let (mut second, _) = Client::connect(watched.place.daemon.smtp).unwrap();
    second.say("EHLO second.example\r\n");
    let session = word(&watched.session("in", "idle"), "session").to_owned();
    let last = follow(api, &session, &watched.owner, 0);
    watched.place.daemon.signal("TERM");
    wait_for("the end of the daemon", || last.lock().unwrap().is_some());
    assert!(watched.place.daemon.ended().success(), "{}", watched.place.daemon.log());
}
