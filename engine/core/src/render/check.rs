//! Whether a mailing can be sent: all that is wrong with it, at once.
//!
//! Pointers are those of a request: `/subject`, `/headers/3/value`, `/list/name`. Templates are
//! compiled elsewhere ([`compiled`](crate::render::compiled)); what a template makes of a
//! recipient's variables is checked when it is rendered.

use crate::render::binding::DISPLAY_NAME_CHARACTERS_MAX;
use crate::render::fault::Code;
use crate::render::fault::Fault;
use crate::render::field;
use crate::render::mailing::Attachment;
use crate::render::mailing::Content;
use crate::render::mailing::Mailing;
use crate::render::mailing::NamedMailbox;
use crate::render::mailing::Parts;
use crate::render::raw;
use crate::tracking::token::NAME_CHARACTERS_MAX;

/// A template of a text or of HTML has at most as many octets.
pub const TEMPLATE_OCTETS_MAX: usize = 1024 * 1024;
/// A template of a header field's body, the subject's too, has at most as many octets.
pub const HEADER_TEMPLATE_OCTETS_MAX: usize = 8 * 1024;
/// Header fields that can be added.
pub const HEADERS_MAX: usize = 50;
/// Octets of all names and templates of header fields that are added.
pub const HEADERS_OCTETS_MAX: usize = 32 * 1024;
/// Attachments of a message.
pub const ATTACHMENTS_MAX: usize = 50;
/// Octets of all attachments.
pub const ATTACHMENTS_OCTETS_MAX: usize = 25 * 1024 * 1024;
/// Octets of a message that is handed in whole.
pub const RAW_OCTETS_MAX: usize = 35 * 1024 * 1024;
/// A file name has at most as many characters.
pub const FILE_NAME_CHARACTERS_MAX: usize = 255;
/// A media type with its parameters has at most as many octets.
pub const CONTENT_TYPE_OCTETS_MAX: usize = 127;
/// Tags of a mailing.
pub const TAGS_MAX: usize = 20;
/// Entries that go into every event.
pub const META_MAX: usize = 50;
/// A value that goes into every event has at most as many octets.
pub const META_VALUE_OCTETS_MAX: usize = 1_000;

/// Header fields that we write ourselves, or that only a transfer agent may. `Content-*`, `MIME-*`
/// and `ARC-*` are not listed one by one.
pub const RESERVED_HEADERS: &[&str] = &[
    "From",
    "To",
    "Bcc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "Return-Path",
    "Received",
    "DKIM-Signature",
    "Authentication-Results",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

impl Mailing {
    /// All that is wrong with it; nothing if it can be sent.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.name("/project", &self.project, true);
        faults.name("/campaign", &self.campaign, false);
        faults.name("/segment", &self.segment, false);
        faults.at_most("/tags", self.tags.len(), TAGS_MAX);
        for (index, tag) in self.tags.iter().enumerate() {
            faults.name(&format!("/tags/{index}"), tag, true);
        }
        faults.mailbox("/from", &self.from);
        if let Some(reply_to) = &self.reply_to {
            faults.mailbox("/reply_to", reply_to);
        }
        if let Some(list) = &self.list {
            faults.name("/list", &list.name, true);
            // It goes into a URI (RFC 6068 2), which is US-ASCII.
            if list.mailto.as_ref().is_some_and(|mailbox| !mailbox.is_ascii()) {
                faults.push("/list/mailto", Code::Address, "not in US-ASCII");
            }
        }
        faults.headers(&self.headers);
        faults.meta(&self.meta);
        match &self.content {
            Content::Parts(parts) => faults.parts(parts),
            Content::Named { name } => faults.name("/template/name", name, true),
            Content::Raw(octets) => faults.raw(self, octets),
        }
        faults.0
    }
}

impl Parts {
    /// All that is wrong with these parts; nothing if they can be stored and sent.
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.parts(self);
        faults.0
    }
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn push(&mut self, pointer: &str, code: Code, detail: &str) {
        self.0.push(Fault::new(pointer, code, detail));
    }

    fn at_most(&mut self, pointer: &str, there: usize, most: usize) {
        if there > most {
            self.push(pointer, Code::TooMany, &format!("{there}, and at most {most} may be"));
        }
    }

    fn octets(&mut self, pointer: &str, text: &str, most: usize) {
        if text.len() > most {
            let detail = format!("{} octets, and at most {most} may be", text.len());
            self.push(pointer, Code::TooLong, &detail);
        }
    }

    /// A text that becomes a header field, or part of one.
    fn header_text(&mut self, pointer: &str, text: &str, most: usize) {
        self.octets(pointer, text, most);
        if !field::is_sound(text) {
            self.push(pointer, Code::ControlCharacter, "a line end or other control character");
        }
    }

    /// As [`Self::header_text`], counted as whoever hands it in counts.
    fn line(&mut self, pointer: &str, text: &str, most: usize) {
        let there = text.chars().count();
        if there > most {
            let detail = format!("{there} characters, and at most {most} may be");
            self.push(pointer, Code::TooLong, &detail);
        }
        self.header_text(pointer, text, usize::MAX);
    }

    fn name(&mut self, pointer: &str, text: &str, needed: bool) {
        if needed && text.is_empty() {
            self.push(pointer, Code::Missing, "empty");
        }
        self.line(pointer, text, NAME_CHARACTERS_MAX);
    }

    fn mailbox(&mut self, pointer: &str, named: &NamedMailbox) {
        self.line(&format!("{pointer}/name"), &named.name, DISPLAY_NAME_CHARACTERS_MAX);
    }

    fn headers(&mut self, headers: &[(Box<str>, Box<str>)]) {
        self.at_most("/headers", headers.len(), HEADERS_MAX);
        let octets: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if octets > HEADERS_OCTETS_MAX {
            self.push("/headers", Code::TooLong, "more than 32 KiB together");
        }
        for (index, (name, value)) in headers.iter().enumerate() {
            let pointer = format!("/headers/{index}/name");
            if !field::is_name(name) {
                self.push(&pointer, Code::HeaderName, "no name of a header field (RFC 5322 3.6.8)");
            } else if is_reserved(name) {
                self.push(&pointer, Code::ReservedHeader, "a header field that Maily writes");
            }
            self.header_text(&format!("/headers/{index}/value"), value, HEADER_TEMPLATE_OCTETS_MAX);
        }
    }

    fn meta(&mut self, meta: &[(Box<str>, Box<str>)]) {
        self.at_most("/meta", meta.len(), META_MAX);
        for (name, value) in meta {
            // RFC 6901 3: what stands for itself in a pointer.
            let pointer = format!("/meta/{}", name.replace('~', "~0").replace('/', "~1"));
            self.name(&pointer, name, true);
            self.header_text(&pointer, value, META_VALUE_OCTETS_MAX);
        }
    }

    fn parts(&mut self, parts: &Parts) {
        self.header_text("/subject", &parts.subject, HEADER_TEMPLATE_OCTETS_MAX);
        if parts.text.is_none() && parts.html.is_none() {
            self.push("/text", Code::Missing, "neither text nor html");
        }
        for (pointer, text) in [("/text", &parts.text), ("/html", &parts.html)] {
            let text = text.as_deref().unwrap_or_default();
            self.octets(pointer, text, TEMPLATE_OCTETS_MAX);
            if text.contains('\0') {
                self.push(pointer, Code::ControlCharacter, "a NUL");
            }
        }
        self.at_most("/attachments", parts.attachments.len(), ATTACHMENTS_MAX);
        let octets: usize = parts.attachments.iter().map(|file| file.content.len()).sum();
        if octets > ATTACHMENTS_OCTETS_MAX {
            self.push("/attachments", Code::TooLong, "more than 25 MiB together");
        }
        for (index, attachment) in parts.attachments.iter().enumerate() {
            self.attachment(&format!("/attachments/{index}"), attachment);
        }
    }

    fn attachment(&mut self, pointer: &str, attachment: &Attachment) {
        let Attachment { file_name, content_type, content_id, .. } = attachment;
        self.line(&format!("{pointer}/file_name"), file_name, FILE_NAME_CHARACTERS_MAX);
        let at = format!("{pointer}/content_type");
        self.header_text(&at, content_type, CONTENT_TYPE_OCTETS_MAX);
        if !field::is_attachable(content_type) {
            self.push(&at, Code::ContentType, "no media type that can be attached");
        }
        if !content_id.is_empty() && !field::is_content_id(content_id) {
            let at = format!("{pointer}/content_id");
            self.push(&at, Code::ContentId, "letters, digits and .-_@ only, at most 128");
        }
    }

    fn raw(&mut self, mailing: &Mailing, octets: &[u8]) {
        if octets.len() > RAW_OCTETS_MAX {
            self.push("/raw", Code::TooLong, "more than 35 MiB");
        }
        if let Err(detail) = raw::check(octets) {
            self.push("/raw", Code::NotAMessage, detail);
        }
        if mailing.track != Default::default() {
            self.push("/track", Code::Conflict, "a raw message is not rewritten");
        }
        if !mailing.headers.is_empty() {
            self.push("/headers", Code::Conflict, "a raw message has its own header");
        }
    }
}

/// Whether we write this header field ourselves.
pub(crate) fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    ["Content-", "MIME-", "ARC-"].into_iter().any(begins)
        || RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::mail::address::Mailbox;
    use crate::render::mailing::List;
    use crate::render::mailing::Track;
    use crate::render::mailing::samples;

    fn mailing() -> Mailing {
        samples::mailing(samples::parts("Hello", "text", ""))
    }

    /// What is wrong, as `pointer code`.
    fn faults(change: impl FnOnce(&mut Mailing)) -> Vec<String> {
        let mut mailing = mailing();
        change(&mut mailing);
        let faults = mailing.validate();
        assert!(faults.iter().all(|fault| !fault.to_string().is_empty()));
        faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code.as_str())).collect()
    }

    fn parts_faults(change: impl FnOnce(&mut Parts)) -> Vec<String> {
        faults(|mailing| {
            if let Content::Parts(parts) = &mut mailing.content {
                change(parts);
                let parts = parts.clone();
                mailing.content = Content::Parts(parts);
            }
        })
    }

    #[test]
    fn nothing_is_wrong_with_a_plain_mailing() {
        assert_eq!(faults(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn a_line_end_or_nul_is_refused_in_every_text_that_becomes_a_header() {
        for bad in ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\u{85}b", "a\r\n\tb", "a\tb"] {
            let bad: Box<str> = bad.into();
            let found = faults(|mailing| {
                let mut parts = samples::parts(&bad, "text", "");
                parts.attachments.push(samples::attachment(&bad, "image/png", &bad));
                parts.attachments.push(samples::attachment("", &bad, ""));
                mailing.content = Content::Parts(parts);
                mailing.from.name = bad.clone();
                mailing.reply_to = Some(samples::named(&bad, "a@example.net"));
                mailing.project = bad.clone();
                mailing.campaign = bad.clone();
                mailing.tags = vec![bad.clone()];
                mailing.headers = vec![("X-A".into(), bad.clone()), (bad.clone(), "b".into())];
                mailing.list = Some(List { name: bad.clone(), mailto: None });
                mailing.meta = vec![(bad.clone(), bad.clone())];
            });
            let meta = format!("/meta/{bad} control_character");
            let wanted = [
                "/project control_character",
                "/campaign control_character",
                "/tags/0 control_character",
                "/from/name control_character",
                "/reply_to/name control_character",
                "/list control_character",
                "/headers/0/value control_character",
                "/headers/1/name header_name",
                &*meta,
                &*meta,
                "/subject control_character",
                "/attachments/0/file_name control_character",
                "/attachments/0/content_id content_id",
                "/attachments/1/content_type control_character",
                "/attachments/1/content_type content_type",
            ];
            assert_eq!(found, wanted, "{bad:?}");
        }
    }

    #[test]
    fn headers_that_we_write_and_names_that_are_none_are_refused() {
        for name in RESERVED_HEADERS.iter().copied().chain([
            "from",
            "CONTENT-TYPE",
            "Content-Transfer-Encoding",
            "mime-version",
            "ARC-Seal",
        ]) {
            let found = faults(|mailing| mailing.headers = vec![(name.into(), "x".into())]);
            assert_eq!(found, ["/headers/0/name reserved_header"], "{name}");
        }
        for name in ["", "a b", "a:", "ä", "a\u{7f}", ":", "a\t"] {
            let found = faults(|mailing| mailing.headers = vec![(name.into(), "x".into())]);
            assert_eq!(found, ["/headers/0/name header_name"], "{name:?}");
        }
        for name in
            ["X-Order", "Feedback-ID", "List-ID", "Auto-Submitted", "Contents", "In-Reply-To"]
        {
            let found = faults(|mailing| mailing.headers = vec![(name.into(), "x".into())]);
            assert_eq!(found, Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn one_more_than_each_limit_is_too_many() {
        let text = |octets: usize| Box::<str>::from("x".repeat(octets));
        type Change = fn(&mut Mailing, Box<str>);
        let texts: [(&str, usize, Change); 7] = [
            ("/project", NAME_CHARACTERS_MAX, |mailing, text| mailing.project = text),
            ("/campaign", NAME_CHARACTERS_MAX, |mailing, text| mailing.campaign = text),
            ("/tags/0", NAME_CHARACTERS_MAX, |mailing, text| mailing.tags = vec![text]),
            ("/from/name", DISPLAY_NAME_CHARACTERS_MAX, |mailing, text| mailing.from.name = text),
            ("/list", NAME_CHARACTERS_MAX, |mailing, text| {
                mailing.list = Some(List { name: text, mailto: None });
            }),
            ("/headers/0/value", HEADER_TEMPLATE_OCTETS_MAX, |mailing, text| {
                mailing.headers = vec![("X".into(), text)];
            }),
            ("/meta/m", META_VALUE_OCTETS_MAX, |mailing, text| {
                mailing.meta = vec![("m".into(), text)];
            }),
        ];
        for (pointer, most, change) in texts {
            assert_eq!(faults(|mailing| change(mailing, text(most))), Vec::<String>::new());
            let found = faults(|mailing| change(mailing, text(most + 1)));
            assert_eq!(found, [format!("{pointer} too_long")]);
        }
        // Names are counted as whoever hands them in counts.
        let long: Box<str> = "ä".repeat(NAME_CHARACTERS_MAX).into();
        assert_eq!(faults(|mailing| mailing.campaign = long), Vec::<String>::new());
        type PartsChange = fn(&mut Parts, Box<str>);
        let texts: [(&str, usize, PartsChange); 4] = [
            ("/subject", HEADER_TEMPLATE_OCTETS_MAX, |parts, text| parts.subject = text),
            ("/text", TEMPLATE_OCTETS_MAX, |parts, text| parts.text = Some(text)),
            ("/html", TEMPLATE_OCTETS_MAX, |parts, text| parts.html = Some(text)),
            ("/attachments/0/file_name", FILE_NAME_CHARACTERS_MAX, |parts, text| {
                parts.attachments = vec![samples::attachment(&text, "image/png", "")];
            }),
        ];
        for (pointer, most, change) in texts {
            assert_eq!(parts_faults(|parts| change(parts, text(most))), Vec::<String>::new());
            let found = parts_faults(|parts| change(parts, text(most + 1)));
            assert_eq!(found, [format!("{pointer} too_long")]);
        }
    }

    #[test]
    fn one_more_of_each_is_too_many() {
        let pair = |_| ("X".into(), "x".into());
        let headers = |n: usize| faults(|m| m.headers = (0..n).map(pair).collect());
        assert_eq!(headers(HEADERS_MAX), Vec::<String>::new());
        assert_eq!(headers(HEADERS_MAX + 1), ["/headers too_many"]);
        let octets = |n: usize| {
            let most = HEADERS_OCTETS_MAX - 5;
            let value = |octets: usize| ("X".into(), "x".repeat(octets).into());
            let mut all: Vec<_> = (0..4).map(|_| value(most / 5)).collect();
            all.push(value(most - most / 5 * 4 + n));
            faults(|mailing| mailing.headers = all)
        };
        assert_eq!(octets(0), Vec::<String>::new());
        assert_eq!(octets(1), ["/headers too_long"]);
        let meta = |n: usize| faults(|m| m.meta = (0..n).map(pair).collect());
        assert_eq!(meta(META_MAX), Vec::<String>::new());
        assert_eq!(meta(META_MAX + 1), ["/meta too_many"]);
        let tags = |n: usize| faults(|mailing| mailing.tags = vec!["t".into(); n]);
        assert_eq!(tags(TAGS_MAX), Vec::<String>::new());
        assert_eq!(tags(TAGS_MAX + 1), ["/tags too_many"]);
        let files = |n: usize| {
            let file = samples::attachment("a", "image/png", "");
            parts_faults(|parts| parts.attachments = vec![file; n])
        };
        assert_eq!(files(ATTACHMENTS_MAX), Vec::<String>::new());
        assert_eq!(files(ATTACHMENTS_MAX + 1), ["/attachments too_many"]);
        let size = |octets: usize| {
            let mut file = samples::attachment("a", "image/png", "");
            file.content = vec![0; octets].into();
            parts_faults(|parts| parts.attachments = vec![file])
        };
        assert_eq!(size(ATTACHMENTS_OCTETS_MAX), Vec::<String>::new());
        assert_eq!(size(ATTACHMENTS_OCTETS_MAX + 1), ["/attachments too_long"]);
    }

    #[test]
    fn a_message_needs_a_body_and_its_parts_are_what_they_say() {
        let found = parts_faults(|parts| parts.text = None);
        assert_eq!(found, ["/text missing"]);
        assert_eq!(
            parts_faults(|parts| parts.text = Some("a\0".into())),
            ["/text control_character"]
        );
        for content_type in [
            "",
            "image",
            "image/",
            "/png",
            "multipart/mixed",
            "message/rfc822",
            "a b/c",
            "text/html; charset",
            "text/plain; a=\"b",
        ] {
            let file = samples::attachment("a", content_type, "");
            let found = parts_faults(|parts| parts.attachments = vec![file]);
            assert_eq!(found, ["/attachments/0/content_type content_type"], "{content_type}");
        }
        for content_type in [
            "image/png",
            "text/csv; charset=utf-8",
            "a/b; c=\"d e\"; f=g",
            "application/vnd.oasis.opendocument.text",
            "image/svg+xml",
        ] {
            let file = samples::attachment("a", content_type, "");
            let found = parts_faults(|parts| parts.attachments = vec![file]);
            assert_eq!(found, Vec::<String>::new(), "{content_type}");
        }
    }

    #[test]
    fn a_raw_message_is_taken_as_it_is_or_not_at_all() {
        let raw = |octets: &'static [u8]| Content::Raw(Bytes::from_static(octets));
        let message = b"From: a@example.net\r\nTo: b@example.net\r\n\r\nbody\r\n";
        assert_eq!(faults(|mailing| mailing.content = raw(message)), Vec::<String>::new());
        assert_eq!(faults(|mailing| mailing.content = raw(b"body")), ["/raw not_a_message"]);
        let found = faults(|mailing| {
            mailing.content = raw(message);
            mailing.track = Track { opens: true, ..Track::default() };
            mailing.headers = vec![("X-A".into(), "b".into())];
        });
        assert_eq!(found, ["/track conflict", "/headers conflict"]);
    }

    #[test]
    fn names_are_needed_where_something_is_named() {
        let found = faults(|mailing| {
            mailing.project = "".into();
            mailing.tags = vec!["".into()];
            mailing.list =
                Some(List { name: "".into(), mailto: Mailbox::parse("jürgen@example.net").ok() });
            mailing.content = Content::Named { name: "".into() };
        });
        let missing = ["/project", "/tags/0", "/list"].map(|at| format!("{at} missing"));
        assert_eq!(found[..3], missing);
        assert_eq!(found[3..], ["/list/mailto address", "/template/name missing"]);
    }
}
