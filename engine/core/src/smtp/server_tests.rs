//! Dialogs with the server, in memory. `C:` the client says, `S:` the server answers; `S: 250*`
//! matches the code alone. `C+` sends without waiting for an answer.

use super::*;

/// Runs a dialog; gives the transactions that were offered.
fn dialog(config: ServerConfig, client: Client, script: &str) -> Vec<Transaction> {
    let mut server = Server::new(Arc::new(config), client);
    let mut taken = Vec::new();
    let mut answers: Vec<String> = Vec::new();
    for (number, line) in script.lines().map(str::trim_start).enumerate() {
        let Some((who, text)) = line.split_once(": ") else { continue };
        let octets = text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0");
        match who {
            "C" => server.input().extend_from_slice(format!("{octets}\r\n").as_bytes()),
            "C+" => server.input().extend_from_slice(octets.as_bytes()),
            "S" => {
                let answer = answers.first().cloned().unwrap_or_default();
                let matches =
                    text.strip_suffix('*').map_or(answer == text, |t| answer.starts_with(t));
                assert!(
                    matches,
                    "line {number}: wanted {text:?}, got {answer:?}, rest {answers:?}"
                );
                answers.remove(0);
                continue;
            }
            _ => panic!("line {number}: {line}"),
        }
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
        let said = String::from_utf8(std::mem::take(server.output())).unwrap();
        answers.extend(said.split_terminator("\r\n").map(str::to_owned));
        if number == 0 {
            assert!(answers.remove(0).starts_with("220 "));
        }
    }
    assert_eq!(answers, Vec::<String>::new(), "answers that nobody expected");
    taken
}

fn trusted() -> Client {
    Client { may_relay: true, local: true, tls: false }
}

fn check(script: &str) -> Vec<Transaction> {
    let config = ServerConfig { auth: true, starttls: true, ..ServerConfig::default() };
    dialog(config, trusted(), script)
}

#[test]
fn a_message_is_taken_with_its_envelope() {
    let taken = check(
        "C: HELO client.example
         S: 250 localhost
         C: MAIL FROM:<ann@example.net>
         S: 250 2.1.0 OK
         C: RCPT TO:<bob@example.org> NOTIFY=SUCCESS ORCPT=rfc822;bob+2Bx@example.org
         S: 250 2.1.5 OK
         C: DATA
         S: 354*
         C: Subject: x\\r\\n\\r\\n..dot\\r\\n.
         S: 250 2.0.0 queued
         C: QUIT
         S: 221*",
    );
    assert_eq!(taken[0].message, b"Subject: x\r\n\r\n.dot\r\n".as_slice());
    let original = taken[0].envelope.recipients[0].original.as_ref().unwrap();
    assert_eq!(&*original.address, "bob+x@example.org");
    assert!(!taken[0].extended);
}

#[test]
fn pipelined_commands_are_answered_in_order_rfc_2920() {
    let taken = check(
        "C+: EHLO c\\r\\nMAIL FROM:<>\\r\\n\
         RCPT TO:<a@b.c>\\r\\nRCPT TO:<bad>\\r\\nDATA\\r\\nhi\\r\\n.\\r\\nNOOP\\r\\n
         S: 250-localhost
         S: 250-PIPELINING
         S: 250-SIZE 52428800
         S: 250-8BITMIME
         S: 250-SMTPUTF8
         S: 250-CHUNKING
         S: 250-DSN
         S: 250-ENHANCEDSTATUSCODES
         S: 250-STARTTLS
         S: 250 AUTH PLAIN LOGIN
         S: 250 2.1.0 OK
         S: 250 2.1.5 OK
         S: 501 5.1.3*
         S: 354*
         S: 250 2.0.0 queued
         S: 250 2.0.0 OK",
    );
    assert_eq!(taken[0].envelope.recipients.len(), 1);
}

#[test]
fn commands_out_of_order_get_503_rfc_5321_4_1_4() {
    check(
        "C: MAIL FROM:<a@b.c>
         S: 503*
         C: HELO c
         S: 250*
         C: RCPT TO:<a@b.c>
         S: 503*
         C: DATA
         S: 503*
         C: MAIL FROM:<a@b.c>
         S: 250*
         C: MAIL FROM:<a@b.c>
         S: 503*
         C: DATA
         S: 554*
         C: RSET
         S: 250*
         C: MAIL FROM:<a@b.c>
         S: 250*",
    );
}

#[test]
fn chunks_are_taken_as_they_are_rfc_3030() {
    let taken = check(
        "C: HELO c
         S: 250*
         C: MAIL FROM:<a@b.c>
         S: 250*
         C: RCPT TO:<d@e.f>
         S: 250*
         C+: BDAT 6\\r\\n.a\\r\\n..BDAT 5 LAST\\r\\n\\r\\nend
         S: 250 2.0.0 6 octets
         S: 250 2.0.0 queued",
    );
    assert_eq!(taken[0].message, b".a\r\n..\r\nend\r\n".as_slice());
}

#[test]
fn a_refused_chunk_is_read_and_the_rest_refused_rfc_3030_2() {
    check(
        "C: HELO c
         S: 250*
         C+: BDAT 6\\r\\nNOOP\\r\\nBDAT 6 LAST\\r\\nQUIT\\r\\nNOOP\\r\\n
         S: 503*
         S: 503 5.5.1 a chunk was refused: RSET first
         S: 250 2.0.0 OK
         C: RSET
         S: 250*",
    );
}

#[test]
fn what_is_pipelined_behind_starttls_is_forgotten_rfc_3207() {
    check(
        "C: EHLO c
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250*
         C+: STARTTLS\\r\\nNOOP\\r\\n
         S: 220*
         C: MAIL FROM:<a@b.c>
         S: 503 5.5.1 EHLO first
         C: STARTTLS
         S: 503*",
    );
}

#[test]
fn authentication_opens_the_relay_rfc_4954() {
    let config = ServerConfig { auth: true, ..ServerConfig::default() };
    let stranger = Client { tls: true, ..Client::default() };
    let taken = dialog(
        config,
        stranger,
        "C: EHLO c
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250-*
         S: 250 AUTH PLAIN LOGIN
         C: MAIL FROM:<a@b.c>
         S: 530 5.7.0*
         C: AUTH PLAIN *
         S: 501*
         C: AUTH PLAIN AGFubgBzZWNyZXQx
         S: 535*
         C: AUTH CRAM-MD5
         S: 504*
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YW5u
         S: 334 UGFzc3dvcmQ6
         C: c2VjcmV0
         S: 235*
         C: AUTH PLAIN AGFubgBzZWNyZXQ=
         S: 503*
         C: MAIL FROM:<a@b.c>
         S: 250*
         C: RCPT TO:<d@e.f>
         S: 250*
         C: DATA
         S: 354*
         C: .
         S: 250*",
    );
    assert_eq!(taken[0].user.as_deref(), Some("ann"));
    assert_eq!(taken[0].message.len(), 0, "an empty message is one");
}

#[test]
fn authentication_is_not_offered_in_clear() {
    let config = ServerConfig { auth: true, ..ServerConfig::default() };
    dialog(
        config,
        Client::default(),
        "C: HELO c
         S: 250*
         C: AUTH PLAIN AGFubgBzZWNyZXQ=
         S: 538*",
    );
}

#[test]
fn smuggling_forms_are_refused_and_end_nothing() {
    for form in ["\\n.\\n", "\\n.\\r\\n", "\\r\\n.\\n", "\\r\\n.\\r\\r\\n", "\\r.\\r\\n"] {
        let script = format!(
            "C: HELO c
             S: 250*
             C: MAIL FROM:<a@b.c>
             S: 250*
             C: RCPT TO:<d@e.f>
             S: 250*
             C: DATA
             S: 354*
             C: text{form}MAIL FROM:<evil@b.c>\\r\\nRCPT TO:<x@y.z>\\r\\n.
             S: 550 5.6.11*"
        );
        assert_eq!(check(&script).len(), 0, "{form}");
    }
}

#[test]
fn every_limit_has_an_answer_one_above_it() {
    let config = ServerConfig {
        message_octets_max: 20,
        recipients_max: 2,
        transactions_max: 2,
        ..ServerConfig::default()
    };
    // NOOP, a space and CRLF are seven octets.
    let long = "x".repeat(command::line_octets_max(b"NOOP ") - 6);
    let script = format!(
        "C: HELO c
         S: 250*
         C: NOOP {}
         S: 250*
         C: NOOP {long}
         S: 500 5.5.2 line too long
         C: MAIL FROM:<a@b.c> SIZE=21
         S: 552 5.3.4*
         C: MAIL FROM:<a@b.c> SIZE=20
         S: 250*
         C: RCPT TO:<a@b.c>
         S: 250*
         C: RCPT TO:<b@b.c>
         S: 250*
         C: RCPT TO:<c@b.c>
         S: 452 4.5.3*
         C: DATA
         S: 354*
         C: 123456789\\r\\n1234567\\r\\n.
         S: 250*
         C: MAIL FROM:<a@b.c>
         S: 250*
         C: RCPT TO:<a@b.c>
         S: 250*
         C: DATA
         S: 354*
         C: 123456789\\r\\n12345678\\r\\n
         C: more
         C: .
         S: 552 5.3.4*
         C: MAIL FROM:<a@b.c>
         S: 421*",
        &long[1..]
    );
    assert_eq!(dialog(config, trusted(), &script).len(), 1);
}

#[test]
fn a_browser_is_sent_away() {
    check(
        "C: POST / HTTP/1.1
         S: 421*",
    );
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
        let mut server = Server::new(Arc::new(config), trusted());
        for piece in pieces {
            server.input().extend_from_slice(&piece);
            loop {
                match server.poll() {
                    Action::Read | Action::Close => break,
                    Action::StartTls => server.on_tls(),
                    Action::Admit { .. } => server.on_admission(None),
                    Action::Authenticate { .. } => server.on_authenticated(None),
                    Action::Accept(_) => server.on_settled(&Reply::bare(250, "OK")),
                }
            }
        }
    }
}
