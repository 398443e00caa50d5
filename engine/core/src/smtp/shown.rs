//! What of a client's line may be shown to operators: never a secret, nor what may be one.
//!
//! A client whose AUTH was refused may send the rest of the exchange all the same, as lines of
//! their own. So a line is shown only if it begins with a command, and of AUTH the mechanism only.

/// What may be shown of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It is an AUTH by this mechanism, if it is one that is known.
    Login(Option<&'static str>),
    /// Nothing: it is no command.
    Nothing,
}

/// Commands that hold no secrets.
const VERBS: [&str; 14] = [
    "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN",
    "HELP", "STARTTLS",
];

/// Mechanisms that clients try.
const MECHANISMS: [&str; 11] = [
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "XOAUTH2",
    "OAUTHBEARER",
    "NTLM",
    "GSSAPI",
    "EXTERNAL",
];

/// What may be shown of this line.
pub(crate) fn shown(line: &[u8]) -> Shown<'_> {
    let line = line.trim_ascii_end();
    let mut words = line.split(|octet| *octet == b' ');
    let verb = words.next().unwrap_or_default();
    if verb.eq_ignore_ascii_case(b"AUTH") {
        let mechanism = words.next().unwrap_or_default();
        let known = |name: &&&str| name.as_bytes().eq_ignore_ascii_case(mechanism);
        return Shown::Login(MECHANISMS.iter().find(known).copied());
    }
    if VERBS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(verb)) {
        Shown::Whole(line)
    } else {
        Shown::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_also_those_that_are_wrong() {
        for line in ["EHLO x", "mail from:a@b", "RCPT TO:<a@b> X=1", "noop \x1b[2J", "STARTTLS"] {
            assert_eq!(shown(format!("{line}\r\n").as_bytes()), Shown::Whole(line.as_bytes()));
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not() {
        for line in ["AUTH PLAIN AGFubgBzZWNyZXQ=", "auth plain AGFubgBzZWNyZXQ= x", "AUTH plain"] {
            assert_eq!(shown(line.as_bytes()), Shown::Login(Some("PLAIN")), "{line}");
        }
        for line in ["AUTH AGFubgBzZWNyZXQ=", "AUTH", "AUTH  PLAIN AGFu", "AUTH\tPLAIN AGFu"] {
            let shown = shown(line.as_bytes());
            assert!([Shown::Login(None), Shown::Nothing].contains(&shown), "{line}");
        }
        for line in
            ["AGFubgBzZWNyZXQ=", "", "Authorization: Basic YQ==", "MAILFROM:<a@b>", "=\u{ff}"]
        {
            assert_eq!(shown(line.as_bytes()), Shown::Nothing, "{line}");
        }
    }
}
