//! The part of a report that is for machines: `message/delivery-status` (RFC 3464) and
//! `message/global-delivery-status` (RFC 6533).

use crate::mail::outcome::EnhancedStatus;

/// Recipients of one report that are read.
pub const RECIPIENTS_MAX: usize = 1_000;
/// Octets of a diagnosis that are kept.
pub const DIAGNOSIS_OCTETS_MAX: usize = 2_000;

/// What was done about a recipient (RFC 3464 2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still tried.
    Delayed,
    /// Delivered, relayed or expanded.
    Delivered,
}

/// What a report says of a recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// As the sender wrote it, if it is told.
    pub original: Option<String>,
    /// Where it was sent to in the end.
    pub last: Option<String>,
    /// What was done.
    pub action: Option<Action>,
    /// The status.
    pub status: Option<EnhancedStatus>,
    /// What the next host said.
    pub diagnosis: String,
    /// The next host.
    pub host: String,
}

/// Reads the groups of fields; those that name no recipient are left out.
pub fn read(part: &str) -> Vec<Fate> {
    let mut all = Vec::new();
    let mut fate = Fate::default();
    for (name, body) in fields(part) {
        match name.as_deref() {
            // An empty line ends a group.
            None => end(&mut all, &mut fate),
            Some("original-recipient") => fate.original = address(&body),
            Some("final-recipient") => {
                // Some forget the empty line between groups.
                if fate.last.is_some() {
                    end(&mut all, &mut fate);
                }
                fate.last = address(&body);
            }
            // Older than RFC 1894: what some still write.
            Some("x-actual-recipient") if fate.original.is_none() => {
                fate.original = address(&body);
            }
            Some("action") => fate.action = action(&body),
            Some("status") => fate.status = status(&body),
            Some("diagnostic-code") => {
                let text = body.split_once(';').map_or(&*body, |(_, text)| text).trim();
                fate.diagnosis = cut(text).to_owned();
            }
            Some("remote-mta") => {
                let host = body.split_once(';').map_or(&*body, |(_, host)| host).trim();
                fate.host = cut(host).to_owned();
            }
            _ => {}
        }
    }
    end(&mut all, &mut fate);
    all
}

/// The part for machines, where the mail is put together so badly that it stands in no part: from
/// its first line on, also in a quotation.
pub fn embedded(mail: &str) -> String {
    const FIRST: &[&str] =
        &["reporting-mta:", "final-recipient:", "original-recipient:", "x-postfix-queue-id:"];
    const BEHIND: &[&str] = &["return-path:", "received: ", "--", "message-id:", "subject:"];
    let begins = |line: &str, words: &[&str]| {
        words.iter().any(|word| {
            line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        })
    };
    let lines = mail.lines().map(|line| line.trim_start_matches(['>', ' ']));
    // A continuation keeps its blank.
    let whole = mail.lines().map(|line| line.strip_prefix("> ").unwrap_or(line));
    let mut part = String::new();
    for (line, whole) in lines.zip(whole) {
        if part.is_empty() && !begins(line, FIRST) {
            continue;
        }
        if begins(line, BEHIND) {
            break;
        }
        part.push_str(whole);
        part.push('\n');
    }
    part
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(DIAGNOSIS_OCTETS_MAX)).unwrap_or(text)
}

fn end(all: &mut Vec<Fate>, fate: &mut Fate) {
    let ended = std::mem::take(fate);
    if (ended.original.is_some() || ended.last.is_some()) && all.len() < RECIPIENTS_MAX {
        all.push(ended);
    }
}

/// Fields with their names in small letters, unfolded; an empty line is a field without a name.
fn fields(part: &str) -> Vec<(Option<String>, String)> {
    let mut all: Vec<(Option<String>, String)> = Vec::new();
    for line in part.lines() {
        if line.trim().is_empty() {
            all.push((None, String::new()));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, body)) = all.last_mut() {
                body.push(' ');
                body.push_str(line.trim());
            }
        } else if let Some((name, body)) = line.split_once(':') {
            all.push((Some(name.trim().to_ascii_lowercase()), body.trim().to_owned()));
        }
    }
    all
}

fn action(body: &str) -> Option<Action> {
    let word = body.split([' ', ';', '(']).next().unwrap_or_default().to_ascii_lowercase();
    match word.as_str() {
        "failed" | "failure" | "fail" | "expired" => Some(Action::Failed),
        "delayed" | "delay" | "deferred" => Some(Action::Delayed),
        "delivered" | "relayed" | "expanded" => Some(Action::Delivered),
        _ => None,
    }
}

/// The status at the beginning of a text; whatever stands behind it.
pub fn status(body: &str) -> Option<EnhancedStatus> {
    let word: String =
        body.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    word.trim_end_matches('.').parse().ok()
}

/// The address behind the type: `rfc822; ann@example.net`, `utf-8; …` (RFC 6533 3), angle brackets
/// or not, xtext decoded (RFC 3461 4).
fn address(body: &str) -> Option<String> {
    let text = body.split_once(';').map_or(body, |(_, text)| text).trim();
    let inner = match (text.find('<'), text.rfind('>')) {
        (Some(from), Some(to)) if from < to => text.get(from + 1..to).unwrap_or(text),
        _ => text.split_whitespace().next().unwrap_or_default(),
    };
    let inner = inner.trim_matches(['"', '\'', ',', '<', '>']);
    inner.contains('@').then(|| unescaped(inner))
}

/// `+3D` is `=`: xtext. What only looks like it is left.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('+') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let digits = rest.get(at + 1..at + 3).filter(|digits| {
            digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
        });
        let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet.filter(|octet| (b'!'..=b'~').contains(octet) && !octet.is_ascii_alphanumeric())
        {
            Some(octet) => {
                out.push(char::from(octet));
                rest = rest.get(at + 3..).unwrap_or_default();
            }
            None => {
                out.push('+');
                rest = rest.get(at + 1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_apart() {
        let part = "Reporting-MTA: dns; a\r\n\r\nFinal-Recipient: rfc822; <ann@x.example>\r\n\
            Original-Recipient: rfc822;ann+2Bx@x.example\r\nAction: failed (bad)\r\n\
            Status: 5.1.1 (no)\r\nDiagnostic-Code: smtp; 550 no\r\n such user\r\n\
            Remote-MTA: dns; mx.x.example\r\nFinal-Recipient: utf-8; b@x.example\r\n\
            Action: delayed\r\n\r\nAction: failed\r\n";
        let all = read(part);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].original.as_deref(), Some("ann+x@x.example"));
        assert_eq!(all[0].last.as_deref(), Some("ann@x.example"));
        assert_eq!((all[0].action, &*all[0].diagnosis), (Some(Action::Failed), "550 no such user"));
        assert_eq!(all[0].status, Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!((&*all[0].host, all[1].action), ("mx.x.example", Some(Action::Delayed)));
    }

    #[test]
    fn what_only_looks_like_xtext_is_left() {
        assert_eq!(unescaped("a+b@c.example"), "a+b@c.example");
        assert_eq!(unescaped("a+3Db+"), "a=b+");
        assert_eq!(unescaped("a+41@x"), "a+41@x", "a letter needs no escape");
    }
}
