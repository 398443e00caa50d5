//! What the scripted dialogs of `tests/dialogs` do not see: the transactions that are handed out,
//! and what the caller is told about time and memory.

use super::*;
use crate::clock::Timestamp;
use crate::live::Phase;
use crate::live::record::Record;
use crate::mail::envelope::BodyType;
use crate::mail::envelope::Notify;
use crate::mail::envelope::Ret;

fn server(config: ServerConfig) -> Server {
    Server::new(Arc::new(config), Client { may_relay: true, local: true, tls: false })
}

/// Runs until more must be read; gives what was taken and what was said.
fn go_on(server: &mut Server, octets: &str) -> (Vec<Transaction>, String) {
    server.input().extend_from_slice(octets.as_bytes());
    let mut taken = Vec::new();
    loop {
        match server.poll() {
            Action::Read | Action::Close => break,
            Action::StartTls => server.on_tls(),
            Action::Admit { .. } => server.on_admission(None),
            Action::Authenticate { user, password } => {
                let right = &*password == "secret";
                server.on_authenticated(right.then_some(user));
            }
            Action::Accept(transaction) => {
                taken.push(*transaction);
                server.on_settled(&Reply::new(250, status(2, 0, 0), "queued"));
            }
        }
    }
    (taken, String::from_utf8(std::mem::take(server.output())).unwrap())
}

#[test]
fn a_transaction_holds_all_that_the_client_said() {
    let mut server = server(ServerConfig { auth: true, ..ServerConfig::default() });
    let (taken, said) = go_on(
        &mut server,
        "EHLO client.example\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\n\
         MAIL FROM:<ann@example.net> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+2Bb\r\n\
         RCPT TO:<bob@example.org> NOTIFY=SUCCESS ORCPT=rfc822;bob+2Bx@example.org\r\n\
         RCPT TO:<eve@example.org>\r\nDATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\n",
    );
    assert!(said.ends_with("250 2.0.0 queued\r\n"), "{said}");
    let [transaction] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!(transaction.message, b"Subject: x\r\n\r\n.dot\r\n".as_slice());
    assert_eq!((transaction.user.as_deref(), &*transaction.helo), (Some("ann"), "client.example"));
    assert!(transaction.extended && transaction.trusted && !transaction.tls);
    let envelope = &transaction.envelope;
    assert_eq!(envelope.reverse_path.to_string(), "ann@example.net");
    assert_eq!((envelope.body_type, envelope.smtputf8), (BodyType::EightBitMime, true));
    assert_eq!((envelope.ret, envelope.envelope_id.as_deref()), (Some(Ret::Headers), Some("a+b")));
    let [bob, eve] = envelope.recipients.as_slice() else { panic!("{envelope:?}") };
    assert!(bob.notify.wants_success() && !bob.notify.wants_failure());
    assert_eq!(&*bob.original.as_ref().unwrap().address, "bob+x@example.org");
    assert_eq!((&eve.original, eve.notify), (&None, Notify::Unspecified));
}

#[test]
fn who_has_no_rights_is_not_trusted_with_mail_for_the_postmaster_either() {
    let postmaster = Some("ann@example.net".parse().unwrap());
    let config = ServerConfig { postmaster, ..ServerConfig::default() };
    let mut server = Server::new(Arc::new(config), Client::default());
    let text = "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\n";
    let (taken, _) = go_on(&mut server, text);
    assert!(!taken[0].trusted);
    assert_eq!(taken[0].envelope.recipients[0].forward_path.to_string(), "ann@example.net");
}

#[test]
fn only_what_is_whole_counts_as_progress() {
    let mut server = server(ServerConfig::default());
    let mut step = |octets: &str| {
        let before = server.progress();
        go_on(&mut server, octets);
        (server.progress() - before, server.in_text())
    };
    assert_eq!(step("NO"), (0, false));
    assert_eq!(step("OP"), (0, false));
    assert_eq!(step("\r\n"), (1, false));
    assert_eq!(step(&"x".repeat(100_000)), (0, false), "a line without end");
    assert_eq!(step("\r\nHELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n"), (4, false));
    assert_eq!(step("BDAT 10\r\n"), (1, true));
    assert_eq!(step("12345"), (0, true));
    assert_eq!(step("67890"), (1, true), "a chunk is whole, its message is not");
    assert_eq!(step("BDAT 0 LAST\r\n"), (2, false));
    assert_eq!(step("MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n"), (3, true));
    assert_eq!(step("line\r\nline\r\n"), (0, true));
    assert_eq!(step(".\r\n"), (1, false));
}

#[test]
fn a_message_that_is_shed_is_read_to_its_end_and_refused_for_now() {
    let begin = "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n";
    for (start, rest) in [
        (format!("{begin}DATA\r\n{}", "some text\r\n".repeat(10_000)), "more\r\n.\r\n"),
        (format!("{begin}BDAT 110005\r\n{}", "some text\r\n".repeat(10_000)), "12345"),
    ] {
        let mut server = server(ServerConfig::default());
        go_on(&mut server, &start);
        assert!(server.held_octets() >= 110_000);
        server.shed();
        let (_, said) = go_on(&mut server, "");
        assert_eq!((server.held_octets(), said.as_str()), (0, ""), "{start:.60}");
        let (taken, said) = go_on(&mut server, rest);
        assert_eq!((taken.len(), said.starts_with("452 4.3.2 ")), (0, true), "{said}");
        let again = go_on(&mut server, &format!("RSET\r\n{begin}DATA\r\n.\r\n"));
        assert_eq!(again.0.len(), 1, "{}", again.1);
    }
}

#[test]
fn chunks_taken_before_are_shed_too() {
    let mut server = server(ServerConfig::default());
    go_on(&mut server, "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nBDAT 5\r\n12345");
    server.shed();
    assert_eq!(server.held_octets(), 0);
    let (taken, said) = go_on(&mut server, "BDAT 0 LAST\r\n");
    assert_eq!((taken.len(), &said[..3]), (0, "503"));
}

#[test]
fn a_line_without_end_in_a_refused_message_is_not_waited_for() {
    let config = ServerConfig { message_octets_max: 10, ..ServerConfig::default() };
    let begin = "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n";
    let mut long = server(config);
    go_on(&mut long, begin);
    let (_, said) = go_on(&mut long, &"x".repeat(config::UNENDED_LINE_OCTETS_MAX));
    assert_eq!(said, "");
    let (_, said) = go_on(&mut long, "x");
    assert!(said.starts_with("421 "), "{said}");
}

#[test]
fn commands_that_lead_nowhere_are_counted_from_one_message_to_the_next() {
    let mut server = server(ServerConfig::default());
    let noops = "NOOP\r\n".repeat(COMMANDS_IDLE_MAX as usize - 1);
    let message = "MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n.\r\n";
    let (taken, said) = go_on(&mut server, &format!("HELO c\r\n{noops}{message}{noops}NOOP\r\n"));
    assert_eq!((taken.len(), said.contains("421")), (1, false));
    assert!(go_on(&mut server, "NOOP\r\n").1.starts_with("421 4.7.0 many commands"));
}

#[test]
fn room_is_made_for_what_is_announced_and_for_no_more_than_is_sane() {
    let begin = |size: u64| format!("HELO c\r\nMAIL FROM:<> SIZE={size}\r\nRCPT TO:<a@b.c>\r\n");
    for (commands, expected) in [
        (begin(70_000), 0),
        (begin(70_000) + "DATA\r\n", 70_003),
        (begin(70_000) + "DATA\r\nab\r\n", 69_999),
        (begin(0) + "BDAT 5000\r\nab", 4_998),
        (begin(9_000_000) + "DATA\r\n", 1 << 20),
        (begin(0) + "BDAT 9000000\r\n", 1 << 20),
        (begin(0) + "BDAT 18446744073709551615\r\n", 0),
    ] {
        let mut server = server(ServerConfig::default());
        go_on(&mut server, &commands);
        assert_eq!(server.expected_octets(), expected, "{commands}");
    }
}

proptest::proptest! {
    #[test]
    fn no_octets_from_outside_make_it_panic(pieces in proptest::collection::vec(
        proptest::prop_oneof![
            proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
            proptest::sample::select(vec![
                b"EHLO c\r\n".to_vec(), b"MAIL FROM:<a@b.c>\r\n".to_vec(), b"DATA\r\n".to_vec(),
                b"RCPT TO:<a@b.c>\r\n".to_vec(), b".\r\n".to_vec(), b"BDAT 3\r\n".to_vec(),
                b"BDAT 18446744073709551615 LAST\r\n".to_vec(), b"AUTH LOGIN\r\n".to_vec(),
                b"STARTTLS\r\n".to_vec(), b"\n".to_vec(), b"RSET\r\n".to_vec(),
            ]),
        ], 0..40)
    ) {
        let config = ServerConfig { auth: true, starttls: true, ..ServerConfig::default() };
        let mut server = server(config);
        for piece in pieces {
            server.input().extend_from_slice(&piece);
            go_on(&mut server, "");
        }
    }
}

#[test]
fn everyone_may_write_to_our_open_address_and_to_no_other() {
    let open = vec!["u@links.example".parse().unwrap()];
    let config = ServerConfig { open, ..ServerConfig::default() };
    let text = "HELO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<U@LINKS.example>\r\n\
                RCPT TO:<x@links.example>\r\nQUIT\r\n";
    let mut server = Server::new(Arc::new(config), Client::default());
    let (_, said) = go_on(&mut server, text);
    let codes: Vec<_> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "550", "221"], "{said}");
}

/// What a session has to tell, one line after the other.
fn told(server: &mut Server) -> Vec<String> {
    let mut record = Record::new(Timestamp::EPOCH, Phase::Greeting, String::new());
    let phase = server.phase();
    record.take(server.said(), phase, Timestamp::EPOCH);
    record.lines.behind(0).into_iter().map(|line| line.text).collect()
}

#[test]
fn a_session_tells_what_was_said_in_it_but_no_message() {
    let mut server = server(ServerConfig::default());
    let words = "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    assert_eq!(server.phase(), Phase::Greeting);
    go_on(&mut server, words);
    let before = told(&mut server);
    assert_eq!(server.phase(), Phase::Data);
    go_on(&mut server, "Subject: hidden\r\n\r\n.\r\nXYZ\r\nBDAT 3 LAST\r\nabc");
    let after = told(&mut server);
    assert_eq!((before[0].starts_with("220 "), &*before[1]), (true, "EHLO c"), "{before:?}");
    assert_eq!(before.last().unwrap(), "354 end with <CRLF>.<CRLF>");
    assert_eq!(
        after,
        [
            "message of 19 octets",
            "250 2.0.0 queued",
            "a line of 5 octets that is no command is left out",
            "500 5.5.2 command not recognized",
            "BDAT 3 LAST",
            "the end of a chunk that is refused",
            "503 5.5.1 MAIL first",
        ]
    );
    assert_eq!(server.phase(), Phase::Idle);
    go_on(&mut server, "MAIL FROM:<>\r\n");
    assert_eq!(server.phase(), Phase::Envelope);
    go_on(&mut server, "RSET\r\nAUTH LOGIN\r\nQUIT\r\n");
    assert_eq!(server.phase(), Phase::Closing);
}

#[test]
fn no_secret_of_a_client_is_told_whether_it_is_taken_or_not() {
    // "\0ann\0secret", "ann", "secret", "wrong"
    let secrets = ["AGFubgBzZWNyZXQ=", "YW5u", "c2VjcmV0", "d3Jvbmc="];
    let [plain, user, password, wrong] = secrets;
    for auth in [true, false] {
        for words in [
            format!("AUTH PLAIN {plain}\r\n"),
            format!("AUTH PLAIN\r\n{plain}\r\n"),
            format!("AUTH LOGIN\r\n{user}\r\n{password}\r\n"),
            format!("AUTH LOGIN {user}\r\n{wrong}\r\n"),
            format!("AUTH LOGIN\r\n{user} \r\n*\r\n{password}\r\n"),
            format!("AUTH {plain}\r\nauth plain {plain} {password}\r\nAUTHPLAIN {plain}\r\n"),
            format!("AUTH PLAIN {plain}\nAUTH PLAIN {}{plain}\r\n", "A".repeat(20_000)),
            format!("AUTH LOGIN\r\n{password}{}\r\n{password}\r\n", "A".repeat(20_000)),
        ] {
            let mut server = server(ServerConfig { auth, ..ServerConfig::default() });
            go_on(&mut server, "EHLO c\r\n");
            go_on(&mut server, &words);
            let told = told(&mut server).join("\n");
            assert!(told.contains("left out"), "{told}");
            assert!(!secrets.iter().any(|secret| told.contains(secret)), "{told}");
            let debugged = format!("{:?}", server.said());
            assert!(!debugged.contains("AAAA"), "{debugged}");
        }
    }
    let mut server = server(ServerConfig { auth: true, ..ServerConfig::default() });
    go_on(&mut server, &format!("EHLO c\r\nAUTH PLAIN {plain}\r\n"));
    let told = told(&mut server);
    let end = ["AUTH PLAIN", "the initial response is left out", "235 2.7.0 authenticated"];
    assert_eq!(told[told.len() - 3..], end);
}
