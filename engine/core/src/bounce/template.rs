//! What replies have in common: addresses, numbers, names of hosts and ids are left out, so that
//! replies that say the same to different people are one.

/// Octets of a reply that are looked at.
const OCTETS_MAX: usize = 500;
/// A word of letters and digits of this length that has three digits at least is an id.
const ID_OCTETS_MIN: usize = 6;

/// A reply without what is only its own: `<address>`, `<ip>`, `<host>`, `<url>`, `<id>` and `<n>`
/// stand for these.
pub fn template(text: &str) -> String {
    let text = text.get(..text.floor_char_boundary(OCTETS_MAX)).unwrap_or(text);
    let words = text.split_whitespace().map(word);
    words.collect::<Vec<_>>().join(" ")
}

/// A word, with what stands around it.
fn word(whole: &str) -> String {
    let inside = |c: char| c.is_alphanumeric() || c == '/';
    let begin = whole.find(inside).unwrap_or(whole.len());
    let end = whole.rfind(inside).map_or(begin, |at| {
        at + whole.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    let (before, rest) = whole.split_at(begin);
    let (plain, after) = rest.split_at(end.saturating_sub(begin));
    match kind(plain) {
        Some(kind) => {
            format!("{}{kind}{}", before.trim_end_matches('<'), after.trim_start_matches('>'))
        }
        None => whole.to_owned(),
    }
}

fn kind(word: &str) -> Option<&'static str> {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let only = |also: &str| word.chars().all(|c| c.is_ascii_hexdigit() || also.contains(c));
    if word.contains("://") {
        Some("<url>")
    } else if word.contains('@') {
        Some("<address>")
    } else if digits > 3 && (word.matches('.').count() == 3 || word.contains(':')) && only(".:") {
        Some("<ip>")
    } else if is_status(word) {
        // An enhanced status says something.
        None
    } else if digits == word.len() && digits > 0 {
        // So does a code.
        (digits != 3).then_some("<n>")
    } else if word.contains('.') && is_host(word) {
        Some("<host>")
    } else if digits >= 3 && word.len() >= ID_OCTETS_MIN {
        Some("<id>")
    } else {
        None
    }
}

fn is_status(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u16>().is_ok())
}

/// Three labels, or two with a letter in the last: `mx.example.net`, not `e.g` or `sent.The`.
fn is_host(word: &str) -> bool {
    let labels: Vec<_> = word.split('.').collect();
    let sound = |label: &&str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2
        && labels.iter().all(sound)
        && last.len() >= 2
        && last.bytes().all(|octet| octet.is_ascii_lowercase())
        && (labels.len() > 2 || labels.iter().any(|label| label.len() > 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_to_different_people_is_one() {
        for (text, wanted) in [
            (
                "550 5.1.1 <ann@x.example>: Recipient rejected (in reply to 192.0.2.1)",
                "550 5.1.1 <address>: Recipient rejected (in reply to <ip>)",
            ),
            (
                "421 try again in 300 seconds, mx1.x.example d2e1a72fcca58-6e3d8si123.220 - gsmtp",
                "421 try again in 300 seconds, <host> <id> - gsmtp",
            ),
            (
                "See https://x.example/?id=7 for [2001:db8::17:2:3] at 17:02:33",
                "See <url> for [<ip>] at <ip>",
            ),
            ("no such user \u{fc}\u{fc}", "no such user \u{fc}\u{fc}"),
            ("waited 1795392378 s", "waited <n> s"),
            ("", ""),
        ] {
            assert_eq!(template(text), wanted);
        }
    }

    #[test]
    fn any_text_has_one() {
        for text in ["<", ">", "<@>", "\u{fc}@\u{fc}", "a.b.", "...", "1.2.3.4.5", "://", "(/)"] {
            template(text);
        }
        assert!(template(&"x ".repeat(10_000)).len() <= OCTETS_MAX);
    }
}
