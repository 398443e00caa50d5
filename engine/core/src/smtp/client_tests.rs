//! Dialogs with the client, in memory.

use super::*;
use crate::mail::address::Mailbox;
use crate::mail::envelope::Notify;
use crate::mail::envelope::OriginalRecipient;
use crate::mail::envelope::Recipient;
use crate::mail::envelope::Ret;
use crate::mail::envelope::ReversePath;
use crate::smtp::content::Content;

const OFFER: &str = "250-mx\n250-PIPELINING\n250-8BITMIME\n250 SIZE 1000";

const CHUNKS: &str = "250-mx\n250-PIPELINING\n250-CHUNKING\n250-8BITMIME\n250 DSN";

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

fn options(tls: TlsPolicy) -> Options {
    Options { ehlo_name: "me.example".into(), tls, login: None, login_in_clear: false }
}

/// Feeds replies (lines of one are separated by `\n`); gives what the client said and did.
fn run(client: &mut Client, replies: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut drain = |client: &mut Client| {
        while let Some(action) = client.poll() {
            match action {
                Action::Write(pieces) => {
                    let text = String::from_utf8(pieces.concat()).unwrap();
                    client.on_written(text.len());
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
        client.on_reply(&reply(text));
        drain(client);
    }
    seen
}

fn reply(text: &str) -> Reply {
    let wire = text.replace('\n', "\r\n") + "\r\n";
    let mut input = bytes::BytesMut::from(wire.as_str());
    let reply = crate::smtp::reply_parser::ReplyParser::default().parse(&mut input);
    reply.unwrap().unwrap()
}

fn opened(tls: TlsPolicy, offer: &str) -> Client {
    let mut client = Client::new(options(tls));
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
    let mut client = Client::new(options(TlsPolicy::May));
    let seen = run(&mut client, &["220 mx", "250-mx\n250 STARTTLS", "220 go", "250 mx"]);
    assert_eq!(seen, ["EHLO me.example", "STARTTLS", "[tls]", "EHLO me.example"]);
    assert!(client.is_ready());
    for answer in ["250 mx", "502 5.5.1 what?"] {
        for policy in [TlsPolicy::Require, TlsPolicy::Verify] {
            let mut client = Client::new(options(policy));
            assert_eq!(run(&mut client, &["220 mx", answer]), ["EHLO me.example", "[close]"]);
            assert!(client.over().is_some());
        }
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
    refused(OFFER, |d| d.content.message = Bytes::from_static(b"a\n.\r\nb\r\n"));
    refused(OFFER, |d| d.content.message = Bytes::from("x".repeat(999) + "\r\n"));
    refused(CHUNKS, |d| d.content.message = Bytes::from_static(b"a\rb\r\n"));
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

#[test]
fn with_chunking_a_whole_transaction_is_one_write_rfc_3030() {
    let mut client = opened(TlsPolicy::Off, CHUNKS);
    let mut message = delivery(&["ann@example.net"]);
    message.content.message = Bytes::from_static(b"A: b\r\n\r\n.dot\r\n");
    client.submit(message);
    let Some(Action::Write(pieces)) = client.poll() else { panic!("nothing is written") };
    let text = "MAIL FROM:<>\r\nRCPT TO:<ann@example.net>\r\nBDAT 14 LAST\r\nA: b\r\n\r\n.dot\r\n";
    assert_eq!(pieces.concat(), text.as_bytes());
    client.on_written(text.len());
    assert_eq!(run(&mut client, &["250 a", "250 b", "250 taken"]), ["[0 delivered]"]);
    assert!(client.is_ready());
}

#[test]
fn a_chunk_taken_is_not_delivered_to_those_who_were_refused() {
    let mut client = opened(TlsPolicy::Off, CHUNKS);
    client.submit(delivery(&["ann@example.net", "bob@example.net"]));
    let seen = run(&mut client, &["250 a", "550 5.1.1 no", "450 4.2.1 busy", "250 taken"]);
    assert_eq!(seen[seen.len() - 2..], ["[0 bounced Recipient]", "[1 deferred Recipient]"]);
}

#[test]
fn after_a_refused_chunk_the_next_transaction_begins_with_rset_rfc_3030() {
    for replies in [["550 no", "503 no", "503 no"], ["250 a", "550 5.1.1 no", "503 no"]] {
        let mut client = opened(TlsPolicy::Off, CHUNKS);
        client.submit(delivery(&["ann@example.net"]));
        let seen = run(&mut client, &replies);
        assert!(seen.last().unwrap().starts_with("[0 bounced"), "{seen:?}");
        client.submit(delivery(&["bob@example.net"]));
        let seen = run(&mut client, &["250 reset", "250 a", "250 b", "250 taken"]);
        assert_eq!(seen[..2], ["RSET", "MAIL FROM:<>"]);
        assert_eq!(seen.last().unwrap(), "[0 delivered]");
    }
}

#[test]
fn a_transaction_left_open_is_reset_rfc_5321_4_1_4() {
    let mut client = opened(TlsPolicy::Off, "250 mx");
    client.submit(delivery(&["ann@example.net"]));
    let seen = run(&mut client, &["250 a", "550 5.1.1 no"]);
    assert_eq!(seen.last().unwrap(), "[0 bounced Recipient]");
    assert!(client.is_ready(), "the connection serves the next");
    client.submit(delivery(&["bob@example.net"]));
    assert_eq!(run(&mut client, &["250 reset"]), ["RSET", "MAIL FROM:<>"]);
    let mut client = opened(TlsPolicy::Off, OFFER);
    client.submit(delivery(&["ann@example.net"]));
    run(&mut client, &["250 a", "550 5.1.1 no", "554 5.5.1 none"]);
    client.submit(delivery(&["bob@example.net"]));
    assert_eq!(run(&mut client, &[])[0], "RSET");
}

#[test]
fn a_message_refused_at_mail_is_refused_for_all() {
    for offer in ["250 mx", OFFER, CHUNKS] {
        let mut client = opened(TlsPolicy::Off, offer);
        client.submit(delivery(&["ann@example.net", "bob@example.net"]));
        let replies = ["552 5.3.4 too large", "503 a", "503 b", "503 c"];
        let count = if offer == "250 mx" { 1 } else { 4 };
        let seen = run(&mut client, &replies[..count]);
        let end = &seen[seen.len() - 2..];
        assert_eq!(end, ["[0 bounced Message]", "[1 bounced Message]"], "{offer}");
        assert!(client.is_ready());
    }
}

#[test]
fn more_recipients_than_the_peer_takes_at_once_are_sent_in_turns_rfc_9422() {
    let all = ["a@example.net", "b@example.net", "c@example.net"];
    let mut client = opened(TlsPolicy::Off, "250-mx\n250-LIMITS RCPTMAX=2\n250 X");
    client.submit(delivery(&all));
    let mut seen = run(&mut client, &["250 a", "250 b", "250 c", "354 go", "250 taken"]);
    assert!(!seen.iter().any(|line| line.starts_with('[')), "not over yet");
    seen.extend(run(&mut client, &["250 a", "250 b", "354 go", "250 taken"]));
    assert_eq!(seen.iter().filter(|line| line.starts_with("MAIL")).count(), 2);
    assert_eq!(seen.iter().filter(|line| line.starts_with("RCPT")).count(), all.len());
    assert_eq!(seen.iter().filter(|line| line.ends_with("delivered]")).count(), all.len());
}

#[test]
fn what_a_second_transaction_leaves_in_doubt_the_first_does_not() {
    let mut client =
        opened(TlsPolicy::Off, "250-mx\n250-CHUNKING\n250-PIPELINING\n250 LIMITS RCPTMAX=1");
    client.submit(delivery(&["ann@example.net", "bob@example.net", "cid@example.net"]));
    run(&mut client, &["250 a", "250 b", "250 taken", "250 a", "250 b"]);
    client.on_failure("connection closed");
    let seen = run(&mut client, &[]);
    assert_eq!(seen, ["[0 delivered]", "[1 in doubt]", "[2 deferred Host]", "[close]"]);
}

/// A session whose whole transaction is one write, of which all but one octet is written.
fn almost_written() -> Client {
    let mut client = opened(TlsPolicy::Off, CHUNKS);
    client.submit(delivery(&["ann@example.net"]));
    let Some(Action::Write(pieces)) = client.poll() else { panic!("nothing is written") };
    client.on_written(pieces.concat().len() - 1);
    run(&mut client, &["250 a", "250 b"]);
    client
}

#[test]
fn an_answer_to_a_chunk_before_its_last_octet_delivers_nothing() {
    let seen = run(&mut almost_written(), &["250 taken"]);
    assert_eq!(seen, ["[0 deferred Host]", "[close]"]);
    let seen = run(&mut almost_written(), &["552 5.3.4 too large"]);
    assert_eq!(seen, ["[0 bounced Message]", "[close]"], "a refusal is taken at its word");
    let seen = run(&mut almost_written(), &["421 4.3.2 closing"]);
    assert_eq!(seen, ["[0 deferred Host]", "[close]"]);
    let mut client = almost_written();
    client.on_failure("connection closed");
    assert_eq!(run(&mut client, &[]), ["[0 deferred Host]", "[close]"], "no doubt");
    let mut client = almost_written();
    client.on_written(1);
    client.on_failure("connection closed");
    assert_eq!(run(&mut client, &[]), ["[0 in doubt]", "[close]"]);
}

#[test]
fn dsn_parameters_are_passed_on_where_they_are_understood_rfc_3461_5_2() {
    let said = |offer: &str| {
        let mut client = opened(TlsPolicy::Off, offer);
        let mut message = delivery(&["ann@example.net"]);
        message.ret = Some(Ret::Headers);
        message.envelope_id = Some("a+b".into());
        message.recipients[0].1.notify = Notify::On { success: true, failure: true, delay: false };
        let (address_type, address) = ("rfc822".into(), "Ann=x@example.net".into());
        message.recipients[0].1.original = Some(OriginalRecipient { address_type, address });
        client.submit(message);
        (run(&mut client, &[]), client.offers_dsn())
    };
    let (seen, offered) = said(CHUNKS);
    assert_eq!(seen[0], "MAIL FROM:<> RET=HDRS ENVID=a+2Bb");
    let rcpt = "RCPT TO:<ann@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Ann+3Dx@example.net";
    assert_eq!((seen[1].as_str(), offered), (rcpt, true));
    let (seen, offered) = said(OFFER);
    assert_eq!(seen[..2], ["MAIL FROM:<> SIZE=12", "RCPT TO:<ann@example.net>"]);
    assert!(!offered);
}

fn smarthost(offer: &str, login_in_clear: bool, replies: &[&str]) -> (Client, Vec<String>) {
    let login = Some(Arc::new(Login { user: "ann".into(), password: "secret".into() }));
    let mut client = Client::new(Options { login, login_in_clear, ..options(TlsPolicy::May) });
    let mut seen = run(&mut client, &["220 mx", offer]);
    seen.extend(run(&mut client, replies));
    (client, seen)
}

#[test]
fn a_password_is_given_under_tls_only_rfc_4954_4() {
    let (client, seen) = smarthost("250-mx\n250 AUTH PLAIN", false, &[]);
    assert_eq!(seen, ["EHLO me.example", "[close]"]);
    assert_eq!(client.over().unwrap().status, EnhancedStatus::new(4, 7, 11));
    let under_tls = ["220 go", "250-mx\n250 AUTH LOGIN PLAIN", "235 2.7.0 welcome"];
    let (client, seen) = smarthost("250-mx\n250 STARTTLS", false, &under_tls);
    assert_eq!(seen.last().unwrap(), "AUTH PLAIN AGFubgBzZWNyZXQ=");
    assert!(client.is_ready());
    let (client, _) = smarthost("250-mx\n250 AUTH PLAIN", true, &["235 2.7.0 welcome"]);
    assert!(client.is_ready(), "on this machine it may go in clear");
}

#[test]
fn auth_login_is_spoken_where_plain_is_not_offered() {
    let replies = ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 welcome"];
    let (client, seen) = smarthost("250-mx\n250 AUTH LOGIN", true, &replies);
    assert_eq!(seen[1..], ["AUTH LOGIN", "YW5u", "c2VjcmV0"]);
    assert!(client.is_ready());
}

#[test]
fn a_refused_password_defers_and_is_never_asked_for_twice() {
    let (client, seen) = smarthost("250-mx\n250 AUTH PLAIN", true, &["535 5.7.8 wrong"]);
    assert_eq!(seen.last().unwrap(), "[close]");
    assert_eq!(client.over().unwrap().code, Some(535));
    let (client, _) = smarthost("250-mx\n250 AUTH PLAIN", true, &["334 "]);
    assert!(client.over().is_some(), "an answer that fits nothing");
    let (client, _) = smarthost("250 mx", true, &[]);
    assert!(client.over().unwrap().text().contains("AUTH"));
}

#[test]
fn each_reply_has_its_time_rfc_5321_4_5_3_2() {
    let minutes = |client: &Client| client.timeout().unwrap().as_secs() / 60;
    let mut client = Client::new(options(TlsPolicy::Off));
    assert_eq!(minutes(&client), 5, "greeting");
    run(&mut client, &["220 mx"]);
    assert_eq!(minutes(&client), 5, "EHLO");
    run(&mut client, &["250 mx"]);
    client.submit(delivery(&["ann@example.net"]));
    let mut seen = Vec::new();
    for reply in ["250 mail", "250 rcpt", "354 data", "250 dot"] {
        run(&mut client, &[]);
        seen.push(minutes(&client));
        run(&mut client, &[reply]);
    }
    assert_eq!(seen, [5, 5, 2, 10]);
    assert_eq!(client.timeout(), None, "nothing is awaited");
    assert_eq!(BLOCK_TIMEOUT, Duration::from_secs(180));
}

#[test]
fn commands_that_must_end_a_group_end_it_rfc_2920_3_1() {
    let mut client = Client::new(options(TlsPolicy::May));
    let seen = run(&mut client, &["220 mx"]);
    assert_eq!(seen, ["EHLO me.example"]);
    let seen = run(&mut client, &["250-mx\n250-PIPELINING\n250 STARTTLS"]);
    assert_eq!(seen, ["STARTTLS"]);
    assert_eq!(run(&mut client, &["220 go"]), ["[tls]", "EHLO me.example"]);
    run(&mut client, &["250-mx\n250 PIPELINING"]);
    client.submit(delivery(&["ann@example.net"]));
    assert_eq!(run(&mut client, &[]).last().unwrap(), "DATA");
}

#[test]
fn what_was_offered_before_tls_is_forgotten_rfc_3207_4_2() {
    let mut client = Client::new(options(TlsPolicy::May));
    let offer = "250-mx\n250-STARTTLS\n250-DSN\n250 CHUNKING";
    run(&mut client, &["220 mx", offer, "220 go", "250 mx"]);
    assert!(!client.offers_dsn());
    client.submit(delivery(&["ann@example.net"]));
    assert_eq!(run(&mut client, &["250 a", "250 b"]).last().unwrap(), "DATA");
}

#[test]
fn starttls_refused_goes_on_in_clear_only_where_tls_is_a_wish() {
    for (policy, ready) in
        [(TlsPolicy::May, true), (TlsPolicy::Require, false), (TlsPolicy::Verify, false)]
    {
        let mut client = Client::new(options(policy));
        run(&mut client, &["220 mx", "250-mx\n250 STARTTLS", "454 4.7.0 not now"]);
        assert_eq!(client.is_ready(), ready, "{policy:?}");
    }
}

#[test]
fn what_no_reply_may_say_here_ends_the_session_and_delivers_nothing() {
    let cases: &[&[&str]] = &[
        &["354 go"],
        &["250 a", "354 go"],
        &["250 a", "250 b", "250 instead of 354"],
        &["250 a", "250 b", "354 go", "354 again"],
    ];
    for replies in cases {
        let mut client = opened(TlsPolicy::Off, OFFER);
        client.submit(delivery(&["ann@example.net"]));
        let seen = run(&mut client, replies);
        assert_eq!(seen.last().unwrap(), "[close]", "{replies:?}");
        assert!(!seen.contains(&"[0 delivered]".to_owned()), "{replies:?}");
    }
}

#[test]
fn a_552_for_too_many_recipients_is_no_bounce_rfc_5321_4_5_3_1_10() {
    let ends = |replies: &[&str]| {
        let mut client = opened(TlsPolicy::Off, OFFER);
        client.submit(delivery(&["ann@example.net", "bob@example.net"]));
        let seen = run(&mut client, replies);
        seen[seen.len() - 2..].to_vec()
    };
    let end = ends(&["250 a", "250 b", "552 too many", "354 go", "250 taken"]);
    assert_eq!(end, ["[0 delivered]", "[1 deferred Recipient]"]);
    let end = ends(&["250 a", "250 b", "552 5.2.2 mailbox full", "354 go", "250 taken"]);
    assert_eq!(end, ["[0 delivered]", "[1 bounced Recipient]"]);
    let end = ends(&["250 a", "552 no", "550 no", "503 none"]);
    assert_eq!(end, ["[0 bounced Recipient]", "[1 bounced Recipient]"], "not even one was taken");
}

/// What a peer may do next: say this, or read so many octets, or leave.
fn event(client: &mut Client, unwritten: &mut usize, what: u8) {
    const CODES: [&str; 8] =
        ["250 a", "250 b", "354 go", "550 5.1.1 no", "450 later", "421 bye", "220 x", "552 x"];
    match what {
        0..=15 => client.on_reply(&reply(CODES[usize::from(what) % CODES.len()])),
        16 => client.on_failure("gone"),
        _ => {
            let octets = if what < 20 { *unwritten / 2 } else { *unwritten };
            client.on_written(octets);
            *unwritten -= octets;
        }
    }
}

proptest::proptest! {
    #[test]
    fn whatever_a_peer_does_each_recipient_comes_to_one_outcome(
        events in proptest::collection::vec(0_u8..28, 0..40),
        offer in 0_usize..4,
        recipients in 1_usize..4,
    ) {
        let chunks = "250-mx\n250-PIPELINING\n250-CHUNKING\n250 LIMITS RCPTMAX=1";
        let mut client = opened(TlsPolicy::Off, ["250 mx", OFFER, CHUNKS, chunks][offer]);
        client.submit(delivery(&vec!["ann@example.net"; recipients]));
        let (mut unwritten, mut done) = (0, None);
        for what in events.into_iter().map(Some).chain([None]) {
            while let Some(action) = client.poll() {
                match action {
                    Action::Write(pieces) => unwritten += pieces.concat().len(),
                    Action::Done(outcomes) => {
                        assert!(done.is_none(), "over twice");
                        let taken = |o: &Outcome| matches!(o, Outcome::Delivered(_));
                        if outcomes.iter().all(|(_, outcome)| taken(outcome)) {
                            assert_eq!(unwritten, 0, "taken before it was sent");
                        }
                        done = Some(outcomes.len());
                    }
                    Action::StartTls => panic!("nobody asked for TLS"),
                    Action::Close => {}
                }
            }
            match what {
                Some(what) if done.is_none() => event(&mut client, &mut unwritten, what),
                _ => client.on_failure("the end"),
            }
        }
        while let Some(action) = client.poll() {
            if let Action::Done(outcomes) = action {
                assert!(done.is_none(), "over twice");
                done = Some(outcomes.len());
            }
        }
        assert_eq!(done, Some(recipients));
    }
}
