//! Reports against RFC 3464, 3461, 6522 and 6533, and against what remotes may say.

use super::*;

use crate::bounce::fate::Fate;
use crate::bounce::fate::Remote;
use crate::bounce::returned::HEADER_OCTETS_MAX;
use crate::bounce::returned::RETURNED_OCTETS_MAX;
use crate::bounce::words::NAMED_MAX;
use crate::clock::Timestamp;
use crate::mail::address::Mailbox;
use crate::mail::envelope::OriginalRecipient;
use crate::mail::envelope::RecipientIndex;
use crate::mail::envelope::Ret;
use crate::mail::id::QueueId;
use crate::mail::outcome::Blame;
use crate::mail::outcome::Diagnosis;
use crate::mail::outcome::EnhancedStatus;

const MESSAGE: &[u8] = b"Message-ID: <1@example.org>\r\nSubject: hello\r\n\r\nThe body.\r\n";
const ARRIVED: u64 = 1_795_392_378;

/// A report about one message, changed by each test in what it is about.
struct Case {
    envelope: Envelope,
    message: Vec<u8>,
    fates: Vec<Fate>,
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn fate(number: u32, kind: ReportKind) -> Fate {
    let (code, class) = match kind {
        ReportKind::Failed => (550, 5),
        ReportKind::Delayed => (450, 4),
        ReportKind::Relayed => (250, 2),
    };
    Fate {
        recipient: RecipientIndex(number),
        kind,
        expired: false,
        diagnosis: Diagnosis::reply(code, EnhancedStatus::new(class, 1, 1), "no such user"),
        remote: Some(Remote {
            host: "mx.example.net".into(),
            address: "192.0.2.1".parse().unwrap(),
        }),
        at: Timestamp::from_secs(ARRIVED + 400_000),
    }
}

impl Case {
    fn new(kind: ReportKind) -> Self {
        let to = Recipient::plain(mailbox("ann@example.net"));
        let from = ReversePath::Mailbox(mailbox("bob@example.org"));
        Self {
            envelope: Envelope::plain(from, vec![to]),
            message: MESSAGE.to_vec(),
            fates: vec![fate(0, kind)],
        }
    }

    fn notification(&self) -> Option<Notification> {
        write(&Report {
            id: QueueId::from_u64(7),
            at: Timestamp::from_secs(ARRIVED + 400_001),
            hostname: "mail.example.com",
            original: QueueId::from_u64(6),
            arrived_at: Timestamp::from_secs(ARRIVED),
            expires_at: Timestamp::from_secs(ARRIVED + 432_000),
            envelope: &self.envelope,
            message: &self.message,
            fates: self.fates.clone(),
        })
    }

    /// The header, and the three parts, after checking what holds for every report.
    fn parts(&self) -> [String; 4] {
        let notification = self.notification().unwrap();
        let message = String::from_utf8(notification.message.to_vec()).unwrap();
        let seven_bit = notification.envelope.body_type == BodyType::SevenBit;
        assert_eq!(message.is_ascii(), seven_bit, "BODY= tells of eight bits");
        assert_eq!(message.contains("\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis"), !seven_bit);
        for line in message.split_inclusive('\n') {
            assert!(line.ends_with("\r\n") && line.len() <= 1_000, "{line:?}");
            assert!(!line.trim_end_matches("\r\n").contains(['\r', '\0']), "{line:?}");
        }
        let boundary = message.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
        let delimiter = format!("\r\n--{boundary}");
        let mut parts = message.split(&delimiter);
        let four = [(); 4].map(|()| parts.next().unwrap().to_owned());
        assert_eq!((parts.next(), parts.next()), (Some("--\r\n"), None));
        four
    }
}

#[test]
fn a_failure_says_who_why_and_in_whose_words() {
    let [head, words, status, returned] = Case::new(ReportKind::Failed).parts();
    for line in [
        "From: Mail Delivery System <MAILER-DAEMON@mail.example.com>",
        "To: <bob@example.org>",
        "Date: Fri, 27 Nov 2026 15:12:59 +0000",
        "Message-ID: <0000000000007@mail.example.com>",
        "In-Reply-To: <1@example.org>",
        "References: <1@example.org>",
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report; report-type=delivery-status;",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
    }
    assert!(words.contains("<ann@example.net>\r\n    mx.example.net [192.0.2.1] said: 550 5.1.1"));
    let expected = "\r\nContent-Description: Delivery report\r\n\
        Content-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; mail.example.com\r\n\
        X-Maily-Queue-ID: 0000000000006\r\n\
        Arrival-Date: Mon, 23 Nov 2026 00:06:18 +0000\r\n\
        \r\n\
        Final-Recipient: rfc822; ann@example.net\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.example.net\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\
        Last-Attempt-Date: Fri, 27 Nov 2026 15:12:58 +0000\r\n";
    assert_eq!(status, expected);
    assert!(returned.contains("Content-Type: text/rfc822-headers\r\n"));
    assert!(returned.ends_with("\r\n\r\nMessage-ID: <1@example.org>\r\nSubject: hello\r\n"));
}

#[test]
fn a_report_goes_from_nobody_and_asks_for_no_report() {
    let case = Case::new(ReportKind::Failed);
    let notification = case.notification().unwrap();
    assert_eq!(notification.envelope.reverse_path, ReversePath::Null);
    let [to] = notification.envelope.recipients.as_slice() else { panic!("one recipient") };
    assert_eq!(to.forward_path.to_string(), "bob@example.org");
    assert_eq!(to.notify, Notify::Never);
    assert_eq!(&*notification.message_id, "0000000000007@mail.example.com");
}

#[test]
fn nobody_is_told_of_a_message_from_nobody_nor_of_nothing() {
    let mut case = Case::new(ReportKind::Failed);
    case.envelope.reverse_path = ReversePath::Null;
    assert_eq!(case.notification(), None);
    let mut case = Case::new(ReportKind::Failed);
    case.fates = vec![fate(1, ReportKind::Failed)];
    assert_eq!(case.notification(), None, "there is no such recipient");
}

#[test]
fn what_was_given_up_for_age_is_4_4_7_with_the_last_answer() {
    let mut case = Case::new(ReportKind::Failed);
    case.fates[0].expired = true;
    case.fates[0].diagnosis = Diagnosis::reply(451, EnhancedStatus::new(4, 7, 1), "greylisted");
    let [_, words, status, _] = case.parts();
    assert!(words.contains("It was tried for 4 days, in vain."));
    assert!(status.contains("Action: failed\r\nStatus: 4.4.7\r\n"));
    assert!(status.contains("Diagnostic-Code: smtp; 451 4.7.1 greylisted\r\n"));
}

#[test]
fn a_delay_says_until_when_and_that_nothing_is_to_be_done() {
    let [head, words, status, _] = Case::new(ReportKind::Delayed).parts();
    assert!(head.contains("Subject: Delayed mail"));
    assert!(words.contains("You need not send\r\nit again"), "{words}");
    assert!(status.contains("Action: delayed\r\nStatus: 4.1.1\r\n"));
    assert!(status.contains("Will-Retry-Until: Sat, 28 Nov 2026 00:06:18 +0000\r\n"));
}

#[test]
fn a_relayed_message_is_no_failure() {
    let mut case = Case::new(ReportKind::Relayed);
    case.envelope.ret = Some(Ret::Full);
    let [head, _, status, returned] = case.parts();
    assert!(head.contains("Subject: Relayed mail"));
    assert!(status.contains("Action: relayed\r\nStatus: 2.1.1\r\n"));
    assert!(!returned.contains("The body."), "RFC 3461 4.3: RET is about failures only");
}

#[test]
fn what_nobody_said_is_not_put_into_a_remote_servers_mouth() {
    let mut case = Case::new(ReportKind::Failed);
    let status = EnhancedStatus::new(5, 1, 2);
    case.fates[0].diagnosis = Diagnosis::ours(status, Blame::Network, "no such domain");
    let [_, words, status, _] = case.parts();
    assert!(words.contains("    no such domain\r\n"));
    assert!(!status.contains("Remote-MTA"));
    assert!(status.contains("Diagnostic-Code: X-Maily; no such domain\r\n"));
}

#[test]
fn several_recipients_share_one_report_and_others_are_not_named() {
    let mut case = Case::new(ReportKind::Failed);
    for text in ["secret@example.net", "cat@example.net", "dan@example.net"] {
        case.envelope.recipients.push(Recipient::plain(mailbox(text)));
    }
    case.fates.push(fate(2, ReportKind::Relayed));
    case.fates.push(fate(3, ReportKind::Delayed));
    let [head, words, status, _] = case.parts();
    assert!(head.contains("Subject: Undelivered mail"));
    assert_eq!(status.matches("Final-Recipient: ").count(), 3);
    assert_eq!(status.matches("\r\n\r\nFinal-Recipient").count(), 3, "each after an empty line");
    for text in ["ann", "cat", "dan"] {
        assert!(words.contains(&format!("<{text}@example.net>")), "{words}");
    }
    let whole = case.notification().unwrap().message;
    assert_eq!(memmem::find(&whole, b"secret"), None);
}

#[test]
fn people_are_told_of_so_many_and_machines_of_all() {
    let mut case = Case::new(ReportKind::Failed);
    let all = NAMED_MAX as u32 + 1;
    case.envelope.recipients =
        (0..all).map(|n| Recipient::plain(mailbox(&format!("u{n}@example.net")))).collect();
    case.fates = (0..all).map(|n| fate(n, ReportKind::Failed)).collect();
    let [_, words, status, _] = case.parts();
    assert_eq!(words.matches("\r\n<u").count(), NAMED_MAX);
    assert!(words.contains("And 1 more, named in the attached report."));
    assert_eq!(status.matches("Final-Recipient: ").count(), NAMED_MAX + 1);
}

#[test]
fn envid_and_orcpt_come_back_as_the_sender_wrote_them() {
    let mut case = Case::new(ReportKind::Failed);
    case.envelope.envelope_id = Some("QQ+314=1 x".into());
    case.envelope.recipients[0].original = Some(OriginalRecipient {
        address_type: "rfc822".into(),
        address: "Ann+tag=1@Example.NET".into(),
    });
    let [_, _, status, _] = case.parts();
    assert!(status.contains("\r\nOriginal-Envelope-Id: QQ+314=1 x\r\n"));
    assert!(status.contains(
        "\r\n\r\nOriginal-Recipient: rfc822; Ann+tag=1@Example.NET\r\n\
         Final-Recipient: rfc822; ann@example.net\r\n"
    ));
}

#[test]
fn the_whole_message_comes_back_only_if_asked_for_and_fit() {
    let mut case = Case::new(ReportKind::Failed);
    case.envelope.ret = Some(Ret::Full);
    let whole = |case: &Case| case.parts()[3].contains("message/rfc822");
    let [_, words, _, returned] = case.parts();
    assert!(words.contains("Your message is attached.") && whole(&case));
    assert!(returned.ends_with(std::str::from_utf8(MESSAGE).unwrap()), "{returned}");

    let body = b"0123456789abcd\r\n".iter().cycle();
    case.message.extend(body.take(RETURNED_OCTETS_MAX - MESSAGE.len() - 2));
    case.message.extend_from_slice(b"\r\n");
    assert_eq!((case.message.len(), whole(&case)), (RETURNED_OCTETS_MAX, true));
    case.message.insert(MESSAGE.len(), b'x');
    assert!(!whole(&case));
    assert!(case.parts()[1].contains("could not be returned: it is"), "{}", case.parts()[1]);

    case.message = [MESSAGE, "x".repeat(999).as_bytes(), b"\r\n"].concat();
    assert!(!whole(&case), "a line too long for SMTP");
    case.message = [MESSAGE, b"a\nb\0\r\n"].concat();
    assert!(!whole(&case), "a bare LF");
    case.message = MESSAGE.to_vec();
    case.envelope.ret = Some(Ret::Headers);
    assert!(!whole(&case));
}

#[test]
fn a_header_beyond_seven_bits_is_encoded_and_a_body_is_labelled() {
    let mut case = Case::new(ReportKind::Failed);
    case.message = "Subject: grün\r\n\r\nfünf\r\n".into();
    let [_, _, _, returned] = case.parts();
    assert!(returned.contains("Content-Transfer-Encoding: quoted-printable\r\n"));
    assert!(returned.ends_with("\r\n\r\nSubject: gr=C3=BCn\r\n"));
    case.envelope.ret = Some(Ret::Full);
    let [_, _, _, returned] = case.parts();
    assert!(returned.contains("message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
    case.message = [b"X: ".as_slice(), "y".repeat(2_000).as_bytes(), b"\r\n\r\n"].concat();
    let [_, _, _, returned] = case.parts();
    assert!(returned.contains("quoted-printable"), "a field too long for SMTP");
}

#[test]
fn an_endless_header_is_cut() {
    let mut case = Case::new(ReportKind::Failed);
    let field = "X-Field: 0123456789\r\n";
    case.message = (field.repeat(HEADER_OCTETS_MAX / field.len() + 1) + "\r\nbody\r\n").into();
    let [_, words, _, returned] = case.parts();
    assert!(words.contains("The first fields of your message's header are attached."));
    assert!(returned.len() < HEADER_OCTETS_MAX + 500);
}

#[test]
fn addresses_beyond_ascii_make_it_global_as_rfc_6533_says() {
    let mut case = Case::new(ReportKind::Failed);
    case.envelope.smtputf8 = true;
    case.envelope.reverse_path = ReversePath::Mailbox(mailbox("jürgen@example.org"));
    case.envelope.recipients = vec![Recipient {
        original: Some(OriginalRecipient {
            address_type: "utf-8".into(),
            address: r"\x{E4}nn@example.net".into(),
        }),
        ..Recipient::plain(mailbox("änn@example.net"))
    }];
    case.message = "Subject: grün\r\n\r\nbody\r\n".into();
    let [head, words, status, returned] = case.parts();
    assert!(head.contains("To: <jürgen@example.org>\r\n"));
    assert!(words.contains("quoted-printable") && words.contains("<=C3=A4nn@example.net>"));
    assert!(status.contains("message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit"));
    assert!(status.contains("Original-Recipient: utf-8; \\x{E4}nn@example.net\r\n"));
    assert!(status.contains("Final-Recipient: utf-8; änn@example.net\r\n"));
    assert!(returned.contains("message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n"));
    assert!(case.notification().unwrap().envelope.smtputf8);
    case.envelope.ret = Some(Ret::Full);
    assert!(case.parts()[3].contains("Content-Type: message/global\r\n"));
}

#[test]
fn a_sender_in_ascii_needs_no_smtputf8_to_be_told_of_an_address_beyond() {
    let mut case = Case::new(ReportKind::Failed);
    case.envelope.smtputf8 = true;
    case.envelope.recipients = vec![Recipient::plain(mailbox("änn@example.net"))];
    let [_, _, status, returned] = case.parts();
    assert!(status.contains("utf-8; änn@example.net"));
    assert!(returned.contains("text/rfc822-headers"), "this header is ASCII");
    assert!(!case.notification().unwrap().envelope.smtputf8);
}

#[test]
fn hostile_remotes_add_no_line_and_make_none_too_long() {
    let hostile = [
        "no\r\n\r\n--=_0000000000007\r\nSubject: x\r\n.\r\n".to_owned(),
        "x".repeat(5_000),
        "\u{1b}]0;title\u{7}\u{202e}\0".to_owned(),
        "ünïcode ".repeat(200),
        " ".repeat(2_000),
    ];
    for text in &hostile {
        let mut case = Case::new(ReportKind::Failed);
        let status = EnhancedStatus::new(4, 999, 999);
        case.fates[0].diagnosis = Diagnosis::reply(550, status, text);
        case.fates[0].remote =
            Some(Remote { host: text.as_str().into(), address: "2001:db8::1".parse().unwrap() });
        let [_, _, status, _] = case.parts();
        assert!(status.contains("Status: 5.999.999\r\n"));
        assert!(status.is_ascii());
        let fields = status.lines().filter(|line| line.starts_with("Subject")).count();
        assert_eq!(fields, 0);
    }
}

#[test]
fn a_host_without_a_name_is_called_by_its_address() {
    let mut case = Case::new(ReportKind::Failed);
    case.fates[0].remote = Some(Remote { host: "::1".into(), address: "::1".parse().unwrap() });
    assert!(case.parts()[2].contains("Remote-MTA: dns; [::1]\r\n"));
}

#[test]
fn a_message_that_holds_our_boundary_does_not_break_the_report() {
    let mut case = Case::new(ReportKind::Failed);
    case.envelope.ret = Some(Ret::Full);
    let forged = "\r\n--=_0000000000007--\r\n--=_0000000000007_1\r\n\r\nforged\r\n";
    case.message.extend_from_slice(forged.as_bytes());
    let [head, _, _, returned] = case.parts();
    assert!(head.contains("boundary=\"=_0000000000007_2\""));
    assert!(returned.ends_with("forged\r\n"));
}

#[test]
fn only_a_message_id_that_is_one_is_repeated() {
    let long = format!("<{}@x>", "a".repeat(MESSAGE_ID_OCTETS_MAX));
    let fits = format!("<{}@x>", "a".repeat(MESSAGE_ID_OCTETS_MAX - 2));
    for (text, repeated) in [
        ("<a@b>", true),
        (fits.as_str(), true),
        (long.as_str(), false),
        ("", false),
        ("<>", false),
        ("a@b", false),
        ("<a b@c>", false),
        ("<a@b> <c@d>", false),
        ("<ü@b>", false),
    ] {
        let mut case = Case::new(ReportKind::Failed);
        case.message = format!("Message-ID: {text}\r\n\r\n").into();
        assert_eq!(case.parts()[0].contains("References: "), repeated, "{text}");
    }
    let mut case = Case::new(ReportKind::Failed);
    case.message = b"no header at all".to_vec();
    assert!(!case.parts()[0].contains("References: "));
    case.message.clear();
    assert!(case.parts()[3].ends_with("\r\n\r\n"));
}

proptest::proptest! {
    /// Whatever remotes and senders say, a report is three parts in lines that SMTP takes.
    #[test]
    fn any_words_and_any_message_make_a_sound_report(
        text in ".{0,300}",
        host in ".{0,80}",
        envid in "[ -~]{1,100}",
        orcpt in "[ -~]{1,400}",
        message in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
        whole in proptest::prelude::any::<bool>(),
    ) {
        let mut case = Case::new(ReportKind::Failed);
        case.fates[0].diagnosis = Diagnosis::reply(550, EnhancedStatus::new(5, 1, 1), &text);
        let address = "192.0.2.1".parse().unwrap();
        case.fates[0].remote = Some(Remote { host: host.into(), address });
        case.envelope.envelope_id = Some(envid.into());
        case.envelope.recipients[0].original =
            Some(OriginalRecipient { address_type: "rfc822".into(), address: orcpt.into() });
        case.envelope.ret = whole.then_some(Ret::Full);
        case.message = message;
        let octets = case.notification().unwrap().message;
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            proptest::prop_assert!(line.ends_with(b"\r\n") && line.len() <= 1_000);
            let inner = &line[..line.len() - 2];
            proptest::prop_assert!(!inner.contains(&b'\r') && !inner.contains(&0));
        }
        let delimiters = memmem::find_iter(&octets, b"\r\n--=_0000000000007").count();
        proptest::prop_assert_eq!(delimiters, 4);
    }
}
