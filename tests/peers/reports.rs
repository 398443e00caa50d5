//! Reports as programs read them that others wrote: Python's `email`, flufl.bounce (of GNU Mailman)
//! and Sisimai. Each of these must find who failed, how, and why, in every kind of report that we
//! write.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use maily_core::bounce::dsn;
use maily_core::bounce::fate::Fate;
use maily_core::bounce::fate::Remote;
use maily_core::bounce::fate::Report;
use maily_core::clock::Timestamp;
use maily_core::event::ReportKind;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::Envelope;
use maily_core::mail::envelope::OriginalRecipient;
use maily_core::mail::envelope::Recipient;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::envelope::Ret;
use maily_core::mail::envelope::ReversePath;
use maily_core::mail::id::QueueId;
use maily_core::mail::outcome::Blame;
use maily_core::mail::outcome::Diagnosis;

use crate::support::process::run;
use crate::support::tools::python;
use crate::support::tools::tool;

const MESSAGE: &str = "Message-ID: <1@sender.example>\r\nFrom: Bob <bob@sender.example>\r\n\
                       To: list@sender.example\r\nSubject: hello\r\n\r\nThe body.\r\n";

/// One kind of report.
struct Case {
    name: &'static str,
    envelope: Envelope,
    message: Vec<u8>,
    fates: Vec<Fate>,
    /// What must be given back of the message: its media type.
    returned: &'static str,
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn said(code: u16, status: &str, text: &str) -> Diagnosis {
    Diagnosis::reply(code, status.parse().unwrap(), text)
}

fn ours(status: &str, text: &str) -> Diagnosis {
    Diagnosis::ours(status.parse().unwrap(), Blame::Network, text)
}

fn no_such_user() -> Diagnosis {
    said(550, "5.1.1", "<who>: no such user here")
}

fn later() -> Diagnosis {
    said(451, "4.7.1", "greylisted, come again")
}

/// A case whose recipients all share a fate.
fn case(
    name: &'static str,
    to: &[&str],
    kind: ReportKind,
    expired: bool,
    diagnosis: &Diagnosis,
) -> Case {
    let remote = Remote { host: "mx.example.net".into(), address: [192, 0, 2, 1].into() };
    let fate = |number| Fate {
        recipient: RecipientIndex(number),
        kind,
        expired,
        diagnosis: diagnosis.clone(),
        remote: diagnosis.code.map(|_| remote.clone()),
        at: Timestamp::from_secs(1_795_800_000),
    };
    let from = ReversePath::Mailbox(mailbox("bob@sender.example"));
    let recipients = to.iter().map(|text| Recipient::plain(mailbox(text))).collect();
    Case {
        name,
        envelope: Envelope::plain(from, recipients),
        message: MESSAGE.into(),
        fates: (0..to.len() as u32).map(fate).collect(),
        returned: "text/rfc822-headers",
    }
}

fn failed(name: &'static str, to: &str, diagnosis: &Diagnosis) -> Case {
    case(name, &[to], ReportKind::Failed, false, diagnosis)
}

impl Case {
    fn whole(mut self, message: impl Into<Vec<u8>>) -> Self {
        self.envelope.ret = Some(Ret::Full);
        self.returned = "message/rfc822";
        self.message = message.into();
        self
    }

    fn header_of(mut self, message: impl Into<Vec<u8>>) -> Self {
        self.message = message.into();
        self
    }

    fn global(mut self, returned: &'static str) -> Self {
        self.envelope.smtputf8 = true;
        self.returned = returned;
        self
    }

    fn original(mut self, address_type: &str, address: &str) -> Self {
        self.envelope.recipients[0].original =
            Some(OriginalRecipient { address_type: address_type.into(), address: address.into() });
        self
    }

    fn also(mut self, to: &str, kind: ReportKind, diagnosis: Diagnosis) -> Self {
        let recipient = RecipientIndex(self.fates.len() as u32);
        self.envelope.recipients.push(Recipient::plain(mailbox(to)));
        let fate = Fate { recipient, kind, diagnosis, ..self.fates[0].clone() };
        self.fates.push(fate);
        self
    }

    /// Writes the report as a file; gives what a reader must find in it.
    fn write(&self, folder: &Path, number: u64) -> Value {
        let notification = dsn::write(&Report {
            id: QueueId::from_u64(900 + number),
            at: Timestamp::from_secs(1_795_800_001),
            hostname: "mail.maily.example",
            original: QueueId::from_u64(800 + number),
            arrived_at: Timestamp::from_secs(1_795_392_378),
            expires_at: Timestamp::from_secs(1_795_800_378),
            envelope: &self.envelope,
            message: &self.message,
            fates: self.fates.clone(),
        });
        let file = folder.join(format!("{number:02}.eml"));
        std::fs::write(&file, notification.unwrap().message).unwrap();
        let original = folder.join(format!("{number:02}.original"));
        std::fs::write(&original, &self.message).unwrap();
        let recipients = self.fates.iter().map(|fate| {
            let recipient = &self.envelope.recipients[fate.recipient.0 as usize];
            let original = recipient.original.as_ref();
            json!({
                "final": recipient.forward_path.to_string(),
                "original": original.map(|original| original.address.clone()),
                "action": format!("{:?}", fate.kind).to_lowercase(),
                "status": fate.status().to_string(),
                "code": fate.diagnosis.code,
                "said": fate.diagnosis.status.to_string(),
            })
        });
        json!({
            "name": self.name,
            "file": file,
            "message": original,
            "sender": self.envelope.reverse_path.to_string(),
            "envid": self.envelope.envelope_id,
            "returned": self.returned,
            "recipients": recipients.collect::<Vec<_>>(),
        })
    }
}

fn cases() -> Vec<Case> {
    let (ann, user) = ("ann@example.net", &no_such_user());
    let many: Vec<_> = (0..100).map(|number| format!("u{number}@example.net")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let three = ["ann@example.net", "cat@example.net", "dan@example.net"];
    let words = "a long story ".repeat(80);
    let hostile = "no\r\n\r\n--=_00000000000w4\r\nSubject: x\u{1b}[2J\0";
    let huge = MESSAGE.to_owned() + &*"0123456789\r\n".repeat(200_000);
    let wide = MESSAGE.replace("hello", &"x".repeat(2_000));
    let forged = MESSAGE.to_owned() + "--=_00000000000ws--\r\n\r\n--=_00000000000ws\r\n";
    let mut envid = failed("envid and orcpt", ann, user).original("rfc822", "Ann+t@Example.Net");
    envid.envelope.envelope_id = Some("QQ+314=1".into());
    let mut abroad = failed("sender and recipient in utf-8", "änn@example.net", user)
        .header_of(MESSAGE.replace("hello", "grün"))
        .global("message/global-headers");
    abroad.envelope.reverse_path = ReversePath::Mailbox(mailbox("jürgen@sender.example"));
    let mut headers = failed("ret=hdrs", ann, user);
    headers.envelope.ret = Some(Ret::Headers);
    let mut large = failed("a huge message", ann, user).whole(huge);
    large.returned = "text/rfc822-headers";
    vec![
        failed("at rcpt", ann, user),
        failed("at data", ann, &said(554, "5.6.0", "not this message")),
        failed("without an enhanced status", ann, &said(550, "5.0.0", "go away")),
        failed("no such domain", ann, &ours("5.1.2", "example.net does not exist")),
        failed("null mx", ann, &ours("5.1.10", "example.net takes no mail (RFC 7505)")),
        case("expired", &[ann], ReportKind::Failed, true, &later()),
        case("expired unreached", &[ann], ReportKind::Failed, true, &ours("4.4.1", "no answer")),
        case("delayed", &[ann], ReportKind::Delayed, false, &later()),
        case("relayed", &[ann], ReportKind::Relayed, false, &said(250, "2.0.0", "taken")),
        case("three at once", &three, ReportKind::Failed, false, user),
        case("a hundred at once", &many, ReportKind::Failed, false, user),
        failed("failed, delayed and relayed", ann, user)
            .also("cat@example.net", ReportKind::Delayed, later())
            .also("dan@example.net", ReportKind::Relayed, said(250, "2.1.5", "taken")),
        envid,
        failed("a quoted local part", "\"ann,b\"@example.net", user),
        failed("an address literal", "ann@[192.0.2.9]", user),
        failed("recipient in utf-8", "änn@example.net", user).global("text/rfc822-headers"),
        abroad,
        failed("orcpt in utf-8", ann, user).original("utf-8", r"\x{E4}nn@example.net"),
        failed("words in utf-8", ann, &said(550, "5.1.1", "kein Benutzer mit dem Namen änn")),
        failed("a long story", ann, &said(550, "5.7.1", &words)),
        failed("one long word", ann, &said(550, "5.7.1", &"x".repeat(1_000))),
        failed("a hostile server", ann, &said(550, "5.7.1", hostile)),
        headers,
        failed("ret=full", ann, user).whole(MESSAGE),
        failed("eight bits given back", ann, user).whole(MESSAGE.replace("body", "Körper")),
        failed("a header in eight bits", ann, user).header_of(MESSAGE.replace("hello", "grün")),
        failed("a header too wide for smtp", ann, user).header_of(wide),
        large,
        failed("a message with our boundary", ann, user).whole(forged),
        failed("no message-id", ann, user).header_of("Subject: hello\r\n\r\nThe body.\r\n"),
        failed("no message at all", ann, user).header_of(""),
    ]
}

#[test]
fn reports_are_read_as_they_were_meant() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    let written: Vec<_> =
        (1..).zip(&cases).map(|(number, case)| case.write(folder.path(), number)).collect();
    let expected = folder.path().join("expected.json");
    std::fs::write(&expected, serde_json::to_vec(&written).unwrap()).unwrap();
    let script = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers").join(name);
    run(Command::new(python()).arg(script("reports.py")).arg(&expected));
    run(Command::new(tool("perl")).arg(script("reports.pl")).arg(&expected));
}
