//! The language of dialogs.
//!
//! ```text
//! === a dialog begins with its name
//! with: relay size=20        the world it needs, see below
//! C: NOOP                    the client sends a line; CRLF is added
//! C+: QU\r                   or only these octets
//! TLS                        client and server make TLS
//! S: 250 2.0.0 OK            the server answers exactly this
//! S: 250*                    or something that begins so
//! S: 250..                   or a reply of any number of lines with this code
//! S: closed                  and closes
//! M: Subject: x*             a line of the last message that was taken, as it is stored
//! ```
//!
//! In what the client sends `\r \n \t \0 \\ \xHH` stand for octets and `\{600*x}` for 600 times x.
//! Everything else, such as lines that begin with `#`, is comment. At the end of a dialog nothing
//! that the server said may be left.

use std::path::Path;

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The client sends.
    Send(Vec<u8>),
    /// Both make TLS.
    Tls,
    /// The server answers.
    Answer(Wanted),
    /// The server closes.
    Closed,
    /// The next line of the message taken last.
    Message(Wanted),
}

/// What a line must be.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Exactly(String),
    Beginning(String),
    /// All lines of a reply with this code.
    Reply(String),
}

/// A dialog.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// File and name, for those who read of its failure.
    pub(crate) name: String,
    /// The words of `with:`.
    pub(crate) with: String,
    /// The steps and the numbers of their lines.
    pub(crate) steps: Vec<(usize, Step)>,
}

/// The dialogs of a file.
pub(crate) fn read(file: &Path) -> Vec<Script> {
    let name = file.file_name().unwrap().to_string_lossy();
    parse(&name, &std::fs::read_to_string(file).unwrap())
}

/// The dialogs of a text from this file.
pub(crate) fn parse(file: &str, text: &str) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("=== ") {
            let (name, with, steps) = (format!("{file}: {name}"), String::new(), Vec::new());
            scripts.push(Script { name, with, steps });
            continue;
        }
        let Some(script) = scripts.last_mut() else { continue };
        if let Some(words) = line.strip_prefix("with: ") {
            script.with = words.to_owned();
        } else if let Some(step) = step(line) {
            script.steps.push((index + 1, step));
        }
    }
    scripts
}

fn step(line: &str) -> Option<Step> {
    if line == "TLS" {
        return Some(Step::Tls);
    }
    let (who, text) = line.split_once(": ").or_else(|| line.strip_suffix(':').map(|w| (w, "")))?;
    match who {
        "C" => Some(Step::Send([octets(text).as_slice(), b"\r\n"].concat())),
        "C+" => Some(Step::Send(octets(text))),
        "S" if text == "closed" => Some(Step::Closed),
        "S" => Some(Step::Answer(wanted(text))),
        "M" => Some(Step::Message(wanted(text))),
        _ => None,
    }
}

fn wanted(text: &str) -> Wanted {
    if let Some(code) = text.strip_suffix("..") {
        Wanted::Reply(code.to_owned())
    } else if let Some(start) = text.strip_suffix('*') {
        Wanted::Beginning(start.to_owned())
    } else {
        Wanted::Exactly(text.to_owned())
    }
}

/// Reads the escapes.
fn octets(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend(before.as_bytes());
        let mut chars = after.chars();
        rest = match chars.next() {
            Some('r') => push(&mut out, b'\r', chars.as_str()),
            Some('n') => push(&mut out, b'\n', chars.as_str()),
            Some('t') => push(&mut out, b'\t', chars.as_str()),
            Some('0') => push(&mut out, 0, chars.as_str()),
            Some('\\') => push(&mut out, b'\\', chars.as_str()),
            Some('x') => {
                let (digits, rest) = chars.as_str().split_at(2);
                push(&mut out, u8::from_str_radix(digits, 16).unwrap(), rest)
            }
            Some('{') => {
                let (inside, rest) = chars.as_str().split_once('}').unwrap();
                let (times, what) = inside.split_once('*').unwrap();
                out.extend(octets(what).repeat(times.parse().unwrap()));
                rest
            }
            other => panic!("no escape: {other:?} in {text}"),
        };
    }
    out.extend(rest.as_bytes());
    out
}

fn push<'a>(out: &mut Vec<u8>, octet: u8, rest: &'a str) -> &'a str {
    out.push(octet);
    rest
}

/// Compares what is there with a step; takes off what it matches.
pub(crate) fn take(lines: &mut Vec<String>, wanted: &Wanted) -> Result<(), String> {
    let line = if lines.is_empty() { "nothing".to_owned() } else { lines.remove(0) };
    let matches = match wanted {
        Wanted::Exactly(text) => line == *text,
        Wanted::Beginning(start) => line.starts_with(start),
        Wanted::Reply(code) => {
            let more = |line: &str| line.starts_with(&format!("{code}-"));
            let mut last = line.clone();
            while more(&last) && !lines.is_empty() {
                last = lines.remove(0);
            }
            last.starts_with(&format!("{code} "))
        }
    };
    if matches { Ok(()) } else { Err(format!("wanted {wanted:?}, got {line:?}, then {lines:?}")) }
}

/// Whether as many lines are there as a step may need.
pub(crate) fn is_there(lines: &[String], wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Reply(_) => lines.iter().any(|line| line.as_bytes().get(3) == Some(&b' ')),
        _ => !lines.is_empty(),
    }
}

#[test]
fn escapes_are_read() {
    assert_eq!(octets(r"a\r\n\0\\\xff\{3*ab}c"), b"a\r\n\0\\\xffabababc");
}
