//! A message that comes by SMTP and is a template: it says so by a field of ours, and is written
//! for each recipient when its turn comes, as one that comes by HTTP.
//!
//! ```text
//! X-Maily-Vars: {"name": "Ann"}      variables, a JSON object; it makes the message a template
//! X-Maily-Track: opens, clicks       what is counted
//! X-Maily-List: news                 the list that it goes to
//! X-Maily-Segment: vip               only for recipients of whom a plugin says that they are in it
//! X-Maily-Tag: welcome               a word to find it by; may stand more than once
//! ```

use bytes::Bytes;
use mail_parser::Address;
use mail_parser::Message;
use mail_parser::MessageParser;
use mail_parser::MessagePart;
use mail_parser::MimeHeaders;
use mail_parser::PartType;

use crate::mail::address::Mailbox;
use crate::mail::message::header_fields;
use crate::render::check;
use crate::render::fault::Code;
use crate::render::fault::Fault;
use crate::render::mailing::Attachment;
use crate::render::mailing::Content;
use crate::render::mailing::List;
use crate::render::mailing::Mailing;
use crate::render::mailing::NamedMailbox;
use crate::render::mailing::Parts;
use crate::render::mailing::Track;

/// Parts of a message that are looked at.
pub const PARTS_MAX: usize = 200;

/// What fields of ours ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The variables: JSON, not yet looked at.
    pub variables: Bytes,
    track: Track,
    list: Box<str>,
    segment: Box<str>,
    tags: Vec<Box<str>>,
}

impl Wishes {
    /// What the header of a message asks for; none if it is no template.
    ///
    /// # Errors
    /// A word that means nothing here.
    pub fn read(message: &[u8]) -> Result<Option<Self>, Fault> {
        let (mut wishes, mut is_template) = (Self::default(), false);
        for field in header_fields(message) {
            let text = || field.unfolded();
            if field.is("X-Maily-Vars") {
                is_template = true;
                wishes.variables = text().into();
            } else if field.is("X-Maily-Track") {
                wishes.track = track(&text())?;
            } else if field.is("X-Maily-List") {
                wishes.list = text().into();
            } else if field.is("X-Maily-Segment") {
                wishes.segment = text().into();
            } else if field.is("X-Maily-Tag") {
                wishes.tags.push(text().into());
            }
        }
        Ok(is_template.then_some(wishes))
    }

    /// The message as a mailing of this project and campaign; who unsubscribes by mail writes to
    /// this mailbox.
    ///
    /// # Errors
    /// All that is wrong with it. What its templates say is not looked at.
    pub fn mailing(
        self,
        message: &[u8],
        (project, campaign): (&str, &str),
        unsubscribe: Option<&Mailbox>,
    ) -> Result<Mailing, Vec<Fault>> {
        let parsed = MessageParser::default().parse(message).filter(|parsed| {
            // What is nested without end is no template.
            parsed.parts.len() <= PARTS_MAX
        });
        let no_message = |detail: &str| vec![Fault::new("", Code::NotAMessage, detail)];
        let parsed =
            parsed.ok_or_else(|| no_message("it cannot be read, or has too many parts"))?;
        let from = one(parsed.from());
        let from =
            from.ok_or_else(|| vec![Fault::new("/from", Code::Address, "not one author")])?;
        let list =
            (!self.list.is_empty()).then(|| List { name: self.list, mailto: unsubscribe.cloned() });
        let mailing = Mailing {
            project: project.into(),
            campaign: campaign.into(),
            tags: self.tags,
            from,
            reply_to: one(parsed.reply_to()),
            content: Content::Parts(parts(&parsed)),
            headers: others(message),
            track: self.track,
            list,
            meta: Vec::new(),
            segment: self.segment,
        };
        let faults = mailing.validate();
        if faults.is_empty() { Ok(mailing) } else { Err(faults) }
    }
}

/// The names that a message shows for its recipients, by address.
pub fn shown_names(message: &[u8]) -> Vec<NamedMailbox> {
    let Some(parsed) = MessageParser::default().parse_headers(message) else { return Vec::new() };
    let all = [parsed.to(), parsed.cc()].into_iter().flatten();
    all.flat_map(Address::iter).filter_map(named).collect()
}

fn track(words: &str) -> Result<Track, Fault> {
    let mut track = Track::default();
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "opens" => track.opens = true,
            "clicks" => (track.clicks, track.honeypot) = (true, true),
            _ => return Err(Fault::new("/track", Code::Conflict, "opens and clicks are counted")),
        }
    }
    Ok(track)
}

fn named(address: &mail_parser::Addr<'_>) -> Option<NamedMailbox> {
    let mailbox = Mailbox::parse(address.address.as_deref()?).ok()?;
    Some(NamedMailbox { name: address.name.as_deref().unwrap_or_default().into(), mailbox })
}

/// The only mailbox of a field.
fn one(address: Option<&Address<'_>>) -> Option<NamedMailbox> {
    let mut all = address?.iter();
    let first = named(all.next()?);
    first.filter(|_| all.next().is_none())
}

fn parts(parsed: &Message<'_>) -> Parts {
    let body = |ids: &[u32], html: bool| {
        let mut parts = ids.iter().filter_map(|id| parsed.part(*id));
        parts.find_map(|part| match &part.body {
            PartType::Text(text) if !html => Some(Box::from(text.as_ref())),
            PartType::Html(text) if html => Some(Box::from(text.as_ref())),
            _ => None,
        })
    };
    Parts {
        subject: parsed.subject().unwrap_or_default().into(),
        text: body(&parsed.text_body, false),
        html: body(&parsed.html_body, true),
        attachments: parsed.attachments().map(attachment).collect(),
    }
}

fn attachment(part: &MessagePart<'_>) -> Attachment {
    let media = part.content_type().map(|media| {
        let subtype = media.subtype().unwrap_or("octet-stream");
        format!("{}/{subtype}", media.ctype())
    });
    Attachment {
        file_name: part.attachment_name().unwrap_or_default().into(),
        content_type: media.as_deref().unwrap_or("application/octet-stream").into(),
        content: Bytes::copy_from_slice(part.contents()),
        content_id: part.content_id().unwrap_or_default().into(),
    }
}

/// Header fields that go along as they are: those that are not written anew for each recipient.
fn others(message: &[u8]) -> Vec<(Box<str>, Box<str>)> {
    let fields = header_fields(message).filter_map(|field| {
        let name = std::str::from_utf8(field.name).ok()?;
        let ours = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("X-Maily-"));
        let renewed = ours || check::is_reserved(name) || field.is("Cc") || field.is("Sender");
        (!renewed).then(|| (name.into(), field.unfolded().into()))
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = "Received: from x\r\nFrom: =?utf-8?q?J=C3=BCrg?= <j@shop.example>\r\n\
        To: Ann Lee <ann@example.net>, bob@example.net\r\nReply-To: help@shop.example\r\n\
        Subject: Hi {{ name }}\r\nX-Shop: a\r\n b\r\nMIME-Version: 1.0\r\n\
        X-Maily-Vars: {\"name\":\r\n \"Ann\"}\r\nX-Maily-Track: Opens, clicks\r\n\
        X-Maily-List: news\r\nX-Maily-Segment: vip\r\nX-Maily-Tag: one\r\nX-Maily-Tag: two\r\n\
        Content-Type: multipart/mixed; boundary=m\r\n\r\n\
        --m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
        --a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe, {{ name }}\r\n\
        --a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{{ name }}</p>\r\n--a--\r\n\
        --m\r\nContent-Type: image/png; name=x.png\r\nContent-ID: <x@y>\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--m--\r\n";

    #[test]
    fn a_letter_becomes_a_mailing() {
        let wishes = Wishes::read(LETTER.as_bytes()).unwrap().unwrap();
        assert_eq!(&*wishes.variables, b"{\"name\": \"Ann\"}");
        let mailto = Mailbox::parse("out@shop.example").unwrap();
        let made = wishes.mailing(LETTER.as_bytes(), ("shop", "spring"), Some(&mailto)).unwrap();
        assert_eq!((&*made.project, &*made.campaign), ("shop", "spring"));
        assert_eq!(
            (&*made.from.name, made.from.mailbox.to_string()),
            ("J\u{fc}rg", "j@shop.example".into())
        );
        assert_eq!(made.reply_to.unwrap().mailbox.to_string(), "help@shop.example");
        assert_eq!(&*made.segment, "vip");
        assert_eq!(made.tags, ["one".into(), "two".into()]);
        assert_eq!(made.headers, [("X-Shop".into(), "a b".into())]);
        assert_eq!(made.track, Track { opens: true, clicks: true, honeypot: true });
        assert_eq!(made.list, Some(List { name: "news".into(), mailto: Some(mailto) }));
        let Content::Parts(parts) = made.content else { panic!() };
        assert_eq!(&*parts.subject, "Hi {{ name }}");
        assert_eq!(parts.text.as_deref().map(str::trim), Some("Gr\u{fc}\u{df}e, {{ name }}"));
        assert_eq!(parts.html.as_deref().map(str::trim), Some("<p>{{ name }}</p>"));
        let [file] = &*parts.attachments else { panic!() };
        assert_eq!((&*file.file_name, &*file.content_type), ("x.png", "image/png"));
        assert_eq!((&*file.content, &*file.content_id), (&[0, 1, 2][..], "x@y"));
    }

    #[test]
    fn only_variables_make_a_message_a_template() {
        assert_eq!(Wishes::read(b"X-Maily-Track: opens\r\n\r\n{{ x }}"), Ok(None));
        assert!(Wishes::read(b"x-maily-vars: {}\r\n\r\n").unwrap().is_some());
        assert!(Wishes::read(b"X-Maily-Vars: {}\r\nX-Maily-Track: all\r\n\r\n").is_err());
        // What stands behind the header is text.
        assert_eq!(Wishes::read(b"Subject: a\r\n\r\nX-Maily-Vars: {}\r\n"), Ok(None));
    }

    #[test]
    fn names_are_those_that_the_header_shows() {
        let names = shown_names(LETTER.as_bytes());
        let names: Vec<_> = names.iter().map(|one| (&*one.name, one.mailbox.to_string())).collect();
        assert_eq!(names, [("Ann Lee", "ann@example.net".into()), ("", "bob@example.net".into())]);
    }

    #[test]
    fn what_cannot_be_a_mailing_says_why() {
        let try_it = |message: &str| {
            let made = Wishes::default().mailing(message.as_bytes(), ("p", ""), None);
            let faults = made.err().unwrap_or_default();
            let told = |fault: &Fault| format!("{} {}", fault.pointer, fault.code.as_str());
            faults.iter().map(told).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(try_it("From: a@b.example\r\nSubject: x\r\n\r\ntext\r\n"), "");
        assert_eq!(try_it("Subject: x\r\n\r\ntext\r\n"), "/from address");
        assert_eq!(try_it("From: a@b.example, c@d.example\r\n\r\nx\r\n"), "/from address");
        assert_eq!(
            try_it("From: a@b.example\r\nContent-Type: image/png\r\n\r\nx\r\n"),
            "/text missing"
        );
        let nested: String = (0..PARTS_MAX + 5).map(|n| format!("--m\r\n\r\n{n}\r\n")).collect();
        let many = format!(
            "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n{nested}"
        );
        assert_eq!(try_it(&many), " not_a_message");
    }
}
