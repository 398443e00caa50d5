//! Dialogs with the client, in memory.

use super::*;
use crate::mail::address::Mailbox;

const OFFER: &str = "250-mx\n250-PIPELINING\n250-8BITMIME\n250 SIZE 1000";

fn delivery(recipients: &[&str]) -> Delivery {
    let recipients = recipients.iter().enumerate().map(|(index, text)| {
        let recipient = Recipient::plain(Mailbox::parse(text).unwrap());
        (RecipientIndex(index as u32), recipient)
    });
    Delivery {
        reverse_path: ReversePath::Null,
        recipients: recipients.collect(),
        ret: None,
        envelope_id: None,
        smtputf8: false,
        content: Content { head: Bytes::new(), message: Bytes::from_static(b"A: b\r\n\r\nhi\r\n") },
    }
}

/// Feeds replies (lines of one are separated by `\n`); gives what the client said and did.
fn run(client: &mut Client, replies: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut drain = |client: &mut Client| {
        while let Some(action) = client.poll() {
            match action {
                Action::Write(pieces) => {
                    client.on_written();
                    let text = String::from_utf8(pieces.concat()).unwrap();
                    seen.extend(text.split_terminator("\r\n").map(str::to_owned));
                }
                Action::StartTls => {
                    seen.push("[tls]".to_owned());
                    client.on_tls();
                }
                Action::Done(outcomes) => seen.extend(outcomes.iter().map(|(index, outcome)| {
                    let word = match outcome {
                        Outcome::Delivered(_) => "delivered".to_owned(),
                        Outcome::Deferred { scope, .. } => format!("deferred {scope:?}"),
                        Outcome::Bounced { scope, .. } => format!("bounced {scope:?}"),
                        Outcome::InDoubt(_) => "in doubt".to_owned(),
                    };
                    format!("[{} {word}]", index.0)
                })),
                Action::Close => seen.push("[close]".to_owned()),
            }
        }
    };
    drain(client);
    for text in replies {
        let wire = text.replace('\n', "\r\n") + "\r\n";
        let mut input = bytes::BytesMut::from(wire.as_str());
        let reply = crate::smtp::reply_parser::ReplyParser::default().parse(&mut input);
        client.on_reply(&reply.unwrap().unwrap());
        drain(client);
    }
    seen
}

fn opened(tls: TlsPolicy, offer: &str) -> Client {
    let mut client = Client::new("me.example", tls);
    run(&mut client, &["220 mx", offer]);
    assert!(client.is_ready());
    client
}

#[test]
fn one_refused_recipient_does_not_stop_the_other() {
    let mut client = opened(TlsPolicy::Off, OFFER);
    client.submit(delivery(&["ann@example.net", "bob@example.net"]));
    let seen = run(&mut client, &["250 OK", "550 5.1.1 no", "250 OK", "354 go", "250 2.0.0 taken"]);
    assert_eq!(
        seen,
        [
            "MAIL FROM:<> SIZE=12",
            "RCPT TO:<ann@example.net>",
            "RCPT TO:<bob@example.net>",
            "DATA",
            "A: b",
            "",
            "hi",
            ".",
            "[0 bounced Recipient]",
            "[1 delivered]"
        ]
    );
    assert!(client.is_ready(), "the connection serves the next");
}

#[test]
fn a_lost_reply_to_the_final_dot_is_in_doubt() {
    let mut client = opened(TlsPolicy::Off, OFFER);
    client.submit(delivery(&["ann@example.net"]));
    run(&mut client, &["250 OK", "250 OK", "354 go"]);
    client.on_failure("connection closed");
    assert_eq!(run(&mut client, &[]), ["[0 in doubt]", "[close]"]);
}

#[test]
fn a_connection_lost_before_the_message_defers_it() {
    let mut client = opened(TlsPolicy::Off, OFFER);
    client.submit(delivery(&["ann@example.net"]));
    run(&mut client, &["250 OK"]);
    client.on_failure("connection closed");
    assert_eq!(run(&mut client, &[]), ["[0 deferred Host]", "[close]"]);
}

#[test]
fn a_421_ends_the_session_wherever_it_comes() {
    for before in 0..4 {
        let mut client = opened(TlsPolicy::Off, OFFER);
        client.submit(delivery(&["ann@example.net"]));
        let replies = ["250 OK", "250 OK", "354 go"];
        run(&mut client, &replies[..before]);
        let seen = run(&mut client, &["421 4.7.0 later"]);
        assert_eq!(seen, ["[0 deferred Host]", "[close]"], "after {before} replies");
    }
}

#[test]
fn a_354_for_nobody_is_ended_with_a_dot_rfc_2920() {
    let mut client = opened(TlsPolicy::Off, OFFER);
    client.submit(delivery(&["ann@example.net"]));
    let seen = run(&mut client, &["250 OK", "450 4.2.1 busy", "354 go", "554 5.5.1 none"]);
    assert_eq!(seen[3..], [".", "[0 deferred Recipient]"]);
}

#[test]
fn without_pipelining_each_command_waits() {
    let mut client = opened(TlsPolicy::Off, "250 mx");
    client.submit(delivery(&["ann@example.net"]));
    assert_eq!(run(&mut client, &[]), ["MAIL FROM:<>"]);
    assert_eq!(run(&mut client, &["250 OK"]), ["RCPT TO:<ann@example.net>"]);
    assert_eq!(run(&mut client, &["250 OK"]), ["DATA"]);
}

#[test]
fn tls_is_used_if_offered_and_required_if_told() {
    let mut client = Client::new("me.example", TlsPolicy::May);
    let seen = run(&mut client, &["220 mx", "250-mx\n250 STARTTLS", "220 go", "250 mx"]);
    assert_eq!(seen, ["EHLO me.example", "STARTTLS", "[tls]", "EHLO me.example"]);
    assert!(client.is_ready());
    for answer in ["250 mx", "502 5.5.1 what?"] {
        let mut client = Client::new("me.example", TlsPolicy::Require);
        assert_eq!(run(&mut client, &["220 mx", answer]), ["EHLO me.example", "[close]"]);
        assert!(client.over().is_some());
    }
}

#[test]
fn what_the_peer_cannot_take_is_bounced_here() {
    let refused = |offer: &str, change: fn(&mut Delivery)| {
        let mut client = opened(TlsPolicy::Off, offer);
        let mut delivery = delivery(&["ann@example.net"]);
        change(&mut delivery);
        client.submit(delivery);
        assert_eq!(run(&mut client, &[]), ["[0 bounced Message]"]);
    };
    refused("250-mx\n250 SIZE 11", |_| {});
    refused("250 mx", |d| d.content.message = Bytes::from_static("é\r\n".as_bytes()));
    refused(OFFER, |d| d.smtputf8 = true);
}

#[test]
fn a_reply_that_nobody_asked_for_ends_the_session() {
    let mut client = opened(TlsPolicy::Off, OFFER);
    assert_eq!(run(&mut client, &["250 OK"]), ["[close]"]);
    let mut client = opened(TlsPolicy::Off, OFFER);
    client.submit(delivery(&["ann@example.net"]));
    let seen = run(&mut client, &["250 OK", "250 OK", "250 before the body"]);
    assert_eq!(seen.last().unwrap(), "[close]");
    assert!(seen.contains(&"[0 deferred Host]".to_owned()), "never counted as delivered");
}
