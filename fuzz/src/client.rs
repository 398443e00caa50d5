//! The SMTP client session, against a server that says anything.

use std::sync::Arc;

use bytes::Bytes;
use bytes::BytesMut;

use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::ReversePath;
use maily_core::smtp::client::Action;
use maily_core::smtp::client::Client;
use maily_core::smtp::client::Options;
use maily_core::smtp::client::TlsPolicy;
use maily_core::smtp::client::login::Login;
use maily_core::smtp::content::Content;
use maily_core::smtp::delivery::Delivery;
use maily_core::smtp::reply_parser::ReplyParser;

/// The first octet chooses what is asked, the rest is what the server says.
pub fn session(data: &[u8]) {
    let Some((&choice, input)) = data.split_first() else { return };
    let policy = [TlsPolicy::Off, TlsPolicy::May, TlsPolicy::Require][usize::from(choice % 3)];
    let login = (choice & 32 != 0)
        .then(|| Arc::new(Login { user: "ann".into(), password: "secret".into() }));
    let login_in_clear = choice & 16 != 0;
    let ehlo_name = "client.example".into();
    let mut client = Client::new(Options { ehlo_name, tls: policy, login, login_in_clear });
    let (mut parser, mut input) = (ReplyParser::default(), BytesMut::from(input));
    let mut deliveries = 3;
    let mut submitted = false;
    for _ in 0..100_000 {
        match client.poll() {
            Some(Action::Write(pieces)) => {
                let octets = pieces.concat();
                check_lines(&octets);
                client.on_written(octets.len());
            }
            Some(Action::StartTls) => client.on_tls(),
            Some(Action::Done(outcomes)) => {
                assert!(submitted, "an outcome of nothing");
                assert_eq!(outcomes.len(), 2, "one outcome for each recipient");
                submitted = false;
            }
            Some(Action::Close) => break,
            None if client.is_ready() && deliveries > 0 => {
                deliveries -= 1;
                submitted = true;
                client.submit(delivery(choice));
            }
            None if client.is_ready() => client.quit(),
            None => match parser.parse(&mut input) {
                Ok(Some(reply)) => client.on_reply(&reply),
                Ok(None) => client.on_failure("closed"),
                Err(_) => client.on_failure("no reply"),
            },
        }
        if client.over().is_some() && !submitted {
            break;
        }
    }
    assert!(!submitted, "a delivery without an outcome");
}

fn delivery(choice: u8) -> Delivery {
    let to = |text: &str| Recipient::plain(text.parse().expect("an address"));
    let message: &[u8] = if choice & 128 == 0 { b".a\r\n..\r\n" } else { b"\xc3\xa4\r\n" };
    Delivery {
        reverse_path: ReversePath::Null,
        recipients: vec![(RecipientIndex(0), to("a@b.c")), (RecipientIndex(7), to("d@b.c"))],
        ret: None,
        envelope_id: Some("a+b".into()),
        smtputf8: choice & 64 != 0,
        content: Content { head: Bytes::new(), message: Bytes::copy_from_slice(message) },
    }
}

/// What goes out has no bare CR or LF.
fn check_lines(octets: &[u8]) {
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let inner = line.strip_suffix(b"\r\n").expect("a line ends with CR LF");
        assert!(!inner.contains(&b'\r'));
    }
}
