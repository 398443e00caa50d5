//! A mail server that does to each recipient what its name says, and keeps what it takes.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A message as a hop got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Got {
    /// The line of MAIL.
    pub(crate) mail: String,
    /// The lines of RCPT that were taken.
    pub(crate) recipients: Vec<String>,
    /// Header and body, without dot-stuffing.
    pub(crate) message: String,
}

#[derive(Default)]
struct State {
    got: Vec<Got>,
    seen: HashSet<String>,
}

/// A running hop; it ends with the process.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Hop {
    /// Listens here; `extensions` are offered beside 8BITMIME.
    pub(crate) fn listen(address: SocketAddr, extensions: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, extensions, &shared));
            }
        });
        Self { address, state }
    }

    /// What it has taken so far.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.state.lock().unwrap().got.clone()
    }
}

/// Talks until the client has gone.
fn serve(stream: TcpStream, extensions: &[&str], state: &Mutex<State>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    stream.set_nodelay(true).ok()?;
    stream.write_all(b"220 hop.example ESMTP\r\n").ok()?;
    let mut now = Got::default();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" => {
                let more: String =
                    extensions.iter().map(|word| format!("250-{word}\r\n")).collect();
                format!("250-hop.example\r\n{more}250 8BITMIME")
            }
            "MAIL" => {
                now = Got { mail: line.to_owned(), ..Got::default() };
                "250 2.1.0 go on".to_owned()
            }
            "RCPT" => rcpt(line, &mut now, state).to_owned(),
            "DATA" if now.recipients.is_empty() => "503 5.5.1 for whom?".to_owned(),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").ok()?;
                now.message = content(&mut lines)?;
                if now.recipients.iter().any(|to| to.contains("<heavy")) {
                    "554 5.6.0 not this".to_owned()
                } else {
                    state.lock().unwrap().got.push(std::mem::take(&mut now));
                    "250 2.0.0 taken".to_owned()
                }
            }
            "QUIT" => "221 2.0.0 bye".to_owned(),
            "RSET" => "250 2.0.0 forgotten".to_owned(),
            _ => "502 5.5.1 what?".to_owned(),
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).ok()?;
    }
}

fn rcpt(line: &str, now: &mut Got, state: &Mutex<State>) -> &'static str {
    let to = line.split('<').nth(1).unwrap_or_default();
    if to.starts_with("gone") {
        return "550 5.1.1 no such user here";
    }
    if to.starts_with("later") {
        return "450 4.2.0 not now";
    }
    if to.starts_with("once") && state.lock().unwrap().seen.insert(to.to_owned()) {
        return "450 4.7.1 come again";
    }
    now.recipients.push(line.to_owned());
    "250 2.1.5 yes"
}

/// The lines up to the final dot.
fn content(lines: &mut impl BufRead) -> Option<String> {
    let mut message = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(message);
        }
        message += line.strip_prefix('.').unwrap_or(&line);
    }
}
