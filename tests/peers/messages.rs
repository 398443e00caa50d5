//! Rendered messages as Python's `email` reads them, which others wrote: whatever went in must come
//! out again, however odd.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use serde_json::Value;
use serde_json::json;

use maily_core::clock::Timestamp;
use maily_core::mail::address::Mailbox;
use maily_core::mail::envelope::RecipientIndex;
use maily_core::mail::id::QueueId;
use maily_core::render::binding::Binding;
use maily_core::render::compiled::Compiled;
use maily_core::render::compiled::Rendering;
use maily_core::render::mailing::Attachment;
use maily_core::render::mailing::Content;
use maily_core::render::mailing::List;
use maily_core::render::mailing::Mailing;
use maily_core::render::mailing::NamedMailbox;
use maily_core::render::mailing::Parts;
use maily_core::render::mailing::Track;
use maily_core::tracking::keys::Key;
use maily_core::tracking::keys::Keys;
use maily_core::tracking::links::Links;

use crate::support::process::run;
use crate::support::tools::python;

/// A file: its name, media type, content and identifier.
type File = (String, &'static str, Vec<u8>, &'static str);

/// What goes in; what is empty is left out.
#[derive(Clone, Default)]
struct Case {
    subject: String,
    text: String,
    html: String,
    from: String,
    to: String,
    header: String,
    files: Vec<File>,
    list: bool,
}

impl Case {
    fn mailing(&self) -> Mailing {
        let part = |name: &str, text: &str| {
            (!text.is_empty()).then(|| Box::from(format!("{{{{ {name} }}}}")))
        };
        let file =
            |(file_name, content_type, content, content_id): &(String, _, Vec<u8>, _)| Attachment {
                file_name: file_name.as_str().into(),
                content_type: (*content_type as &str).into(),
                content: Bytes::copy_from_slice(content),
                content_id: (*content_id as &str).into(),
            };
        let parts = Parts {
            subject: "{{ subject }}".into(),
            text: part("text", &self.text),
            html: part("html|safe", &self.html),
            attachments: self.files.iter().map(file).collect(),
        };
        Mailing {
            project: "shop".into(),
            campaign: "".into(),
            tags: Vec::new(),
            from: NamedMailbox {
                name: self.from.as_str().into(),
                mailbox: Mailbox::parse("shop@example.com").unwrap(),
            },
            reply_to: None,
            content: Content::Parts(parts),
            headers: vec![("X-Odd".into(), "{{ header }}".into())],
            track: Track::default(),
            list: self.list.then(|| List {
                name: "news".into(),
                mailto: Mailbox::parse("off@example.com").ok(),
            }),
            meta: Vec::new(),
            segment: "".into(),
        }
    }

    /// Renders it into a file; gives what a reader must find in it.
    fn write(&self, folder: &Path, number: u64) -> Value {
        let keys = Keys::new(Key::new(1, &[7; 32]).unwrap(), Vec::new()).unwrap();
        let links = Links::new("https://t.example", keys).unwrap();
        let variables = json!({
            "subject": self.subject, "text": self.text, "html": self.html, "header": self.header,
        });
        let rendering = Rendering {
            id: QueueId::from_u64(number),
            recipient: RecipientIndex(0),
            at: Timestamp::from_secs(1_795_392_378),
            hostname: "mail.maily.example",
            links: Some(&links),
        };
        let binding = Binding::new(&self.to, variables.to_string().into()).unwrap();
        let ann = Mailbox::parse("ann@example.net").unwrap();
        let compiled = Compiled::new(&self.mailing(), None).unwrap();
        let octets = compiled.render(&ann, &binding, &rendering).unwrap();
        let file = folder.join(format!("{number:03}.eml"));
        std::fs::write(&file, octets).unwrap();
        let files = self.files.iter().map(|(name, content_type, content, content_id)| {
            json!({"name": name, "type": content_type, "content": content, "id": content_id})
        });
        json!({
            "file": file,
            "id": rendering.message_id(),
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "from": self.from,
            "to": self.to,
            "header": self.header,
            "list": self.list,
            "files": files.collect::<Vec<_>>(),
        })
    }
}

/// Texts that stand in a header.
fn odd_words() -> Vec<String> {
    let mut words: Vec<String> = [
        "",
        "Hello",
        "Grüße aus München",
        "日本語の件名です",
        "😀 family: 👨‍👩‍👧‍👦",
        "שלום עולם",
        "Doe, Ann",
        "Ann \"the boss\" O'Neil",
        "back\\slash",
        "ceo@bank.example",
        "(a comment)",
        "<b>bold</b>",
        "a;b:c=d?e_f",
        "two  spaces",
        "=?utf-8?q?=0D=0ABcc:_x?=",
        "=?utf-8?B?QUJD?= and more",
        "not = ? encoded =?",
        "100% =3D off",
        "e\u{301} combining, \u{feff} and \u{200b} nothing",
        "separators \u{2028} and \u{2029}",
        "Bcc: x@example.com",
        ".",
    ]
    .map(str::to_owned)
    .into();
    words.push("a long one ".repeat(19).trim().to_owned());
    words.push("ein längerer Name ".repeat(12).trim().to_owned());
    words.push("漢字".repeat(40));
    words.push("x".repeat(250));
    words
}

/// Texts of a body.
fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "one line",
        "two\nlines\n",
        "old\rnew\r\nunix\n",
        "\n\n\n",
        " \t trailing \t \n spaces   ",
        "From the start\n>From quoted\n.\n..dots\n",
        "a=b =3D =\n=",
        "Grüße\nund 日本語\n",
        "--=_0000000000001_a\n--=_0000000000001@mail.maily.example--\n",
        "Subject: not a header\n\nBcc: x@example.com\n",
        "\u{1}\u{7f}\u{b}\u{c}",
        "tab\there",
    ]
    .map(str::to_owned)
    .into();
    texts.push("wide ".repeat(1_000));
    texts.push("x".repeat(5_000));
    texts.push("ü".repeat(5_000));
    texts.push("line\n".repeat(2_000));
    texts
}

fn odd_files() -> Vec<Vec<File>> {
    let all: Vec<u8> = (0..=255).collect();
    let file = |name: &str, id| (name.to_owned(), "image/png", all.clone(), id);
    vec![
        vec![file("a.png", "")],
        vec![file("Übersicht \"1\"; 2\\3.png", "")],
        vec![file("日本語のファイル名.png", "")],
        vec![file("long name ".repeat(24).trim(), "")],
        vec![file("", "")],
        vec![file("a.png", "logo"), file("b.png", "")],
        vec![("t.txt".to_owned(), "text/plain; charset=utf-8", b"a\nb\r\n".to_vec(), "")],
        vec![("empty".to_owned(), "application/octet-stream", Vec::new(), "")],
        vec![("big.bin".to_owned(), "application/octet-stream", all.repeat(1_000), "")],
    ]
}

fn cases() -> Vec<Case> {
    let plain = Case { subject: "S".into(), text: "t".into(), ..Case::default() };
    let mut cases = Vec::new();
    for word in odd_words() {
        cases.push(Case {
            subject: word.clone(),
            from: word.clone(),
            to: word.clone(),
            header: word.clone(),
            list: true,
            ..plain.clone()
        });
    }
    for text in odd_texts() {
        let html = format!("<p>{text}</p>");
        cases.push(Case { text: text.clone(), ..plain.clone() });
        cases.push(Case { text: String::new(), html: html.clone(), ..plain.clone() });
        cases.push(Case { text, html, ..plain.clone() });
    }
    for files in odd_files() {
        let html = "<img src=\"cid:logo\">".to_owned();
        cases.push(Case { files: files.clone(), ..plain.clone() });
        cases.push(Case { files, html, ..plain.clone() });
    }
    cases
}

#[test]
fn what_goes_into_a_message_comes_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    let written: Vec<_> =
        (1..).zip(&cases).map(|(number, case)| case.write(folder.path(), number)).collect();
    let expected = folder.path().join("expected.json");
    std::fs::write(&expected, serde_json::to_vec(&written).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/messages.py");
    run(Command::new(python()).arg(script).arg(&expected));
}
