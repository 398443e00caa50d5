//! `maily send`: hand one message to any SMTP server, as an application would.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, anyhow};
use mail_send::mail_builder::MessageBuilder;
use mail_send::smtp::message::{Address, IntoMessage, Message, Parameters};
use mail_send::smtp::tls::build_tls_connector;
use mail_send::{Error, SmtpClientBuilder};

use maily_core::mail::address::Mailbox;

use crate::exit::{Exit, Failure};

/// Send one message by SMTP: to try a server, or from a script.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    maily send --plain --from me@example.net --to you@example.org --text 'Hello'\n  \
    maily send --server mail.example.net:587 --user me --from me@example.net \\\n      \
    --to you@example.org --message letter.eml\n\n\
    Exit codes: 0 taken, 69 refused for good, 75 try again later.")]
pub struct Arguments {
    /// The server.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:2525")]
    server: String,
    /// The reverse-path, and From where the message is made here.
    #[arg(long, value_name = "ADDRESS")]
    from: Mailbox,
    /// A recipient; may be given more than once.
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Mailbox>,
    /// The subject of a message made here.
    #[arg(long, default_value = "Test from maily send")]
    subject: String,
    /// The text of a message made here.
    #[arg(long, conflicts_with = "message")]
    text: Option<String>,
    /// A file with a whole message (RFC 5322); `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    message: Option<String>,
    /// Log in as this user. The password is read from MAILY_PASSWORD.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// TLS from the first octet (port 465) rather than STARTTLS.
    #[arg(long, conflicts_with = "plain")]
    implicit_tls: bool,
    /// No TLS at all.
    #[arg(long)]
    plain: bool,
    /// Take any certificate.
    #[arg(long)]
    insecure: bool,
    /// Seconds to wait for each reply.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// Sends it; says what the server answered.
pub async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let message = message(&arguments).map_err(|error| Failure::new(Exit::Data, error))?;
    match deliver(&arguments, message).await {
        Ok(reply) => {
            eprintln!("{reply}");
            Ok(Exit::Ok)
        }
        Err(error) => Err(explain(error, &arguments.server)),
    }
}

fn message(arguments: &Arguments) -> anyhow::Result<Message<'static>> {
    let octets = match arguments.message.as_deref() {
        Some("-") => {
            let mut octets = Vec::new();
            std::io::stdin().read_to_end(&mut octets).context("standard input")?;
            crlf(&octets)
        }
        Some(file) => crlf(&std::fs::read(file).with_context(|| format!("cannot read {file}"))?),
        None => {
            let to: Vec<String> = arguments.to.iter().map(Mailbox::to_string).collect();
            let text = arguments.text.as_deref().unwrap_or("This is a test.");
            MessageBuilder::new()
                .from(arguments.from.to_string())
                .to(to)
                .subject(arguments.subject.clone())
                .text_body(text.to_owned())
                .write_to_vec()
                .context("the message could not be made")?
        }
    };
    let address = |mailbox: &Mailbox| Address {
        email: mailbox.to_string().into(),
        parameters: Parameters::new(),
    };
    Ok(Message {
        mail_from: address(&arguments.from),
        rcpt_to: arguments.to.iter().map(address).collect(),
        body: octets.into(),
    })
}

/// Files have the line ends of their system; mail has CRLF (RFC 5321 2.3.8).
fn crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 32);
    let mut last = 0;
    for &octet in octets {
        match (last, octet) {
            (b'\r', b'\n') => out.push(b'\n'),
            (b'\r', other) => {
                out.push(b'\n');
                if other != b'\r' {
                    push(&mut out, other);
                } else {
                    out.push(b'\r');
                }
            }
            (_, other) => push(&mut out, other),
        }
        last = octet;
    }
    if last == b'\r' {
        out.push(b'\n');
    }
    out
}

fn push(out: &mut Vec<u8>, octet: u8) {
    if octet == b'\n' {
        out.push(b'\r');
    }
    out.push(octet);
}

async fn deliver(arguments: &Arguments, message: Message<'static>) -> Result<String, Error> {
    let (host, port) = arguments.server.rsplit_once(':').unwrap_or((&arguments.server, "25"));
    let port: u16 = port.parse().map_err(|_| Error::InvalidTLSName)?;
    let connector = build_tls_connector(arguments.insecure)
        .map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let builder = SmtpClientBuilder::new_with_tls_connector(host.to_owned(), port, connector)
        .implicit_tls(arguments.implicit_tls)
        .timeout(Duration::from_secs(arguments.timeout));
    let builder = match &arguments.user {
        Some(user) => {
            let password =
                std::env::var("MAILY_PASSWORD").map_err(|_| Error::MissingCredentials)?;
            builder.credentials((user.clone(), password))
        }
        None => builder,
    };
    let message = message.into_message()?;
    let reply = if arguments.plain {
        builder.connect_plain().await?.send(message).await?
    } else {
        builder.connect().await?.send(message).await?
    };
    Ok(format!("{} {}", reply.code, reply.message))
}

/// Says what went wrong, whose doing it was and what to try.
fn explain(error: Error, server: &str) -> Failure {
    match error {
        Error::UnexpectedReply(reply) | Error::AuthenticationFailed(reply) => {
            let exit = if reply.code < 500 { Exit::TempFail } else { Exit::Unavailable };
            let said = anyhow!("{server} said: {} {}", reply.code, reply.message);
            Failure::new(exit, said)
        }
        Error::MissingStartTls => Failure::new(
            Exit::Unavailable,
            anyhow!("{server} offers no STARTTLS; add --plain to send without TLS"),
        ),
        Error::MissingCredentials => {
            Failure::new(Exit::Data, anyhow!("--user needs the password in MAILY_PASSWORD"))
        }
        Error::Io(error) => Failure::new(Exit::TempFail, anyhow!("{server}: {error}")),
        other => Failure::new(Exit::TempFail, anyhow!("{server}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_of_a_file_becomes_crlf() {
        for (given, made) in [
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("a\rb\r", "a\r\nb\r\n"),
            ("a\r\r\nb", "a\r\n\r\nb"),
            ("\n\r\n\r", "\r\n\r\n\r\n"),
        ] {
            assert_eq!(crlf(given.as_bytes()), made.as_bytes(), "{given:?}");
        }
    }
}
