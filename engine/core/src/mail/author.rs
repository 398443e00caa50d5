//! Whose mail it is: the domain of the author (RFC 5322 3.6.2), by which a message is signed and
//! judged.
//!
//! It refuses to guess. With no From field or two of them, or with an address that can be read in
//! two ways, a message has no author: a signature must not vouch for one that a reader might not
//! be shown.

use crate::mail::address::Domain;
use crate::mail::message::HeaderField;

/// The domain of the first mailbox in the only From field among these.
pub fn author_domain<'a>(fields: impl Iterator<Item = HeaderField<'a>>) -> Option<Domain> {
    let mut from = fields.filter(|field| field.is("From"));
    let (first, second) = (from.next()?, from.next());
    if second.is_some() {
        return None;
    }
    first_mailbox_domain(&first.unfolded())
}

/// The domain of the first mailbox of a list, with or without display name, comments and group.
fn first_mailbox_domain(text: &str) -> Option<Domain> {
    let entries = entries(text)?;
    let entry = entries.iter().find(|entry| entry.contains('@'))?;
    let address = match entry.split_once('<') {
        None => entry.trim(),
        Some((_, inside)) => {
            let (address, after) = inside.split_once('>')?;
            if address.contains('<') || after.contains(['<', '>', '@']) {
                return None;
            }
            // An obsolete route before the address (RFC 5322 4.4).
            address.rsplit_once(':').map_or(address, |(_, address)| address).trim()
        }
    };
    let (local_part, domain) = address.rsplit_once('@')?;
    if local_part.is_empty() {
        return None;
    }
    Domain::parse(domain.trim()).ok()
}

/// The entries of an address list without their comments and quoted strings; a quoted string leaves
/// a `"` behind. None if a quote, a comment or an angle bracket is not closed.
fn entries(text: &str) -> Option<Vec<String>> {
    let mut entries = vec![String::new()];
    let (mut depth, mut quoted, mut angle, mut literal) = (0_usize, false, false, false);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted || depth > 0 => {
                characters.next()?;
            }
            '"' if depth == 0 => {
                quoted = !quoted;
                if quoted {
                    entries.last_mut()?.push('"');
                }
            }
            _ if quoted => {}
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ',' | ';' | ':' if !angle && !literal => entries.push(String::new()),
            _ => {
                match c {
                    '<' => angle = true,
                    '>' => angle = false,
                    '[' => literal = true,
                    ']' => literal = false,
                    _ => {}
                }
                entries.last_mut()?.push(c);
            }
        }
    }
    (depth == 0 && !quoted && !angle && !literal).then_some(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::message::header_fields;

    fn author(from: &str) -> Option<String> {
        first_mailbox_domain(from).map(|domain| domain.as_str().to_owned())
    }

    #[test]
    fn the_domain_of_the_first_mailbox_is_found() {
        for from in [
            "ann@example.net",
            "Ann <ann@example.net>",
            "<ann@EXAMPLE.net>",
            "\"Doe, Ann\" <ann@example.net>",
            "Doe, Ann <ann@example.net>",
            "\"ceo@bank.example\" <ann@example.net>",
            "ceo@bank.example <ann@example.net>",
            "(ceo@bank.example) ann@example.net",
            "ann@example.net (ceo@bank.example (really\\)))",
            "\"a@b\"@example.net",
            "\"x\\\" <ann@bank.example>\" <ann@example.net>",
            "ann@example.net, Bob <bob@bank.example>",
            "The team: Ann <ann@example.net>, bob@bank.example;",
            "Ann <@bank.example,@other.example:ann@example.net>",
            "=?utf-8?q?J=C3=BCrgen?= <ann@example.net>",
        ] {
            assert_eq!(author(from).as_deref(), Some("example.net"), "{from}");
        }
        assert_eq!(author("a@[IPv6:::1]").as_deref(), Some("[ipv6:::1]"));
        assert_eq!(author("Jürgen <j@bücher.example>").as_deref(), Some("xn--bcher-kva.example"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_has_no_author() {
        for from in [
            "",
            "undisclosed:;",
            "Ann",
            "@example.net",
            "<ann@example.net> <ceo@bank.example>",
            "<ann@example.net> ceo@bank.example",
            "<<ann@example.net>",
            "Ann <ann@example.net",
            "\"Ann <ann@example.net>",
            "(Ann <ann@example.net>",
            "ann@exa mple.net",
            "ann@example.net\0",
        ] {
            assert_eq!(author(from), None, "{from}");
        }
        let two = b"From: a@example.net\r\nfrom: b@example.net\r\n\r\n";
        assert_eq!(author_domain(header_fields(two)), None);
        assert_eq!(author_domain(header_fields(b"To: a@example.net\r\n\r\n")), None);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in "[a@<>()\",;:\\\\ \\[\\].é]{0,40}") {
            let _judged = first_mailbox_domain(&text);
        }
    }
}
