//! What a bounce says to people, where there is no part for machines: addresses, and what is said
//! about each.

/// Octets of a text that are looked at.
pub const TEXT_OCTETS_MAX: usize = 64 * 1024;
/// Addresses that are found in a text.
pub const FOUND_MAX: usize = 100;
/// Octets of what is said about one.
pub const SAID_OCTETS_MAX: usize = 2_000;

/// An address in a text, and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The address, as it is written.
    pub address: String,
    /// Its line and those behind it, up to the next address.
    pub said: String,
    /// Whether it stands alone in angle brackets or in its line: who is spoken of stands so.
    pub alone: bool,
}

/// Where the message that comes back begins, in a text without parts.
const RETURNED: &[&str] = &[
    "--- below this line is a copy of the message",
    "--- this is a copy of",
    "------ this is a copy of the message",
    "----- original message",
    "----- message header follows",
    "----- unsent message follows",
    "----- returned message",
    "--- returned message",
    "--- the message cannot be delivered",
    "----- original headers",
    "your original message follows",
    "original message follows",
    "original message headers",
    "message header follows",
    "the header of the original",
    "-- the header and top",
    "copy of the original message",
    "the original message was attached",
    "the original message is attached",
    "returned message follows",
    "message text follows",
    "headers of the message",
    "included is a copy",
    "received: from ",
    "received: by ",
    "return-path: <",
    "-----message header follows",
    "original mail:",
    "unsent message follows",
    "--- enclosed are the original headers",
];

/// The text before the message that comes back, and that message.
pub fn split(text: &str) -> (&str, &str) {
    let text = text.get(..text.floor_char_boundary(TEXT_OCTETS_MAX)).unwrap_or(text);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let plain = line.trim().to_lowercase();
        // What stands at the very beginning is no end.
        let began = !text.get(..at).unwrap_or_default().trim().is_empty();
        if began && RETURNED.iter().any(|mark| plain.starts_with(mark)) {
            return (text.get(..at).unwrap_or(text), text.get(at..).unwrap_or_default());
        }
        at += line.len();
    }
    (text, "")
}

/// The addresses of a text in their order, each once.
pub fn addresses(text: &str) -> Vec<Found> {
    let (mut all, mut ended) = (Vec::<Found>::new(), false);
    for line in text.lines() {
        let mut named = false;
        for (address, alone) in in_line(line) {
            named = true;
            let same = |found: &&mut Found| found.address.eq_ignore_ascii_case(&address);
            let more = all.len() < FOUND_MAX;
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.alone |= alone;
                    add(&mut known.said, line);
                }
                None if more => {
                    all.push(Found { address, said: line.trim().to_owned(), alone });
                }
                None => {}
            }
        }
        // In a dialog, the next reply is about somebody else.
        ended = !named && (ended || in_dialog(&all) && begins_reply(line));
        if !named
            && !ended
            && let Some(last) = all.last_mut()
        {
            add(&mut last.said, line);
        }
    }
    all
}

/// Whether the last address stands in a reply of a dialog: `550 <ann@example.net>... no`.
fn in_dialog(all: &[Found]) -> bool {
    all.last().is_some_and(|found| begins_reply(&found.said))
}

/// Whether a line begins as a reply does (RFC 5321 4.2), or as the talk with another host.
fn begins_reply(line: &str) -> bool {
    let line = line.trim_start();
    let code = line.split(' ').next().unwrap_or_default();
    let is_code = code.len() == 3 && code.bytes().all(|octet| octet.is_ascii_digit());
    is_code || line.starts_with(">>> ") || line.to_lowercase().starts_with("while talking to")
}

fn add(said: &mut String, line: &str) {
    if said.len() + line.len() < SAID_OCTETS_MAX {
        said.push(' ');
        said.push_str(line.trim());
    }
}

/// Lines that speak of somebody else, or of the message.
const OTHERS: &[&str] = &[
    "from:",
    "sender:",
    "reply-to:",
    "message-id:",
    "return-path:",
    "mail from:",
    "x-envelope-from",
    "in-reply-to:",
    "references:",
    "reporting-mta",
    "content-id",
    "mailed-by",
    "cc:",
];

/// The addresses of a line, and whether each stands alone.
fn in_line(line: &str) -> Vec<(String, bool)> {
    let plain = line.trim().trim_start_matches(['>', '<', '*', '|', ' ']).to_lowercase();
    if OTHERS.iter().any(|other| plain.starts_with(other)) {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut from = 0;
    while let Some(at) = line.get(from..).and_then(|rest| rest.find('@')).map(|at| from + at) {
        let (begin, end) = (begin_of(line, at), end_of(line, at));
        from = end.max(at + 1);
        let address = line.get(begin..end).unwrap_or_default();
        if !is_address(address) {
            continue;
        }
        let before = line.get(..begin).unwrap_or_default();
        let lower = before.to_lowercase();
        // A queue's or a message's id, the sender of the dialog, a way to write to.
        let other =
            ["from:<", "from: <", "from <", "from=<", "message-id", "mailto:", "contact ", "size="];
        if other.iter().any(|word| lower.trim_end().ends_with(word.trim_end())) {
            continue;
        }
        let alone = is_alone(&lower, line.get(end..).unwrap_or_default());
        all.push((address.to_owned(), alone));
    }
    all
}

/// Whether an address is whom a line is about, by what stands before it (in small letters) and
/// behind it.
fn is_alone(before: &str, after: &str) -> bool {
    let before = before.trim_matches([' ', '<', '>', '\t', '"', '\'', '|', '*']);
    let plain = after.trim_start_matches(['>', ':', ',', ';', ' ', '"', '\'']).trim();
    let answered = || {
        let codes = plain.split(|c: char| !c.is_ascii_digit());
        codes.into_iter().any(|code| code.len() == 3 && code.starts_with(['4', '5']))
    };
    let code = before.len() == 3 && before.bytes().all(|octet| octet.is_ascii_digit());
    let named = ["address:", "recipient:"];
    match before {
        "" => plain.is_empty() || after.starts_with(['>', ':']) || dots(after) || answered(),
        _ if code => dots(after),
        // Lists of what was tried, and replies that were heard.
        _ => before.starts_with("rcpt to") || named.iter().any(|name| before.ends_with(name)),
    }
}

/// How sendmail and others go on: `<ann@example.net>... User unknown`.
fn dots(after: &str) -> bool {
    after.trim_start_matches(['>', ' ']).starts_with("...")
}

fn is_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

fn begin_of(line: &str, at: usize) -> usize {
    let before = line.get(..at).unwrap_or_default();
    if before.ends_with('"') {
        let inside = before.get(..before.len().saturating_sub(1)).unwrap_or_default();
        if let Some(open) = inside.rfind('"') {
            return open;
        }
    }
    let tail = before.chars().rev().take_while(|c| is_local(*c)).map(char::len_utf8).sum::<usize>();
    at - tail
}

fn end_of(line: &str, at: usize) -> usize {
    let after = line.get(at + 1..).unwrap_or_default();
    let is_domain = |c: &char| c.is_alphanumeric() || *c == '-' || *c == '.';
    let length: usize = after.chars().take_while(is_domain).map(char::len_utf8).sum();
    let domain = after.get(..length).unwrap_or_default();
    at + 1 + domain.trim_end_matches(['.', '-']).len()
}

/// Whether a text is an address that a bounce may speak of.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let sound = !local.is_empty() && local.len() <= 64 && domain.len() <= 255;
    sound && domain.contains('.') && !domain.contains("..") && !local.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, bool)> {
        addresses(text).into_iter().map(|found| (found.address, found.alone)).collect()
    }

    #[test]
    fn in_a_dialog_each_reply_is_about_its_own_address() {
        let text = "554 <ann@x.example>... Connection reset by peer\n\
                    550 y.example (smtp)... 550 Host unknown\n\
                    554 <bob@y.example>... 550 Host unknown\n  and more of it\n";
        let said: Vec<_> = addresses(text).into_iter().map(|found| found.said).collect();
        assert_eq!(said[0], "554 <ann@x.example>... Connection reset by peer");
        assert_eq!(said[1], "554 <bob@y.example>... 550 Host unknown and more of it");
    }

    #[test]
    fn who_is_spoken_of_stands_alone() {
        let text = "Hi. This is the program at a.example.\n<ann@x.example>:\nSorry, no mailbox.\n\n\
                    Write to help@a.example.\nFrom: <me@b.example>\n  bob@y.example\n";
        let all = found(text);
        let wanted = [("ann@x.example", true), ("help@a.example", false), ("bob@y.example", true)];
        assert_eq!(all, wanted.map(|(address, alone)| (address.to_owned(), alone)));
        assert!(addresses(text)[0].said.contains("Sorry, no mailbox."));
    }

    #[test]
    fn odd_signs_end_no_search() {
        for text in ["@", "@@@", "a@", "@b.c", "a@b", "\u{fc}@\u{fc}.x", "\"@", "x@y..z"] {
            found(text);
        }
        assert_eq!(found("<\"a b\"@x.example>"), [("\"a b\"@x.example".to_owned(), true)]);
        for (line, alone) in [
            ("550 <ann@x.example>... no", true),
            ("ann@x.example Invalid Address, ERROR_CODE :550", true),
            ("  RCPT TO: ann@x.example", true),
            ("[Status: Error, Address: <ann@x.example>, Code 421]", true),
            ("ann@x.example wrote to you", false),
            ("a message to ann@x.example was lost", false),
        ] {
            assert_eq!(found(line), [("ann@x.example".to_owned(), alone)], "{line}");
        }
    }

    #[test]
    fn the_message_that_comes_back_is_told_apart() {
        let (text, rest) = split("No.\n--- Below this line is a copy of the message.\n\nFrom: x\n");
        assert_eq!(text, "No.\n");
        assert!(rest.ends_with("From: x\n"));
        assert_eq!(split("Received: from x\n"), ("Received: from x\n", ""));
    }
}
