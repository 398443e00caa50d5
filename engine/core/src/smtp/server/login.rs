//! AUTH exchanges (RFC 4954, RFC 4616 PLAIN, LOGIN) as values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::mail::outcome::EnhancedStatus;
use crate::smtp::reply::Reply;

/// What the client is to send next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Login {
    Plain,
    User,
    Password(Box<str>),
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Ask(&'static str, Login),
    Prove { user: Box<str>, password: Box<str> },
    Wrong(Reply),
}

/// Begins an exchange. `=` stands for an empty initial response (RFC 4954 4).
pub(crate) fn begin(mechanism: &str, initial: Option<&str>) -> Step {
    let (prompt, login) = match mechanism {
        "PLAIN" => ("", Login::Plain),
        "LOGIN" => ("VXNlcm5hbWU6", Login::User),
        _ => {
            let text = "mechanism not offered";
            return Step::Wrong(Reply::new(504, EnhancedStatus::new(5, 5, 4), text));
        }
    };
    match initial {
        None => Step::Ask(prompt, login),
        Some("=") => login.take(""),
        Some(response) => login.answer(response),
    }
}

impl Login {
    /// Goes on with what the client sent.
    pub(crate) fn answer(self, line: &str) -> Step {
        if line == "*" {
            return Step::Wrong(wrong("AUTH cancelled"));
        }
        let decoded = STANDARD.decode(line).ok().and_then(|octets| String::from_utf8(octets).ok());
        match decoded {
            Some(text) => self.take(&text),
            None => Step::Wrong(wrong("not base64")),
        }
    }

    fn take(self, text: &str) -> Step {
        match self {
            Self::Plain => {
                // RFC 4616 2: authorization id, NUL, authentication id, NUL, password.
                let mut parts = text.split('\0');
                let (acted, user, password) = (parts.next(), parts.next(), parts.next());
                match (user, password, parts.next()) {
                    // Nobody may act as somebody else.
                    (Some(user), ..) if acted.is_some_and(|id| !id.is_empty() && id != user) => {
                        let text = "not authorized to act as another";
                        Step::Wrong(Reply::new(535, EnhancedStatus::new(5, 7, 8), text))
                    }
                    (Some(user), Some(password), None) if !user.is_empty() => {
                        Step::Prove { user: user.into(), password: password.into() }
                    }
                    _ => Step::Wrong(wrong("PLAIN is id NUL name NUL password")),
                }
            }
            Self::User => Step::Ask("UGFzc3dvcmQ6", Self::Password(text.into())),
            Self::Password(user) => Step::Prove { user, password: text.into() },
        }
    }
}

fn wrong(text: &str) -> Reply {
    Reply::new(501, EnhancedStatus::new(5, 5, 2), text)
}
