//! SMTP commands (RFC 5321 4.1.1 and extensions): one line in, one value or one reply out.

use crate::mail::address::Domain;
use crate::mail::address::Mailbox;
use crate::mail::envelope::ReversePath;
use crate::mail::outcome::EnhancedStatus;
use crate::smtp::parameters;
use crate::smtp::parameters::MailParameters;
use crate::smtp::parameters::RcptParameters;
use crate::smtp::parameters::number;
use crate::smtp::reply::Reply;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name`.
    Ehlo(Box<str>),
    /// `HELO name`.
    Helo(Box<str>),
    /// `MAIL FROM:<…>`.
    Mail(Mail),
    /// `RCPT TO:<…>`.
    Rcpt(Rcpt),
    /// `DATA`.
    Data,
    /// `BDAT octets [LAST]` (RFC 3030).
    Bdat {
        /// Octets that follow the line.
        octets: u64,
        /// Whether it is the last chunk.
        last: bool,
    },
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `QUIT`.
    Quit,
    /// `VRFY name`.
    Vrfy,
    /// `EXPN list`.
    Expn,
    /// `HELP`.
    Help,
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `AUTH mechanism [initial-response]` (RFC 4954).
    Auth {
        /// In upper case.
        mechanism: Box<str>,
        /// As given, still base64.
        initial: Option<Box<str>>,
    },
}

impl Command {
    /// Whether it brings no message nearer.
    pub const fn is_idle(&self) -> bool {
        matches!(
            self,
            Self::Ehlo(_)
                | Self::Helo(_)
                | Self::Rset
                | Self::Noop
                | Self::Vrfy
                | Self::Expn
                | Self::Help
        )
    }
}

/// RFC 5321 4.5.3.1.4: a command line has at most 512 octets with its CRLF.
const PLAIN_LINE_OCTETS_MAX: usize = 512;
/// What the extensions that we offer add to the lines of MAIL and RCPT: ORCPT or AUTH 500 (RFC 3461
/// 5.2, RFC 4954 3), and SIZE, BODY, SMTPUTF8, RET, ENVID and NOTIFY under 400.
const PARAMETERS_OCTETS_MAX: usize = 1_024;
/// The longest line of any command.
pub const LINE_OCTETS_MAX: usize = PLAIN_LINE_OCTETS_MAX + PARAMETERS_OCTETS_MAX;

/// How long this line may be with its CRLF.
pub fn line_octets_max(line: &[u8]) -> usize {
    let verb = line.get(..5).unwrap_or_default();
    if verb.eq_ignore_ascii_case(b"MAIL ") || verb.eq_ignore_ascii_case(b"RCPT ") {
        LINE_OCTETS_MAX
    } else {
        PLAIN_LINE_OCTETS_MAX
    }
}

/// `MAIL` with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// What else it said.
    pub parameters: MailParameters,
}

/// `RCPT` with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient; none for `<Postmaster>` (RFC 5321 4.1.1.3).
    pub mailbox: Option<Mailbox>,
    /// Whether it was written in US-ASCII; if not, the transaction needs SMTPUTF8 (RFC 6531 3.5).
    pub is_ascii: bool,
    /// What else it said.
    pub parameters: RcptParameters,
}

fn syntax(code: u16, detail: u16, text: &str) -> Reply {
    Reply::new(code, EnhancedStatus::new(5, 5, detail), text)
}

/// Reads a command line without its CRLF. The reply says what is wrong with a line that is none.
pub fn parse(line: &[u8]) -> Result<Command, Reply> {
    let printable = |octet: &u8| *octet >= b' ' && *octet != 0x7f;
    let text = std::str::from_utf8(line).ok().filter(|_| line.iter().all(printable));
    let Some(text) = text else {
        return Err(syntax(500, 2, "only printable characters belong in a command"));
    };
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    let bare = |command| if rest.is_empty() { Ok(command) } else { Err(no_argument()) };
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => Ok(Command::Ehlo(client_name(rest)?)),
        "HELO" => Ok(Command::Helo(client_name(rest)?)),
        "MAIL" => mail(rest).map(Command::Mail),
        "RCPT" => rcpt(rest).map(Command::Rcpt),
        "DATA" => bare(Command::Data),
        "BDAT" => bdat(rest),
        "RSET" => bare(Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "QUIT" => bare(Command::Quit),
        "VRFY" if !rest.is_empty() => Ok(Command::Vrfy),
        "EXPN" if !rest.is_empty() => Ok(Command::Expn),
        "VRFY" | "EXPN" => Err(syntax(501, 4, "a name must follow")),
        "HELP" => Ok(Command::Help),
        "STARTTLS" => bare(Command::StartTls),
        "AUTH" => auth(rest),
        _ => Err(syntax(500, 2, "command not recognized")),
    }
}

fn no_argument() -> Reply {
    syntax(501, 4, "this command takes no argument")
}

/// RFC 5321 4.1.1.1: a domain or an address literal. Names that are neither are common and
/// harmless, so anything without spaces is kept; it is only ever shown.
fn client_name(text: &str) -> Result<Box<str>, Reply> {
    if text.is_empty() || text.contains(' ') || text.len() > 255 {
        return Err(syntax(501, 4, "give your domain name or address literal"));
    }
    Ok(text.into())
}

fn mail(rest: &str) -> Result<Mail, Reply> {
    let (path, given) = path_and_parameters(rest, "FROM:")?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Mailbox(mailbox(path)?),
    };
    let mail = Mail { reverse_path, parameters: parameters::of_mail(given)? };
    // A domain of U-labels counts too, although we keep it as A-labels.
    if !path.is_ascii() && !mail.parameters.smtputf8 {
        return Err(needs_smtputf8());
    }
    Ok(mail)
}

fn rcpt(rest: &str) -> Result<Rcpt, Reply> {
    let (path, given) = path_and_parameters(rest, "TO:")?;
    let mailbox = match path {
        path if path.eq_ignore_ascii_case("postmaster") => None,
        path => Some(mailbox(path)?),
    };
    Ok(Rcpt { mailbox, is_ascii: path.is_ascii(), parameters: parameters::of_rcpt(given)? })
}

/// RFC 6531 3.5: an address that is not ASCII needs the parameter.
pub fn needs_smtputf8() -> Reply {
    Reply::new(553, EnhancedStatus::new(5, 6, 7), "a non-ASCII address needs SMTPUTF8")
}

fn mailbox(path: &str) -> Result<Mailbox, Reply> {
    Mailbox::parse(without_route(path)).map_err(|error| {
        Reply::new(501, EnhancedStatus::new(5, 1, 3), &format!("bad address: {error}"))
    })
}

/// RFC 5321 appendix F.2: a source route is taken and ignored.
fn without_route(path: &str) -> &str {
    if !path.starts_with('@') {
        return path;
    }
    let Some((route, path)) = path.split_once(':') else { return path };
    let valid = route
        .split(',')
        .all(|hop| hop.strip_prefix('@').is_some_and(|domain| Domain::parse(domain).is_ok()));
    if valid { path } else { "" }
}

/// Splits `FROM:<path> parameters` after the keyword.
fn path_and_parameters<'a>(rest: &'a str, keyword: &str) -> Result<(&'a str, &'a str), Reply> {
    let wrong = || syntax(501, 4, &format!("the form is {keyword}<address>"));
    let (head, path) = rest.split_at_checked(keyword.len()).ok_or_else(wrong)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(wrong());
    }
    let inside = path.trim_start().strip_prefix('<').ok_or_else(wrong)?;
    let end = closing_bracket(inside).ok_or_else(wrong)?;
    let (path, after) = inside.split_at_checked(end).ok_or_else(wrong)?;
    let after = after.strip_prefix('>').unwrap_or(after);
    if !after.is_empty() && !after.starts_with(' ') {
        return Err(wrong());
    }
    Ok((path, after.trim()))
}

/// The `>` that ends the path: not one inside a quoted string.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Methods of HTTP, and fields that a browser sends behind them. No SMTP command is one.
const HTTP: &[&[u8]] = &[
    b"GET /",
    b"POST /",
    b"PUT /",
    b"HEAD /",
    b"DELETE /",
    b"PATCH /",
    b"OPTIONS ",
    b"CONNECT ",
    b"TRACE /",
    b"HOST:",
    b"CONTENT-TYPE:",
    b"CONTENT-LENGTH:",
    b"USER-AGENT:",
];

/// A browser, or someone who makes one talk to us: what it sends further down may look like mail.
pub fn is_http(line: &[u8]) -> bool {
    HTTP.iter()
        .any(|start| line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

/// The octets that a malformed BDAT says will follow, if it says so much.
pub fn octets_behind(line: &[u8]) -> Option<Option<u64>> {
    let text = std::str::from_utf8(line).ok()?;
    let (verb, rest) = text.split_once(' ')?;
    let size = || number(rest.split_ascii_whitespace().next()?);
    verb.eq_ignore_ascii_case("BDAT").then(size)
}

fn bdat(rest: &str) -> Result<Command, Reply> {
    let (size, last) = match rest.split_once(' ') {
        Some((size, word)) if word.trim().eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(syntax(501, 4, "the form is BDAT octets [LAST]")),
        None => (rest, false),
    };
    let octets = number(size).ok_or_else(|| syntax(501, 4, "the form is BDAT octets [LAST]"))?;
    Ok(Command::Bdat { octets, last })
}

fn auth(rest: &str) -> Result<Command, Reply> {
    let mut words = rest.split(' ');
    let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
    let initial = words.next().map(Into::into);
    if mechanism.is_empty() || words.next().is_some() {
        return Err(syntax(501, 4, "the form is AUTH mechanism [initial-response]"));
    }
    Ok(Command::Auth { mechanism: mechanism.into(), initial })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::envelope::BodyType;
    use crate::mail::envelope::Notify;

    fn code(line: &str) -> u16 {
        parse(line.as_bytes()).map_or_else(|reply| reply.code, |_| 250)
    }

    #[test]
    fn commands_are_read_in_any_case() {
        assert_eq!(parse(b"quit"), Ok(Command::Quit));
        assert_eq!(parse(b"bdat 12 last"), Ok(Command::Bdat { octets: 12, last: true }));
        let Ok(Command::Mail(mail)) = parse(b"mail from:<> size=0 body=8bitmime") else { panic!() };
        assert_eq!(mail.reverse_path, ReversePath::Null);
        assert_eq!(
            (mail.parameters.size, mail.parameters.body_type),
            (Some(0), BodyType::EightBitMime)
        );
        let Ok(Command::Rcpt(rcpt)) = parse(b"RCPT TO:<POSTMASTER>") else { panic!() };
        assert_eq!(rcpt.mailbox, None);
    }

    #[test]
    fn a_malformed_bdat_still_tells_what_follows() {
        assert_eq!(octets_behind(b"BDAT 5 FIRST"), Some(Some(5)));
        assert_eq!(octets_behind(b"bdat -1"), Some(None));
        assert_eq!(octets_behind(b"BDAT "), Some(None));
        assert_eq!(octets_behind(b"DATA 5"), None);
    }

    #[test]
    fn a_quoted_local_part_may_hold_a_bracket() {
        let Ok(Command::Rcpt(rcpt)) = parse(br#"RCPT TO:<"a> NOTIFY=NEVER"@example.net>"#) else {
            panic!()
        };
        assert_eq!(rcpt.mailbox.unwrap().local_part(), r#""a> NOTIFY=NEVER""#);
        assert_eq!(rcpt.parameters.notify, Notify::Unspecified);
    }

    #[test]
    fn a_source_route_is_ignored() {
        let Ok(Command::Rcpt(rcpt)) = parse(b"RCPT TO:<@a.example,@b.example:c@d.example>") else {
            panic!()
        };
        assert_eq!(rcpt.mailbox.unwrap().to_string(), "c@d.example");
    }

    #[test]
    fn malformed_lines_get_the_code_of_rfc_5321_4_2_4() {
        for (line, wanted) in [
            ("FOO", 500),
            ("", 500),
            ("RC\rPT TO:<a@b.c>", 500),
            ("NOOP\0", 500),
            ("EHLO", 501),
            ("MAIL", 501),
            ("MAIL FROM:a@b.c", 501),
            ("MAIL FROM:<a@b.c", 501),
            ("MAIL FROM:<a@b.c>x", 501),
            ("MAIL FROM:<a>", 501),
            ("MAIL FROM:<a@b.c> SIZE=-1", 501),
            ("MAIL FROM:<a@b.c> SIZE=999999999999999999999", 501),
            ("MAIL FROM:<a@b.c> FOO=1", 555),
            ("MAIL FROM:<a@b.c> BODY=BINARYMIME", 501),
            ("MAIL FROM:<jürgen@b.c>", 553),
            ("MAIL FROM:<jürgen@b.c> SMTPUTF8", 250),
            ("MAIL FROM:<a@bücher.example>", 553),
            ("MAIL FROM:<a@bücher.example> SMTPUTF8", 250),
            ("VRFY", 501),
            ("EXPN", 501),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<a@b.c> NOTIFY=NEVER,DELAY", 501),
            ("RCPT TO:<a@b.c> NOTIFY=", 501),
            ("RCPT TO:<a@b.c> ORCPT=rfc822;a=b", 501),
            ("DATA x", 501),
            ("BDAT -1", 501),
            ("BDAT 99999999999999999999999", 501),
            ("BDAT 5 FIRST", 501),
            ("STARTTLS now", 501),
            ("AUTH", 501),
            ("AUTH PLAIN a b", 501),
        ] {
            assert_eq!(code(line), wanted, "{line:?}");
        }
    }
}
